"""Layers in their order, the checks inside one together, and what breaks becomes a finding."""

import asyncio
from dataclasses import dataclass, field

import pytest

from mpp.checks.layers.judge import Layers
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.verdict.finding import NO_SCANNER, Finding, OnFailure, Verdict
from mpp.verdict.transaction import Transaction

TRANSACTION = Transaction(
    id="id1",
    envelope=Envelope("", (Recipient("r@example.com"),)),
    client=Client("192.0.2.7"),
    message=None,
    size=1,
    listener="edge",
    stage="edge",
    direction="inbound",
    trusted=False,
    ours=frozenset(),
    policies={},
    hostname="mx.example.com",
)


@dataclass
class FakeCheck:
    name: str
    layer: int
    verdict: Verdict | None = None
    breaks: Exception | None = None
    until: asyncio.Event | None = None
    then: asyncio.Event | None = None
    ran: bool = field(default=False)
    spam: bool = False

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        self.ran = True
        if self.then:
            self.then.set()
        if self.until:
            await self.until.wait()
        if self.breaks:
            raise self.breaks
        return [Finding(self.name, "SEEN", 1.0, verdict=self.verdict)]

    def failed(self, server: str, cause: str) -> Finding:
        return Finding(self.name, "scanner-failed", evidence=cause, failure=OnFailure.DEFER)


async def run(*checks: FakeCheck, timeout_s: float = 5) -> list[tuple[str, str]]:
    findings = (await Layers(checks).judge(Message(b"x"), TRANSACTION, timeout_s)).findings
    return [(finding.check, finding.symbol) for finding in findings]


async def test_layers_run_in_their_order() -> None:
    assert await run(FakeCheck("c", 3), FakeCheck("a", 1), FakeCheck("b", 2)) == [
        ("a", "SEEN"),
        ("b", "SEEN"),
        ("c", "SEEN"),
    ]


async def test_checks_of_one_layer_run_together() -> None:
    one, two = asyncio.Event(), asyncio.Event()
    checks = FakeCheck("a", 1, until=one, then=two), FakeCheck("b", 1, until=two, then=one)
    assert await run(*checks) == [("a", "SEEN"), ("b", "SEEN")]


@pytest.mark.parametrize(
    ("verdict", "goes_on"),
    [(Verdict.VIRUS, False), (Verdict.BANNED, False), (Verdict.UNCHECKED, True), (Verdict.SPAM, True), (None, True)],
)
async def test_a_sure_finding_ends_the_layers(verdict: Verdict | None, goes_on: bool) -> None:
    same, later = FakeCheck("same", 2), FakeCheck("later", 3)
    await run(FakeCheck("first", 2, verdict), same, later)
    assert same.ran
    assert later.ran is goes_on


async def test_a_check_that_overruns_fails_and_the_others_count() -> None:
    checks = FakeCheck("slow", 1, until=asyncio.Event()), FakeCheck("quick", 1)
    assert await run(*checks, timeout_s=0.05) == [("slow", "scanner-failed"), ("quick", "SEEN")]


async def test_later_layers_fail_where_the_time_is_used_up() -> None:
    checks = FakeCheck("slow", 1, until=asyncio.Event()), FakeCheck("later", 2, until=asyncio.Event())
    assert await run(*checks, timeout_s=0.05) == [("slow", "scanner-failed"), ("later", "scanner-failed")]


@pytest.mark.parametrize("error", [KeyError("\x1b[2J"), TimeoutError("of its own"), RecursionError()])
async def test_a_check_that_breaks_fails_and_the_others_count(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    layers = Layers((FakeCheck("bad", 1, breaks=error), FakeCheck("good", 1)))
    findings = (await layers.judge(Message(b"x"), TRANSACTION, 5)).findings
    assert [(finding.check, finding.failure) for finding in findings] == [("bad", OnFailure.DEFER), ("good", None)]
    assert type(error).__name__ in findings[0].evidence
    assert "\x1b" not in findings[0].evidence
    assert "id1" in caplog.text


async def test_cancelling_is_no_finding() -> None:
    started = asyncio.Event()
    task = asyncio.create_task(run(FakeCheck("a", 1, until=asyncio.Event(), then=started)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_checks_are_said_so() -> None:
    (finding,) = (await Layers(()).judge(Message(b"x"), TRANSACTION, 5)).findings
    assert finding.symbol == NO_SCANNER
    assert finding.failure is None
