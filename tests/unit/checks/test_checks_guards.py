"""Guards: who is blamed for a scanner's trouble, what it is spared, and which symbols only mark because their share jumped."""

import asyncio
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpp.checks.guards.guard import Guard
from mpp.checks.guards.jumps import WINDOW_S, Jumps, Share, deciding, jumped, rolled
from mpp.checks.guards.settings import Guards
from mpp.checks.guards.troubles import Troubles
from mpp.checks.layers.judge import Layers
from mpp.checks.scanners.kinds import Spamd
from mpp.checks.scanners.scanner import Tools
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.net.shared import SharedRows
from mpp.verdict.decide import decide
from mpp.verdict.finding import SCANNER_FAILED, SPAM_SCANNED, SPARED, VIRUS_SCANNED, Counts, Finding, Verdict
from mpp.verdict.plan import Disposition
from mpp.verdict.policy import Marks
from mpp.verdict.transaction import Transaction
from servers.scripted import Handler, Serve, read_spamd, spamd_answer

BAD, OTHER = b"bad digest", b"another digest"


def transaction(digest: bytes) -> Transaction:
    return Transaction(
        id="id1",
        envelope=Envelope("s@example.org", (Recipient("r@example.com"),)),
        client=Client("192.0.2.7"),
        message=None,
        size=1,
        listener="edge",
        stage="edge",
        direction="inbound",
        trusted=False,
        ours=frozenset({"r@example.com"}),
        policies={},
        hostname="mx.example.com",
        digest=digest,
    )


# Troubles


def test_a_crash_is_the_messages_fault_only_where_the_scanner_works_for_others() -> None:
    troubles = Troubles()
    troubles.crashed("sa", BAD, 1000.0)
    assert troubles.of("sa", BAD, 1000.0) == 0  # it never answered anybody
    troubles.answered("sa", OTHER, 1010.0)
    troubles.crashed("sa", BAD, 1600.0)
    troubles.crashed("sa", BAD, 1611.0)  # no answer for more than ten minutes: the scanner is ill
    assert troubles.of("sa", BAD, 1611.0) == 1
    assert troubles.of("av", BAD, 1611.0) == troubles.of("sa", OTHER, 1611.0) == 0


def test_a_stall_is_the_messages_fault_only_where_others_were_answered_meanwhile() -> None:
    troubles = Troubles()
    troubles.answered("sa", OTHER, 99.0)
    troubles.stalled("sa", BAD, begun=100.0, now=140.0)
    assert troubles.of("sa", BAD, 140.0) == 0
    troubles.answered("sa", OTHER, 120.0)
    troubles.stalled("sa", BAD, begun=100.0, now=140.0)
    assert troubles.of("sa", BAD, 140.0) == 1


def test_an_answer_and_a_day_make_it_forgotten() -> None:
    troubles = Troubles()
    troubles.answered("sa", OTHER, 100.0)
    troubles.crashed("sa", BAD, 101.0)
    troubles.answered("sa", BAD, 102.0)
    assert troubles.of("sa", BAD, 103.0) == 0
    troubles.crashed("sa", BAD, 104.0)
    assert (troubles.of("sa", BAD, 105.0), troubles.of("sa", BAD, 105.0 + 86400)) == (1, 0)


def test_workers_count_together_and_a_message_without_a_digest_not_at_all() -> None:
    rows = SharedRows(2, 64, 3)
    one, two = Troubles(rows, 0), Troubles(rows, 1)
    for troubles in (one, two):
        troubles.answered("sa", OTHER, 100.0)
        troubles.crashed("sa", BAD, 101.0)
        troubles.crashed("sa", b"", 101.0)
    assert one.of("sa", BAD, 102.0) == two.of("sa", BAD, 102.0) == 2
    assert one.of("sa", b"", 102.0) == 0


