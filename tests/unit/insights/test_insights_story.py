"""The story of a trace, beside golden files: `golden/NAME.txt` is what an operator reads. MPP_GOLDEN=write makes them anew."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mpp.checks.layers.judge import Judged
from mpp.gateway.delivery import Outcome, State
from mpp.gateway.holding import HELD
from mpp.gateway.outcomes import NOT_KEPT
from mpp.gateway.received import Received, Result
from mpp.gateway.tracing import trace_of
from mpp.insights.story import MOST_FINDINGS, moment, size, story
from mpp.mail.envelope import Client, Envelope
from mpp.mail.message import Limits, Message
from mpp.protocols.smtp.reply import Reply
from mpp.store.events import Event
from mpp.store.trace import CopyTrace, Trace
from mpp.verdict.finding import Counts, Finding, OnFailure, Verdict
from mpp.verdict.plan import Disposition, Fate, Plan

GOLDEN = Path(__file__).parent / "golden"
CLIENT = Client("192.0.2.1", 4242, "mx.example.com", "mx.example.com", "ESMTPS", "TLSv1.3 TLS_AES_256_GCM_SHA384")
CLEAN = Trace(
    id="5ae5b03c0bf2b4a551fc52cc",
    at_ms=1_795_771_586_736,
    listener="mx",
    direction="inbound",
    client=CLIENT,
    reverse_path="ann@example.com",
    size=2048,
    message_id="<1@example.com>",
    took_ms=3.25,
    checked_ms=1.5,
    verdict="clean",
    findings=(Finding("layers", "no-scanner"),),
    why=("No check found anything; policies.default: delivered",),
    copies=(
        CopyTrace("bob@example.org", "accepted", "deliver", "policies.default", "clean", 0.0,
                  "250 2.0.0 Ok: queued as 4XyZ", "10.0.0.1:25"),
    ),
    reply="250 2.0.0 Ok: queued as 4XyZ",
    settings="40b1200b379b",
)  # fmt: skip


def held_trace() -> Trace:
    """A trace of the gateway itself: held by a rule, since others got it, and what could not be held."""
    accepted, spam = Verdict.CLEAN, Verdict.SPAM
    fates = {
        "bob@example.org": Fate(Disposition.QUARANTINE, "policies.default.virus", verdict=Verdict.VIRUS),
        "eve@example.org": Fate(Disposition.QUARANTINE, "policies.default.virus", verdict=Verdict.VIRUS),
        "full@example.org": Fate(Disposition.DELIVER, "policies.default", verdict=accepted),
        "strict@example.org": Fate(
            Disposition.REJECT, "policies.strict.reject_above", "554 no", verdict=spam, score=7.0
        ),
    }
    outcomes = {
        "bob@example.org": Outcome(State.HELD, HELD, "", "policies.default.virus"),
        "eve@example.org": Outcome(State.DEFERRED, NOT_KEPT, "", "disk full"),
        "full@example.org": Outcome(State.HELD, HELD, "", "next hop"),
        "strict@example.org": Outcome(State.HELD, HELD, "", "policies.strict.reject_above"),
    }
    message: Any = SimpleNamespace(message=Message(b"Subject: x\r\n\r\n", Limits()))
    plan = Plan(Verdict.VIRUS, 7.0, fates, ())
    result = Result({}, HELD, outcomes, plan, message, Judged([], ()), b"", 0.0)
    listener: Any = SimpleNamespace(name="mx")
    received = Received(
        id="1", listener=listener, client=CLIENT, trusted=False, direction="inbound", envelope=Envelope("ann@example.com", ()),
        accepted=(), data=b"", eight_bit=False, arrived=0.0, deadline=1.0, gone=lambda: False,
    )  # fmt: skip
    refused = [("nobody@example.org", Reply(550, "5.1.1", "unknown"))]
    return trace_of(received, result, 0.0, 0, "", lambda _: "default", refused)


HELD_TRACE = held_trace()
STORIES = {
    "clean": (CLEAN, ()),
    "marked": (
        CLEAN._replace(verdict="spam",
            score=7.501,
            findings=(
                Finding("spamd", "HTML_MESSAGE", 0.001, "BODY: HTML included in message"),
                Finding("spamd", "BAYES_99", 3.5, "Bayes spam probability is 99 to 100%"),
                Finding("spamd", "URI_X", 4.0, counts=Counts.MARKS, limit="votes.two-of-three"),
                Finding("clamd", "scanner-failed", evidence="10.0.0.9:3310: refused", failure=OnFailure.CONTINUE),
            ),
            timings={"spamd": 250.0, "clamd": 5000.1},
            why=("The score is 7.501: URI_X (spamd) 4, BAYES_99 (spamd) 3.5",
                 "7.501 reaches policies.default.mark_above = 5: spam"),
            copies=(CLEAN.copies[0]._replace(disposition="tag", rule="policies.default.mark_above", verdict="spam", score=7.501,
                            edits=("-X-Spam-Status", "+X-Spam-Flag", "+X-Spam-Score", "=Subject")),),
            breaks=("example.com/sel",),
        ),
        (),
    ),
    "held and released": (
        CLEAN._replace(verdict="virus",
            findings=(Finding("clamd", "Eicar-Test-Signature", verdict=Verdict.VIRUS),),
            copies=HELD_TRACE.copies,
            stored=HELD_TRACE.stored,
            reply=HELD_TRACE.reply,
        ),
        (Event("user:bob@example.org", "viewed", at_ms=1_795_771_600_000, recipient="bob@example.org"),
         Event("command:root", "released", at_ms=1_795_771_700_000, detail={"reply": "250 ok"})),
    ),
    "next hops that did not take it": (
        CLEAN._replace(copies=(
                CopyTrace("a@example.org", "refused", "deliver", "policies.default", "clean", 0.0, "550 5.1.1 no such user", "10.0.0.1:25"),
                CopyTrace("b@example.org", "deferred", "deliver", "policies.default", "clean", 0.0, "451 4.4.1 down", "10.0.0.2:25", "connection refused"),
                CopyTrace("c@example.org", "unknown", "deliver", "policies.default", "clean", 0.0, "451 4.4.2 silent", "10.0.0.2:25", "no answer in time"),
                CopyTrace("d@example.org", "accepted", reply="250 2.0.0 Ok", host="memo"),
            ),
            reply="451 4.3.0 partly",
        ),
        (),
    ),
    "refused at the door": (
        Trace("77", 1_795_771_586_736, "refused", "mx", client=Client("2001:db8::1", 25, "", "x", "ESMTP"), reverse_path="",
              copies=(CopyTrace("x@elsewhere.example", "refused", reply="550 5.7.1 Relaying denied"),
                      CopyTrace("y@example.org", "deferred", reply="451 4.4.1 Next hop down"))),
        (),
    ),
    "counted": (Trace("counted-1", 1_795_771_586_736, "counted", client=Client("192.0.2.9"), number=234), ()),
    "hostile": (
        CLEAN._replace(reverse_path="a\x1b[2Jb@\u202eexample.com\r\nForged: line",
            message_id="<" + "x" * 1000 + ">",
            client=replace(CLIENT, helo="[bold]\x9b31m", name="\udcff"),
            findings=(Finding("spamd", "A\nB", 1.0, "text\twith\x00nul", "line\u2028two", Verdict.SPAM),),
            copies=(CopyTrace("r\x07@example.org", "accepted", "new-kind", "rule\n", reply="250 ok\r\n250 forged", host="h\n", cause="c\n", edits=("+X\n",)),),
            why=("For a\nb: so",),
            reply="250 \x1b]0;title\x07",
        ),
        (Event("actor\n", "did\n", detail={"k\n": "v\n"}),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_the_story_is_the_golden_one(name: str):
    trace, events = STORIES[name]
    told = "\n".join(story(trace, events)) + "\n"
    path = GOLDEN / f"{name.replace(' ', '-')}.txt"
    if os.environ.get("MPP_GOLDEN") == "write":
        path.write_text(told)
    assert told == path.read_text()


@pytest.mark.parametrize("name", STORIES)
def test_no_line_holds_what_a_terminal_obeys(name: str):
    for line in story(*STORIES[name]):
        assert line.isprintable(), line
        assert "forged" not in line.split(" ")[:1]


def test_very_many_findings_are_cut():
    many = CLEAN._replace(findings=tuple(Finding("x", f"T{number}", 1.0) for number in range(100)))
    lines = story(many)
    assert f"  and {100 - MOST_FINDINGS} findings more" in lines
    assert sum(line.startswith("  x: T") for line in lines) == MOST_FINDINGS


def test_sentences_of_the_decision_are_not_escaped_twice():
    assert "  spamd found a\\x1bb" in story(CLEAN._replace(why=("spamd found a\\x1bb",)))


def test_units():
    assert [size(each) for each in (0, 1023, 1536, 3 << 20)] == ["0 octets", "1023 octets", "1.5 KiB", "3.0 MiB"]
    assert moment(0) == "1970-01-01 00:00:00 UTC"
    assert moment(10**30) == f"{10**30} ms"
