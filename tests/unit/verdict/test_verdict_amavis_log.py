"""Lines as amavisd writes them; the pattern is the one that log readers commonly use."""

import re

import pytest

from mpp.mail.envelope import Envelope, Recipient
from mpp.verdict.amavis_log import Answer, amavis_lines
from mpp.verdict.decide import decide
from mpp.verdict.finding import SPAM_SCANNED, Finding, OnFailure, Verdict
from mpp.verdict.policy import Marks, Policy

ANNA, BEN = "anna@example.com", "ben@example.com"
TAKEN = Answer("accepted", "250 2.0.0 Ok: queued as 4XyZ12")
LOOKED = Finding("spamd", SPAM_SCANNED)
EICAR = Finding("clamd", "Eicar-Test-Signature", verdict=Verdict.VIRUS)
FORM = re.compile(
    r"\(\S+\) (Passed|Blocked) ([A-Z-]+)(?: \([^)]*\))? \{[A-Za-z,]+\}, (?:\[[0-9a-f.:]+\](?::\d+)? )?<[^<>]*> -> <[^<>]*>(?:,<[^<>]*>)*"
    r"(?:, Queue-ID: \S+)?(?:, Message-ID: <[^<>]*>)?, mail_id: \S+, Hits: (?:-|-?[\d.]+), size: \d+(?:, queued_as: \S+)?, \d+ ms"
)
START, MIDDLE = "[192.0.2.1]:4242 <b@example.org> -> <anna@example.com>", "Message-ID: <1@example.org>, mail_id: id1"


def score(points):
    return [Finding("spamd", "GTUBE", points)]


CASES = {
    "clean": ([LOOKED], {}, TAKEN, f"(id1) Passed CLEAN {{RelayedInbound}}, {START}, {MIDDLE}, Hits: 0, size: 74, queued_as: 4XyZ12, 12 ms"),
    "not scanned": ([], {}, TAKEN, f"(id1) Passed CLEAN {{RelayedInbound}}, {START}, {MIDDLE}, Hits: -, size: 74, queued_as: 4XyZ12, 12 ms"),
    "spammy": (score(7.1), {}, TAKEN, f"(id1) Passed SPAMMY {{RelayedTaggedInbound}}, {START}, {MIDDLE}, Hits: 7.1, size: 74, queued_as: 4XyZ12, 12 ms"),
    "spam": (score(15.1), {}, None, f"(id1) Blocked SPAM {{RejectedInbound}}, {START}, {MIDDLE}, Hits: 15.1, size: 74, 12 ms"),
    "spam, discarded": (score(15.1), {"reject_above": None, "discard_above": 15.0}, None, f"(id1) Blocked SPAM {{DiscardedInbound}}, {START}, {MIDDLE}, Hits: 15.1, size: 74, 12 ms"),
    "spam, quarantined": (score(15.1), {"quarantine_above": 15.0, "reject_above": None}, None, f"(id1) Blocked SPAM {{DiscardedInbound,Quarantined}}, {START}, {MIDDLE}, Hits: 15.1, size: 74, 12 ms"),
    "virus": ([EICAR], {}, None, f"(id1) Blocked INFECTED (Eicar-Test-Signature) {{RejectedInbound}}, {START}, {MIDDLE}, Hits: -, size: 74, 12 ms"),
    "banned": ([Finding("a", "exe", verdict=Verdict.BANNED)], {"banned": "discard"}, None, f"(id1) Blocked BANNED (exe) {{DiscardedInbound}}, {START}, {MIDDLE}, Hits: -, size: 74, 12 ms"),
    "unchecked": ([Finding("clamd", "Enc", verdict=Verdict.UNCHECKED)], {}, TAKEN, f"(id1) Passed UNCHECKED {{RelayedTaggedInbound}}, {START}, {MIDDLE}, Hits: -, size: 74, queued_as: 4XyZ12, 12 ms"),
    "scanner failed": ([Finding("clamd", "scanner-failed", failure=OnFailure.DEFER)], {}, None, f"(id1) Blocked UNCHECKED {{TempFailedInbound}}, {START}, {MIDDLE}, Hits: -, size: 74, 12 ms"),
    "next hop refused": ([LOOKED], {}, Answer("refused", "550 5.1.1 no"), f"(id1) Blocked MTA-BLOCKED {{RejectedInbound}}, {START}, {MIDDLE}, Hits: 0, size: 74, 12 ms"),
    "next hop silent": ([LOOKED], {}, Answer("unknown"), f"(id1) Blocked MTA-BLOCKED {{TempFailedInbound}}, {START}, {MIDDLE}, Hits: 0, size: 74, 12 ms"),
}  # fmt: skip


@pytest.mark.parametrize("label", CASES)
def test_line(transaction, label):
    findings, policy, answer, line = CASES[label]
    case = transaction(policy=Policy(**policy))
    answers = {ANNA: answer} if answer else {}
    lines = amavis_lines(case, decide(case, Marks(), findings), findings, answers, took_ms=12.3)
    assert lines == (line,)
    assert FORM.fullmatch(line)


def test_those_who_got_it_and_those_who_did_not_have_a_line_each(transaction):
    case = transaction(recipients=(ANNA, BEN), direction="outbound")
    findings = [Finding("clamd", "Eicar", verdict=Verdict.VIRUS, recipients=frozenset({BEN}))]
    lines = amavis_lines(case, decide(case, Marks(), findings), findings, {ANNA: TAKEN}, took_ms=1, queue_id="4Q")
    assert [line.split(",")[0] for line in lines] == [
        "(id1) Passed CLEAN {RelayedOutbound}",
        "(id1) Blocked INFECTED (Eicar) {RejectedOutbound}",
    ]
    assert all(", Queue-ID: 4Q, " in line and FORM.fullmatch(line) for line in lines)


def test_outside_text_cannot_forge_a_line(transaction):
    evil = "a\r\n(x) Passed CLEAN> -> <b, size: 1"
    raw = b"Message-ID: <a> -> <b>, size: 2\x1b\r\n\r\n"
    findings = [Finding("clamd", evil, verdict=Verdict.VIRUS)]
    case = transaction(raw, recipients=(f'"{evil}"@x',), envelope=Envelope(evil, (Recipient(f'"{evil}"@x'),)))
    (line,) = amavis_lines(case, decide(case, Marks(), findings), findings, {}, took_ms=1)
    assert line.isprintable()
    assert line.count(" -> <") == 1
    assert line.count(", size: ") == 1
    assert FORM.fullmatch(line)
