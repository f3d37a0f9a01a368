import sys

import pytest

from mpp.mail.edits import Edit
from mpp.verdict.decide import decide
from mpp.verdict.finding import Act, Action, Counts, Finding, OnFailure, Verdict
from mpp.verdict.plan import Disposition
from mpp.verdict.policy import Marks, Policy

ANNA, BEN = "anna@example.com", "ben@example.com"
EICAR = Finding("clamd", "Eicar-Test-Signature", verdict=Verdict.VIRUS)
BANNED = Finding("attachments", "exe", verdict=Verdict.BANNED)
ENCRYPTED = Finding("clamd", "Heuristics.Encrypted.Zip", verdict=Verdict.UNCHECKED)
FORGED = Finding("backscatter", "no-tag", verdict=Verdict.FORGED_BOUNCE)
DEAD = Finding("clamd", "scanner-failed", evidence="127.0.0.1:3310: refused", failure=OnFailure.DEFER)
DEAD_HOLD = Finding("clamd", "scanner-failed", failure=OnFailure.QUARANTINE)
DEAD_GO = Finding("spamd", "scanner-failed", failure=OnFailure.CONTINUE)
TOO_LARGE = Finding(
    "clamd", "too-large", verdict=Verdict.UNCHECKED, refusal="552 5.3.4 Message too large to be checked"
)
TOO_LARGE_GO = Finding("spamd", "too-large")


def score(points, symbol="GTUBE", **more):
    return Finding("spamd", symbol, points, **more)


def soft(points, symbol="HEAVY", **more):
    return Finding("x", symbol, points, counts=Counts.MARKS, limit="votes.x-alone", **more)


CASES = {
    "nothing": ([], "clean", "deliver", "policies.default", ""),
    "no scanner": ([Finding("checks", "no-scanner")], "clean", "deliver", "policies.default", ""),
    "good points": ([score(-5.0)], "clean", "deliver", "policies.default", ""),
    "below mark": ([score(6.1)], "clean", "deliver", "policies.default", ""),
    "mark": ([score(6.2)], "spam", "tag", "policies.default.mark_above", ""),
    "mark by a sum": ([score(6.1), score(0.1, "B")], "spam", "tag", "policies.default.mark_above", ""),
    "sum of tenths": ([score(0.1, f"T{n}") for n in range(62)], "spam", "tag", "policies.default.mark_above", ""),
    "almost equal": ([score(6.199999)], "spam", "tag", "policies.default.mark_above", ""),
    "not quite": ([score(6.199)], "clean", "deliver", "policies.default", ""),
    "reject": ([score(15.0)], "spam", "reject", "policies.default.reject_above", "554 5.7.1 Message refused as spam, "),
    "virus": ([EICAR], "virus", "reject", "policies.default.virus", "554 5.7.1 Message refused, it contains a virus (Eicar"),
    "banned": ([BANNED], "banned", "reject", "policies.default.banned", "554 5.7.1 Message refused, content not allowed"),
    "virus and banned": ([BANNED, EICAR], "virus", "reject", "policies.default.virus", "554 5.7.1 "),
    "virus over failure": ([DEAD, EICAR], "virus", "reject", "policies.default.virus", "554 5.7.1 "),
    "banned over failure": ([DEAD, BANNED], "banned", "reject", "policies.default.banned", "554 5.7.1 "),
    "failure over spam": ([DEAD, score(99)], "unchecked", "defer", "scanners.clamd.on_failure", "451 4.7.1 "),
    "failure over size": ([DEAD, TOO_LARGE], "unchecked", "defer", "scanners.clamd.on_failure", "451 4.7.1 "),
    "failure": ([DEAD], "unchecked", "defer", "scanners.clamd.on_failure", "451 4.7.1 Message could not be checked now"),
    "failure, hold": ([DEAD_HOLD], "unchecked", "quarantine", "scanners.clamd.on_failure", ""),
    "failures, wait first": ([DEAD_HOLD, DEAD], "unchecked", "defer", "scanners.clamd.on_failure", "451 4.7.1 "),
    "failure, go on": ([DEAD_GO], "clean", "deliver", "policies.default", ""),
    "failure, go on, spam": ([DEAD_GO, score(7)], "spam", "tag", "policies.default.mark_above", ""),
    "too large": ([TOO_LARGE], "unchecked", "reject", "scanners.clamd.on_oversize", "552 5.3.4 Message too large to be checked"),
    "too large, later": (
        [Finding("clamd", "too-large", refusal="451 4.3.4 Later")],
        "unchecked", "defer", "scanners.clamd.on_oversize", "451 4.3.4 Later",
    ),
    "too large, no reply of it": (
        [Finding("clamd", "too-large", refusal="552 4.3.4 Contradiction")],
        "unchecked", "reject", "scanners.clamd.on_oversize", "554 5.7.1 Message refused, it could not be checked",
    ),
    "too large, go on": ([TOO_LARGE_GO], "clean", "deliver", "policies.default", ""),
    "points that only mark": ([soft(20.0)], "spam", "tag", "policies.default.mark_above", ""),
    "points that only mark, and enough others": (
        [soft(20.0), score(15.0)], "spam", "reject", "policies.default.reject_above", "554 5.7.1 ",
    ),
    "good points are not held back": ([soft(-8.0), score(16.0)], "spam", "tag", "policies.default.mark_above", ""),
    "a virus that only marks": ([soft(0.0, "Eicar", verdict=Verdict.VIRUS)], "spam", "tag", "policies.default", ""),
    "points in shadow": ([score(99, counts=Counts.NOTHING)], "clean", "deliver", "policies.default", ""),
    "a virus in shadow": ([EICAR._replace(counts=Counts.NOTHING)], "clean", "deliver", "policies.default", ""),
    "a failure in shadow": ([DEAD._replace(counts=Counts.NOTHING)], "clean", "deliver", "policies.default", ""),
    "encrypted": ([ENCRYPTED], "unchecked", "tag", "policies.default.unchecked", ""),
    "encrypted spam": ([ENCRYPTED, score(7)], "unchecked", "tag", "policies.default.mark_above", ""),
    "encrypted, sure spam": ([ENCRYPTED, score(20)], "unchecked", "reject", "policies.default.reject_above", "554 5.7.1 "),
    "forged bounce": ([FORGED], "forged-bounce", "tag", "policies.default", ""),
    "forged bounce, spam": ([FORGED, score(16)], "forged-bounce", "reject", "policies.default.reject_above", "554 5.7.1 "),
    "spam by class": ([Finding("lists", "blocked", verdict=Verdict.SPAM)], "spam", "tag", "policies.default", ""),
}  # fmt: skip


