"""Reading beside the loop: what may take long is, and nobody else is asked about a message that a thread still reads."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from mpp.checks.structure.settings import Structure
from mpp.gateway import pipeline
from mpp.mail.message import Message
from mpp.verdict.finding import OnFailure
from servers.transactions import a_transaction

ODD = b"Content-Type: multipart/mixed; boundary=b; boundary=a\r\n\r\n--a\r\n\r\ntext\r\n--a--\r\n"


async def test_nobody_is_asked_about_a_message_that_is_still_read(monkeypatch: Any) -> None:
    monkeypatch.setattr(pipeline, "listed", lambda *_: [])
    only: Any = SimpleNamespace(
        lists=SimpleNamespace(current=None), directory=None, settings=SimpleNamespace(structure=Structure())
    )  # it has no rules, no attachments and no layers that could be asked
    judged = await pipeline.judge(Message(ODD), a_transaction(), 0.0, only)
    assert [(finding.check, finding.failure) for finding in judged.findings] == [("structure", OnFailure.DEFER)]


class _Told(Message):
    """Tells in which thread it is read."""

    threads: list[threading.Thread]

    @property
    def exceeded(self) -> tuple[str, ...]:
        self.threads.append(threading.current_thread())
        return super().exceeded


@pytest.mark.parametrize(("size", "beside"), [(pipeline.READ_HERE, False), (pipeline.READ_HERE + 1, True)])
async def test_what_may_take_long_to_read_does_not_hold_the_loop(size: int, beside: bool) -> None:
    message = _Told(b"Subject: x\r\n\r\n".ljust(size, b"x"))
    message.threads = []
    await pipeline.read(message)
    _ = message.exceeded
    assert (message.threads[0] is not threading.main_thread()) is beside