def over_bad_ones(fault: str) -> Handler:
    """A spamd that crashes or stalls over a message with the word BAD."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, data = await read_spamd(reader)
        if b"BAD" not in data:
            writer.write(spamd_answer("1.0", b""))
        elif fault == "stall":
            await reader.read()

    return handler


@pytest.mark.parametrize("fault", ["crash", "stall"])
async def test_a_message_over_which_a_scanner_fails_twice_is_held_and_the_scanner_spared(
    serve: Serve, fault: str
) -> None:
    served = await serve(over_bad_ones(fault))
    troubles = Troubles()
    check = Spamd(name="sa", kind="spamd", servers=(served.address,), timeout=1.0 if fault == "stall" else 20).check(
        Tools(troubles=troubles)
    )
    layers = Layers([check], guard=Guard(troubles, Jumps(Guards(), SharedRows(1, 8, 6), 0, lambda *_: None), 2))

    async def send(text: bytes, digest: bytes) -> list[Finding]:
        return (await layers.judge(Message(b"Subject: x\r\n\r\n" + text), transaction(digest), 5)).findings

    async def works() -> None:
        while SPAM_SCANNED not in {each.symbol for each in await send(b"good\r\n", OTHER)}:
            await asyncio.sleep(0.01)

    await works()
    first, *_ = await asyncio.gather(send(b"BAD\r\n", BAD), *(send(b"good\r\n", OTHER) for _ in range(3)))
    assert [each.symbol for each in first] == [SCANNER_FAILED]
    await works()
    second, *_ = await asyncio.gather(send(b"BAD\r\n", BAD), *(send(b"good\r\n", OTHER) for _ in range(3)))
    await works()
    asked = served.connections
    third = await send(b"BAD\r\n", BAD)
    assert [(each.symbol, each.evidence) for each in (*second, *third)] == [(SPARED, "2 times")] * 2
    assert served.connections == asked  # no storm of retries
    fate = decide(transaction(BAD), Marks(), third).fates["r@example.com"]
    assert (fate.disposition, fate.rule) == (Disposition.QUARANTINE, "guards.troubles")
    await works()


@pytest.mark.parametrize("fault", ["crash", "stall"])
async def test_a_scanner_that_fails_at_every_message_blames_none(serve: Serve, fault: str) -> None:
    served = await serve(over_bad_ones(fault))
    troubles = Troubles()
    check = Spamd(name="sa", kind="spamd", servers=(served.address,), timeout=0.05).check(Tools(troubles=troubles))
    layers = Layers([check], guard=Guard(troubles, Jumps(Guards(), SharedRows(1, 8, 6), 0, lambda *_: None), 2))
    for _ in range(4):
        judged = await layers.judge(Message(b"\r\nBAD\r\n"), transaction(BAD), 5)
        assert [each.symbol for each in judged.findings] == [SCANNER_FAILED]


async def test_nobody_is_blamed_for_a_server_that_is_gone(serve: Serve) -> None:
    troubles = Troubles()
    troubles.answered("sa", OTHER, 1e12)
    check = Spamd(name="sa", kind="spamd", servers=("127.0.0.1:1",)).check(Tools(troubles=troubles))
    for _ in range(3):
        await check.examine(Message(b"\r\nBAD\r\n"), transaction(BAD))
    assert troubles.of("sa", BAD, 1e12) == 0


# Jumps


def points(symbol: str, score: float, check: str = "sa", **more: object) -> Finding:
    return Finding(check, symbol, score, **more)


@pytest.mark.parametrize(
    ("findings", "names"),
    [
        ([points("A", 7)], {"sa/A"}),
        ([points("A", 5), points("B", 1.5)], {"sa/A", "sa/B"}),
        ([points("A", 5), points("B", 4), points("C", 3)], set()),
        ([points("A", 7), points("B", 7)], set()),
        ([points("A", 7), points("B", 7), Finding("other", SPAM_SCANNED)], {"sa"}),
        ([points("A", 7), points("B", 7, "other")], set()),
        ([points("A", 4)], set()),
        ([points("A", 7, counts=Counts.NOTHING)], set()),
        ([points("A", 7, counts=Counts.MARKS)], {"sa/A"}),
        ([Finding("av", "V", verdict=Verdict.VIRUS), points("A", 9)], {"av/V"}),
        ([Finding("av", "V", verdict=Verdict.VIRUS), Finding("b", VIRUS_SCANNED)], {"av", "av/V"}),
        ([Finding("av", "V", verdict=Verdict.VIRUS), Finding("b", "V", verdict=Verdict.BANNED)], set()),
    ],
)
def test_what_decides_alone(findings: list[Finding], names: set[str]) -> None:
    assert set(deciding(findings, 6.2)) == names


@pytest.mark.parametrize(
    ("share", "before", "after"),
    [
        (Share(100, 1000, 10, 1000), False, True),
        (Share(49, 1000, 10, 1000), False, False),
        (Share(49, 1000, 10, 1000), True, True),
        (Share(24, 1000, 10, 1000), True, False),
        (Share(19, 100, 0, 1000), False, False),
        (Share(20, 100, 0, 1000), False, True),
        (Share(20, 10_000, 0, 100_000), False, False),
        (Share(100, 1000, 0, 499), False, False),
        (Share(0, 0, 0, 0), True, False),
    ],
)
def test_what_a_jump_is(share: Share, before: bool, after: bool) -> None:
    assert jumped(share, Guards(), before=before) is after


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 400), st.integers(0, 400))
def test_windows_pass_alike_one_by_one_or_at_once(now: int, before: int, usual: int, some: int, more: int) -> None:
    stepped = rolled(more, *rolled(some, now, before, usual))
    at_once = rolled(some + more, now, before, usual)
    assert stepped[:2] == at_once[:2]
    assert stepped[2] == pytest.approx(at_once[2], rel=1e-3, abs=10)


HAM = [points("HTML", 0.1)]
SPAM = [points("BAYES", 3.5), points("URIBL", 2.0), points("FROM", 1.8), points("SUBJ", 1.2)]
BROKEN = [points("NEW_RULE", 8.0)]


class Mail:
    """Mail through the guards of two workers, two messages a second."""

    def __init__(self, **settings: object) -> None:
        rows = SharedRows(2, 64, 6)
        self.told: list[tuple[str, bool]] = []
        self.workers = [Jumps(Guards(**settings), rows, slot, self.tell) for slot in range(2)]
        self.now, self.draw = 1e5, random.Random(3)

    def tell(self, name: str, is_up: bool, share: Share) -> None:
        self.told.append((name, is_up))

    def flow(self, seconds: float, kinds: list[tuple[float, list[Finding]]]) -> list[list[Finding]]:
        """Return what became of the findings, message by message; each kind with its weight."""
        weights, findings = zip(*kinds, strict=True)
        seen = []
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            worker = self.draw.choice(self.workers)
            seen.append(worker.limited(self.draw.choices(findings, weights)[0]))
            worker.note(seen[-1], 6.2, self.now)
        return seen


def test_a_rule_that_goes_wild_only_marks_after_few_messages_and_is_told() -> None:
    mail = Mail()
    mail.flow(3600, [(80, HAM), (19, SPAM), (1, BROKEN)])
    assert not mail.told
    seen = mail.flow(600, [(50, HAM), (20, SPAM), (30, BROKEN)])
    wild = [findings[0].counts for findings in seen if findings[0].symbol == "NEW_RULE"]
    assert wild[:50].count(Counts.FULL) < 50
    assert set(wild[150:]) == {Counts.MARKS}
    assert {name for name, is_up in mail.told if is_up} >= {"sa/NEW_RULE"}
    assert all(each.counts is Counts.FULL for findings in seen for each in findings if each.symbol in ("BAYES", "HTML"))
    mail.flow(1500, [(80, HAM), (19, SPAM), (1, BROKEN)])  # it is mended
    (findings, *_) = mail.flow(0.5, [(1, BROKEN)])
    assert findings[0].counts is Counts.FULL
    assert ("sa/NEW_RULE", False) in mail.told


def test_a_wave_of_spam_that_many_symbols_see_is_no_jump_of_a_symbol() -> None:
    mail = Mail()
    wave = [*SPAM, *(points(f"W{number}", 2.5) for number in range(4))]
    mail.flow(3600, [(80, HAM), (20, SPAM)])
    mail.flow(1200, [(30, HAM), (70, wave)])
    assert not [name for name, _ in mail.told if "/" in name]


VIRUS = [Finding("av", "Broken.Signature", verdict=Verdict.VIRUS)]


@pytest.mark.parametrize(("demote", "counts"), [("spam", Counts.FULL), ("all", Counts.MARKS), ("none", Counts.FULL)])
def test_viruses_are_told_and_by_default_stay_viruses(demote: str, counts: Counts) -> None:
    """Whoever floods us with one virus must not open the door to it."""
    mail = Mail(demote=demote)
    mail.flow(1200, [(1, HAM)])
    mail.flow(300, [(50, HAM), (50, VIRUS)])
    assert ("av/Broken.Signature", True) in mail.told
    for worker in mail.workers:
        if worker.demoted:
            assert worker.limited(VIRUS)[0].counts is counts


def test_windows_are_of_the_nodes_clock() -> None:
    rows = SharedRows(1, 8, 6)
    jumps = Jumps(Guards(), rows, 0, lambda *_: None)
    jumps.note(BROKEN, 6.2, 0.0)
    assert jumps.share("sa/NEW_RULE", 1) == Share(1, 1, 0, 0)
    later = jumps.share("sa/NEW_RULE", int(3 * WINDOW_S / WINDOW_S))
    assert replace(later, usual_hits=0, usual_messages=0) == Share(0, 0, 0, 0)
    assert 0.9 < later.usual_hits <= 1