@pytest.mark.parametrize("label", CASES)
def test_default_policy(transaction, label):
    findings, verdict, disposition, rule, reply = CASES[label]
    plan = decide(transaction(), Marks(), findings)
    fate = plan.fates[ANNA]
    assert (plan.verdict, fate.disposition, fate.rule) == (verdict, disposition, rule)
    assert fate.reply.startswith(reply)
    assert bool(fate.reply) == bool(reply)
    assert plan.why


POLICY_CASES = {
    "thresholds off": ({"mark_above": None, "reject_above": None}, [score(99)], "clean", "deliver"),
    "reject without mark": ({"mark_above": None}, [score(15)], "spam", "reject"),
    "discard above reject": ({"discard_above": 30.0}, [score(20)], "spam", "reject"),
    "discard": ({"discard_above": 30.0}, [score(30)], "spam", "discard"),
    "reject above discard": ({"discard_above": 10.0}, [score(20)], "spam", "reject"),
    "discard, not yet reject": ({"discard_above": 10.0}, [score(10)], "spam", "discard"),
    "equal: the sender is told": ({"discard_above": 15.0}, [score(15)], "spam", "reject"),
    "zero threshold": ({"mark_above": 0.0}, [], "spam", "tag"),
    "quarantine": ({"quarantine_above": 10.0}, [score(10)], "spam", "quarantine"),
    "quarantine, then reject": ({"quarantine_above": 10.0}, [score(15)], "spam", "reject"),
    "reject, then quarantine": ({"quarantine_above": 20.0}, [score(20)], "spam", "quarantine"),
    "equal: refused before held": ({"quarantine_above": 15.0}, [score(15)], "spam", "reject"),
    "equal: held before thrown away": (
        {"quarantine_above": 15.0, "discard_above": 15.0, "reject_above": None},
        [score(15)],
        "spam",
        "quarantine",
    ),
    "virus quarantine": ({"virus": "quarantine"}, [EICAR], "virus", "quarantine"),
    "banned quarantine": ({"banned": "quarantine"}, [BANNED], "banned", "quarantine"),
    "unchecked quarantine": ({"unchecked": "quarantine"}, [ENCRYPTED], "unchecked", "quarantine"),
    "virus discard": ({"virus": "discard"}, [EICAR], "virus", "discard"),
    "virus discard, scanner dead": ({"virus": "discard"}, [EICAR, DEAD], "virus", "discard"),
    "banned discard": ({"banned": "discard"}, [BANNED], "banned", "discard"),
    "unchecked reject": ({"unchecked": "reject"}, [ENCRYPTED], "unchecked", "reject"),
    "unchecked defer": ({"unchecked": "defer"}, [ENCRYPTED], "unchecked", "defer"),
    "unchecked without mark": ({"unchecked_mark": ""}, [ENCRYPTED], "unchecked", "deliver"),
}


