"""A message that could not be read in every way in time: nobody else is asked, since a thread still reads it."""

from types import SimpleNamespace
from typing import Any

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
