"""From the end of a transaction to its trace: fates and outcomes joined, edits named, tenants by recipient or by sender."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from mpp.checks.layers.judge import Judged, Run
from mpp.gateway.delivery import Outcome, State
from mpp.gateway.holding import HELD
from mpp.gateway.outcomes import NOT_KEPT
from mpp.gateway.received import Received, Result
from mpp.gateway.tracing import refused_trace, trace_of
from mpp.mail.edits import Edit
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Limits, Message
from mpp.protocols.smtp.reply import Reply
from mpp.verdict.finding import Finding, Verdict
from mpp.verdict.plan import Disposition, Fate, Plan

RAW = b"DKIM-Signature: d=example.com; s=sel; h=subject\r\nX-Spam-Flag: YES\r\nMessage-ID: <1@m>\r\nSubject: x\r\n\r\ntext\r\n"
FLAG, SUBJECT = RAW.index(b"X-Spam-Flag"), RAW.index(b"Subject: ")
EDITS = (
    Edit(0, 0, b"X-Spam-Status: Yes\r\n\tfolded: no field\r\nX-Spam-Score: 7\r\n"),
    Edit(FLAG, len(b"X-Spam-Flag: YES\r\n"), b""),
    Edit(SUBJECT, len(b"Subject: x\r\n"), b"Subject: [spam] x\r\n"),
)
OK = Reply(250, "2.0.0", "queued as 4X")


def received(direction: str = "inbound") -> Received:
    envelope = Envelope("ann@one.example", (Recipient("bob@two.example"), Recipient("eve@two.example")))
    fields: dict[str, Any] = {
        "id": "id", "listener": SimpleNamespace(name="mx"), "client": Client("192.0.2.1"), "trusted": False,
        "direction": direction, "envelope": envelope, "accepted": (), "data": RAW, "eight_bit": False, "arrived": 0.0,
        "deadline": 1.0, "gone": lambda: False,
    }  # fmt: skip
    return Received(**fields)


def result() -> Result:
    fates = {
        "bob@two.example": Fate(Disposition.TAG, "policies.default.mark_above", "", EDITS, Verdict.SPAM, 7.0),
        "eve@two.example": Fate(Disposition.QUARANTINE, "policies.eve.virus", "", (), Verdict.VIRUS, 7.0),
    }
    outcomes = {
        "bob@two.example": Outcome(State.ACCEPTED, OK, "10.0.0.1:25"),
        "eve@two.example": Outcome(State.HELD, HELD, "", "policies.eve.virus"),
    }
    judged = Judged([Finding("spamd", "X", 7.0)], (Run("spamd", 0.0123),))
    transaction: Any = SimpleNamespace(message=Message(RAW, Limits()))
    return Result({}, OK, outcomes, Plan(Verdict.VIRUS, 7.0, fates, ("so",)), transaction, judged, b"", 0.02)


def tenant(address: str) -> str:
    return address.rpartition("@")[2].split(".")[0]


def test_all_of_a_message_is_in_its_trace():
    trace = trace_of(received(), result(), 0.05, 123, "rev", tenant, [("x@two.example", Reply(550, "5.1.1", "no"))])
    assert (trace.id, trace.at_ms, trace.listener, trace.size, trace.message_id) == ("id", 123, "mx", len(RAW), "<1@m>")
    assert (trace.took_ms, trace.checked_ms, trace.timings) == (50.0, 20.0, {"spamd": 12.3})
    assert (trace.verdict, trace.score, trace.why, trace.settings, trace.stored) == ("virus", 7.0, ("so",), "rev", True)
    refused, bob, eve = trace.copies
    assert (refused.recipient, refused.state, refused.reply) == ("x@two.example", "refused", "550 5.1.1 no")
    assert (bob.disposition, bob.rule, bob.host, bob.state) == ("tag", "policies.default.mark_above", "10.0.0.1:25", "accepted")  # fmt: skip
    assert bob.edits == ("+X-Spam-Status", "+X-Spam-Score", "-X-Spam-Flag", "=Subject")
    assert (eve.disposition, eve.verdict, eve.host) == ("quarantine", "virus", "")
    assert trace.breaks == ("example.com/sel",)


def test_stored_says_whether_the_message_itself_is_kept():
    def stored(outcome, archive=False, **fate):
        ended = result()
        ended.outcomes.clear()
        ended.outcomes["bob@two.example"] = outcome
        ended.plan.fates["bob@two.example"] = replace(ended.plan.fates["bob@two.example"], **fate)
        entry: Any = SimpleNamespace(
            recipient=Recipient("bob@two.example"), policy=("default", SimpleNamespace(archive=archive))
        )
        return trace_of(replace(received(), accepted=(entry,)), ended, 0.0, 0, "", tenant).stored

    taken, before = Outcome(State.ACCEPTED, OK, "10.0.0.1:25"), Outcome(State.ACCEPTED, OK, "memo")
    assert stored(Outcome(State.HELD, HELD, ""))
    assert not stored(taken)
    assert stored(taken, archive=True)
    assert stored(taken, held_too="rule")
    assert not stored(before, archive=True)
    assert not stored(Outcome(State.UNARCHIVED, NOT_KEPT, "10.0.0.1:25"), archive=True)
    assert not stored(Outcome(State.DEFERRED, NOT_KEPT, ""), disposition=Disposition.QUARANTINE)


def test_inbound_is_of_the_recipient_outbound_of_the_sender():
    assert trace_of(received(), result(), 0.0, 0, "", tenant).tenants == {"two"}
    assert trace_of(received("outbound"), result(), 0.0, 0, "", tenant).tenants == {"one"}


def test_what_was_refused_before_it_was_judged():
    no = Reply(451, "4.4.1", "down")
    trace = refused_trace("id", "mx", Client("192.0.2.1"), "", [("", no)], "", 5, "rev", tenant)
    assert (trace.kind, trace.copies[0].recipient, trace.copies[0].state) == ("refused", "", "deferred")


def test_a_message_that_was_never_judged_has_a_trace_too():
    refused = Reply(554, "5.4.6", "loop")
    bare = Result({}, refused, {"bob@two.example": Outcome(State.REFUSED, refused, "")})
    trace = trace_of(received(), bare, 0.0, 0, "", tenant)
    assert (trace.verdict, trace.message_id, trace.copies[0].disposition) == ("", "", "")