@pytest.mark.parametrize("label", POLICY_CASES)
def test_policy(transaction, label):
    settings, findings, verdict, disposition = POLICY_CASES[label]
    plan = decide(transaction(policy=Policy(**settings)), Marks(), findings)
    assert (plan.verdict, plan.fates[ANNA].disposition) == (verdict, disposition)


@pytest.mark.parametrize(
    ("findings", "ours", "disposition"),
    [
        ([score(20)], True, "quarantine"),
        ([score(20)], False, "quarantine"),
        ([EICAR], True, "quarantine"),
        ([BANNED], True, "quarantine"),
        ([TOO_LARGE], True, "quarantine"),
        ([DEAD], True, "defer"),
        ([score(7)], True, "tag"),
        ([], True, "deliver"),
    ],
)
def test_behind_a_queue_nothing_is_refused_or_lost(transaction, findings, ours, disposition):
    case = transaction(stage="after-queue", ours=frozenset({ANNA} if ours else ()))
    fate = decide(case, Marks(), findings).fates[ANNA]
    assert fate.disposition == disposition
    assert not fate.reply.startswith("5")
    assert fate.reply.startswith("451 4.7.1 ") == (disposition == "defer")


def test_deferring_ends(transaction):
    late = decide(transaction(overdue=True), Marks(), [DEAD]).fates[ANNA]
    assert (late.disposition, late.rule, late.verdict) == ("quarantine", "limits.deferrals", "unchecked")
    assert decide(transaction(overdue=True), Marks(), []).fates[ANNA].disposition == "deliver"


def test_behind_a_queue_a_named_discard_holds(transaction):
    case = transaction(stage="after-queue", policy=Policy(virus="discard"))
    assert decide(case, Marks(), [EICAR]).fates[ANNA].disposition is Disposition.DISCARD


def test_spam_for_others_is_delivered_without_marks(transaction):
    plan = decide(transaction(ours=frozenset()), Marks(), [score(7)])
    assert (plan.verdict, plan.fates[ANNA].disposition, plan.fates[ANNA].edits) == ("spam", "deliver", ())


def test_no_mark_is_set_up_so_it_is_no_tag(transaction):
    plan = decide(transaction(policy=Policy(subject_mark="")), Marks(spam=False), [score(7)])
    assert plan.fates[ANNA].disposition is Disposition.DELIVER


def test_each_recipient_has_a_fate_of_its_own(transaction):
    policies = {ANNA: ("default", Policy()), BEN: ("strict", Policy(reject_above=7.0))}
    findings = [score(7), score(10, "PRIVATE", recipients=frozenset({ANNA}))]
    plan = decide(transaction(recipients=(ANNA, BEN), policies=policies), Marks(), findings)
    assert {address: (fate.disposition, fate.rule, fate.score) for address, fate in plan.fates.items()} == {
        ANNA: ("reject", "policies.default.reject_above", 17.0),
        BEN: ("reject", "policies.strict.reject_above", 7.0),
    }
    assert plan.score == 17.0
    assert [sentence.split(":")[0] for sentence in plan.why] == [f"For {ANNA}"] * 2 + [f"For {BEN}"] * 2


def test_the_worst_verdict_is_the_plans(transaction):
    only_ben = Finding("clamd", "Eicar", verdict=Verdict.VIRUS, recipients=frozenset({BEN}))
    plan = decide(transaction(recipients=(ANNA, BEN)), Marks(), [score(7), only_ben])
    assert plan.verdict is Verdict.VIRUS
    assert (plan.fates[ANNA].verdict, plan.fates[BEN].verdict) == ("spam", "virus")


