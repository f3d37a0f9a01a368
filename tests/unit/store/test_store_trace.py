"""The trace as a value and as a line, what finds it, and what a tenant may see of it."""

import json
import sys

import pytest

from mpp.mail.edits import Edit
from mpp.mail.envelope import Client
from mpp.store.trace import CopyTrace, Trace, folded, queue_id, seen_by, words
from mpp.store.trace_line import TraceError, read, write
from mpp.verdict.finding import Act, Action, Counts, Finding, Listed, OnFailure, Verdict

FULL = Trace(
    id="a1b2",
    at_ms=1_795_000_000_000,
    listener="mx",
    direction="inbound",
    client=Client("192.0.2.1", 4242, "mx.example.com", "helo\x1b[2J", "ESMTPS", "TLSv1.3 X", "user"),
    reverse_path="Sender@Example.com",
    size=2048,
    message_id="<Abc@Example.com>",
    took_ms=12.5,
    checked_ms=10.0,
    verdict="spam",
    score=7.5,
    findings=(
        Finding("spamd", "BAYES_99", 3.5, "outside \udcff text"),
        Finding("clamd", "scanner-failed", evidence="down", failure=OnFailure.CONTINUE),
        Finding("clamd", "Eicar", verdict=Verdict.VIRUS, recipients=frozenset({"a@x.example", "b@x.example"})),
        Finding("lists", "blocked", listed=Listed.BLOCK, counts=Counts.MARKS, limit="votes.x"),
    ),
    timings={"spamd": 9.25},
    why=("For a@x.example: because", "It is so"),
    breaks=("example.com/sel",),
    copies=(
        CopyTrace("a@x.example", "accepted", "tag", "policies.default.mark_above", "spam", 7.5,
                  "250 2.0.0 Ok: queued as 4XyZ", "10.0.0.1:25", "", ("+X-Spam-Flag",), "one"),
        CopyTrace("b@y.example", "refused", "deliver", reply="550 5.1.1 no", host="10.0.0.2:25", tenant="two"),
    ),
    reply="451 4.3.0 partly",
    settings="abcdef",
    stored=True,
)  # fmt: skip


def test_a_line_holds_all_of_it():
    line = write(FULL)
    assert line.isascii()
    assert "\n" not in line
    assert read(line) == FULL


def test_what_is_empty_takes_no_room():
    assert json.loads(write(Trace("id", 5))) == {"v": 1, "id": "id", "at": 5, "kind": "message", "from": "", "client": {"protocol": "SMTP"}, "rcpt": []}  # fmt: skip
    assert read(write(Trace("id", 5))) == Trace("id", 5)


@pytest.mark.parametrize("line", ["", "{", "[]", "{}", '{"v":2}', '{"v":1,"id":"x"}', b"\xff", '{"v":1,"id":1,"at":2,"client":3,"rcpt":[]}'])  # fmt: skip
def test_what_is_no_trace_is_refused(line):
    with pytest.raises(TraceError):
        read(line)


def test_scores_that_are_no_numbers_stay_json():
    odd = Trace("id", 5, findings=(Finding("x", "Y", float("inf")),))
    assert read(write(odd)).findings[0].score == float("inf")
    assert "Infinity" not in write(odd)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("250 2.0.0 Ok: queued as 4XyZ12345", "4XyZ12345"),  # Postfix
        ("250 2.0.0 from MTA(smtp:[::1]:10025): 250 2.0.0 Ok: queued as ABC", "ABC"),  # amavisd before it
        ("250 OK id=1tAbCd-000000-XX", "1tAbCd-000000-XX"),  # Exim
        ("250 2.6.0 <x@y> [InternalId=5] Queued mail for delivery as q17.", "q17"),
        ("250 2.0.0 Ok", ""),
        ("250 ok queued as ", ""),
    ],
)
def test_the_queue_id_of_a_next_hop(reply, found):
    assert queue_id(reply) == found


def test_a_trace_is_found_by_what_people_know_of_it():
    assert set(words(FULL, "one")) == {
        "a1b2", "abc@example.com", "sender@example.com", "192.0.2.1", "a@x.example", "4XyZ",
    }  # fmt: skip
    assert "4XyZ" not in set(words(FULL, "two"))
    assert folded(" <Abc@Example.com> ") == "abc@example.com"
    assert folded("4XyZ") == "4XyZ"


def test_a_tenant_sees_its_own_recipients_only():
    seen = seen_by(FULL, "two")
    assert seen is not None
    assert [copy.recipient for copy in seen.copies] == ["b@y.example"]
    assert "@x.example" not in write(seen)
    assert seen_by(FULL, "three") is None
    assert seen_by(FULL, None) is FULL


def test_what_a_finding_changes_is_not_kept_with_what_is_said_of_it():
    document = bytes(range(100))
    before = sys.getrefcount(document)
    action = Action(Act.STRIP, "attachments.macros", "cleaned", Edit(10, 20, document))
    finding = Finding("attachments", "macros", actions=(action,))
    assert '"symbol":"macros"' in write(Trace("i", 1, findings=(finding,)))
    del action, finding
    assert sys.getrefcount(document) == before