def test_a_recipient_without_a_policy_has_the_built_in_one(transaction):
    plan = decide(transaction(policies={"x": ("x", Policy())}), Marks(), [score(15)])
    assert plan.fates[ANNA].rule == "policies.default.reject_above"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_ignored_and_named(transaction, bad):
    plan = decide(transaction(), Marks(), [score(7), score(bad, "BROKEN")])
    assert plan.score == 7.0
    assert any("BROKEN" in sentence and "no number" in sentence for sentence in plan.why)


def test_scores_beyond_reason_are_cut(transaction):
    plan = decide(transaction(), Marks(), [score(1.7e308, "A"), score(1.7e308, "B")])
    assert plan.score == 2e6
    assert plan.verdict is Verdict.SPAM


def test_why_names_check_symbol_score_threshold_and_key(transaction):
    assert decide(transaction(), Marks(), [score(5.1, "BAYES_99"), score(1.2, "HTML"), DEAD_GO]).why == (
        "spamd gave no answer; scanners.spamd.on_failure = 'continue': the message goes on without it",
        "The score is 6.3: BAYES_99 (spamd) 5.1, HTML (spamd) 1.2",
        "6.3 reaches policies.default.mark_above = 6.2: spam",
    )


def test_outside_text_in_why_is_escaped(transaction):
    hostile = "x\x1b[31m\r\n\u202eevil"
    plan = decide(transaction(), Marks(), [Finding(hostile, hostile, 7, hostile, hostile, Verdict.VIRUS)])
    assert all(sentence.isprintable() for sentence in plan.why)
    assert plan.fates[ANNA].reply.isascii()
    assert plan.fates[ANNA].reply.isprintable()


COPY = Finding("filters", "c", actions=(Action(Act.COPY, "filters.c", "team@example.com"),))
STRIP = Finding("attachments", "r", actions=(Action(Act.STRIP, "attachments.r", "x"),))
HELD = Finding("attachments", "h", actions=(Action(Act.QUARANTINE, "attachments.h", ""),))
SENSITIVE = Finding("filters", "s", actions=(Action(Act.QUARANTINE, "filters.s", ""),))


@pytest.mark.parametrize(
    ("found", "disposition", "copies"),
    [
        ([COPY, score(8.0)], "quarantine", ("team@example.com",)),
        ([COPY, SENSITIVE], "quarantine", ("team@example.com",)),
        ([COPY, EICAR], "quarantine", ()),
        ([COPY, HELD], "quarantine", ()),
        ([COPY, STRIP, score(8.0)], "quarantine", ()),
        ([COPY, STRIP], "tag", ("team@example.com",)),  # with the edits of the recipient's
    ],
)
def test_a_copy_takes_into_no_mailbox_what_is_held_for_its_files(transaction, found, disposition, copies):
    fate = decide(transaction(policy=Policy(virus="quarantine", quarantine_above=7.0)), Marks(), found).fates[ANNA]
    assert (fate.disposition, fate.copies) == (disposition, copies)


def test_contact_and_id_in_the_reply(transaction):
    reply = decide(transaction(contact="help@example.com"), Marks(), [score(15)]).fates[ANNA].reply
    assert reply == "554 5.7.1 Message refused as spam, contact help@example.com, id {id}"


def test_nothing_is_parsed_where_checks_are_off(transaction):
    plan = decide(transaction(raw=None), Marks(), [score(7)])
    assert plan.fates[ANNA].edits == ()


def test_why_names_what_limits_a_finding(transaction):
    shadow = Finding("new", "ODD", 3.0, counts=Counts.NOTHING, limit="scanners.new.shadow")
    why = decide(transaction(), Marks(), [soft(20.0), shadow]).why
    assert why == (
        "new found ODD 3, which does not count (scanners.new.shadow)",
        "The score is 20: HEAVY (x, only marks: votes.x-alone) 20",
        "20 reaches policies.default.reject_above = 15, but not without points that only mark (0 without them)",
        "20 reaches policies.default.mark_above = 6.2: spam",
    )


def test_what_a_lone_finding_changes_is_not_kept(transaction):
    document = bytes(range(100))
    before = sys.getrefcount(document)
    action = Action(Act.STRIP, "attachments.macros", "cleaned", Edit(10, 20, document))
    fate = decide(transaction(), Marks(), [Finding("attachments", "macros", actions=(action,))]).fates[ANNA]
    assert document in [edit.replacement for edit in fate.edits]
    del action, fate
    assert sys.getrefcount(document) == before
