"""Chooses for recipients that share findings and policy: the first class that holds, else the score. Pure.

Called by mpp.verdict.decide. The order: virus, banned, blocked by a list, settled by a rule of the content filter (reject,
quarantine, discard), a scanner that failed, a refusal for size,
unchecked by policy, allowed by a list, accepted by a rule, the score. A message that could not be looked into and is to be delivered is still judged by its score, or an encrypted
attachment would be a way around the spam scanner.

Behind a queue (stage `after-queue`) a refusal would make the MTA bounce, mostly to a forged sender (design rule 2): there every
refusal becomes quarantine.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from mpp.mail.escape import printable
from mpp.verdict.acts import CHANGES, beside, first_act, refusal_of, values_of
from mpp.verdict.finding import SPARED, Act, Action, Finding, OnFailure, Verdict
from mpp.verdict.plan import Disposition
from mpp.verdict.policy import Marks, Policy
from mpp.verdict.reasons import gone_on, in_shadow, name_of, names, number, saw, section_of, summed
from mpp.verdict.texts import fill, outside
from mpp.verdict.weigh import Weight

_DONE = {
    "reject": "refused",
    "quarantine": "held in quarantine",
    "discard": "accepted and thrown away",
    "defer": "deferred",
}
_REFUSAL = re.compile(r"(?:4\d\d 4|5\d\d 5)\.\d{1,3}\.\d{1,3} .+", re.ASCII)


class Case(NamedTuple):
    """What a choice depends on, beside the findings. (A tuple: one is made for each message.)"""

    policy: Policy
    marks: Marks  # these two first: mpp.verdict.decide knows them by identity, all that follows by value
    name: str  # of the policy
    ours: bool
    stage: str
    contact: str
    hostname: str
    overdue: bool = False  # the message was deferred for so long that it is not to be deferred again


class Choice(NamedTuple):
    verdict: Verdict
    disposition: Disposition
    rule: str
    why: tuple[str, ...]
    reply: str = ""
    spam: bool = False  # the spam marks are due
    unchecked: bool = False  # the unchecked mark is due
    to: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    held_too: str = ""


def choose(weight: Weight, case: Case) -> Choice:
    """Return the one choice. Never raises."""
    choice = _by_class(weight, case) or _by_score(weight, case)
    if weight.acted:
        choice = _acted(weight.acted, choice)
    if case.stage == "after-queue" and choice.disposition is Disposition.REJECT:
        choice = _behind_a_queue(choice)
    if weight.passed or weight.shadow:
        before = (*map(gone_on, weight.passed), *in_shadow(weight.shadow))
        choice = choice._replace(why=(*before, *choice.why))
    return choice


def _by_class(weight: Weight, case: Case) -> Choice | None:
    """Choose by the classes before spam; None where the score decides."""
    policy = case.policy
    if weight.virus:
        return _sure(Verdict.VIRUS, weight.virus, policy.virus, policy.virus_text, case)
    if weight.banned:
        return _sure(Verdict.BANNED, weight.banned, policy.banned, policy.banned_text, case)
    if weight.blocked:
        return _blocked(weight.blocked, case)
    if weight.acted and (filtered := _filtered(weight.acted, case)):
        return filtered
    if weight.failed:
        return _failed(weight.failed, case)
    if weight.refused:
        return _refused(weight.refused, case)
    if weight.unchecked and policy.unchecked != "deliver":
        return _unchecked(weight.unchecked, case)
    if weight.allowed:
        return _allowed(weight, case)
    if accepting := first_act(weight.acted, (Act.ACCEPT,)):
        return _accepted(weight, *accepting, case)
    return None


def _sure(verdict: Verdict, found: list[Finding], action: str, text: str, case: Case) -> Choice:
    rule = f"policies.{case.name}.{verdict}"
    why = (*map(saw, found), f"{rule} = '{action}': the message counts as {verdict} and is {_DONE[action]}")
    if action != "reject":
        return Choice(verdict, Disposition(action), rule, why)
    return Choice(verdict, Disposition.REJECT, rule, why, _reply("554 5.7.1", text, names(found), case))


def _blocked(blocked: list[Finding], case: Case) -> Choice:
    """The lists stand above the score; the sender is told no more than that it is not wanted."""
    action, rule = case.policy.blocked, f"policies.{case.name}.blocked"
    why = (*(each.text for each in blocked), f"{rule} = '{action}': the message is {_DONE[action]}")
    if action != "reject":
        return Choice(Verdict.SPAM, Disposition(action), rule, why)
    return Choice(
        Verdict.SPAM, Disposition.REJECT, rule, why, _reply("554 5.7.1", case.policy.blocked_text, "", case), spam=True
    )


def _allowed(weight: Weight, case: Case) -> Choice:
    """An allow entry stands for the sender, so the score decides nothing; what could not be looked into keeps its mark."""
    why = (*summed(weight), *map(saw, weight.unchecked), *(each.text for each in weight.allowed))
    return _delivered(weight, case, False, "lists", (*why, "The score decides nothing then: delivered"))


def _filtered(acted: list[Finding], case: Case) -> Choice | None:
    """A rule of the operator that settles the fate; the scanners need not have answered for it."""
    found = first_act(acted, (Act.REJECT, Act.QUARANTINE, Act.DISCARD))
    if found is None:
        return None
    finding, action = found
    if action.act is not Act.REJECT:
        disposition = Disposition(action.act.value)
        why = (saw(finding), f"{action.rule} = '{action.act}': the message is {_DONE[action.act]}")
        return Choice(Verdict.BANNED, disposition, action.rule, why)
    codes, text = refusal_of(action.value)
    disposition, word = (Disposition.DEFER, "defer") if codes[0] == "4" else (Disposition.REJECT, "reject")
    why = (saw(finding), f"{action.rule} = '{word}': the message is {_DONE[word]}")
    return Choice(
        Verdict.BANNED, disposition, action.rule, why, _reply(codes, text or case.policy.banned_text, "", case)
    )


def _accepted(weight: Weight, finding: Finding, action: Action, case: Case) -> Choice:
    why = (*summed(weight), *map(saw, weight.unchecked), saw(finding))
    told = f"{action.rule} = 'accept': the score decides nothing then, delivered"
    return _delivered(weight, case, False, action.rule, (*why, told))


def _acted(acted: list[Finding], choice: Choice) -> Choice:
    """Add what rules do beside the fate: copies, and for what goes on marks, fields and another recipient."""
    goes_on = choice.disposition in (Disposition.DELIVER, Disposition.TAG)
    copies, withheld = _copies(acted, choice, goes_on)
    told = tuple(f"{saw(each)}: {did}" for each in acted if (did := beside(each, goes_on)))
    choice = choice._replace(copies=copies, why=(*choice.why, *told, *withheld))
    if not goes_on:
        return choice
    if stripping := first_act(acted, (Act.STRIP,)):
        why = (*choice.why, f"{stripping[1].rule}: the message as it came is held in quarantine")
        choice = choice._replace(held_too=stripping[1].rule, why=why)
    if redirecting := first_act(acted, (Act.REDIRECT,)):
        to = values_of(acted, Act.REDIRECT)
        why = (*choice.why, f"{redirecting[1].rule} = 'redirect': it goes to {printable(', '.join(to), 200)} instead")
        return choice._replace(disposition=Disposition.REDIRECT, to=to, rule=redirecting[1].rule, why=why)
    changed = any(action.act in CHANGES for each in acted for action in each.actions)
    return choice._replace(disposition=Disposition.TAG) if changed else choice


def _copies(acted: list[Finding], choice: Choice, goes_on: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who gets a copy, and what is said where nobody does: a copy goes to a mailbox, where a held file must not come."""
    copies = values_of(acted, Act.COPY)
    if not copies or goes_on:
        return copies, ()
    if choice.disposition in (Disposition.REJECT, Disposition.DEFER):
        return (), ()
    if choice.verdict is Verdict.VIRUS or any(each.check == "attachments" for each in acted):
        return (), ("No copy goes out of a virus, or of files that a rule acts on",)
    return copies, ()


def _failed(failed: list[Finding], case: Case) -> Choice:
    """A scanner that failed is no verdict: wait, or hold. Waiting goes first, a later attempt may find it mended."""
    deciding = next((each for each in failed if each.failure is OnFailure.DEFER), failed[0])
    late = deciding.check == "structure"  # it needs nobody but time
    rule = "limits.checks_timeout" if late else f"{section_of(deciding)}.on_failure"
    why = tuple(map(saw, failed))
    if deciding.symbol == SPARED:
        rule = "guards.troubles"
        word = f"{rule}: the message is held, since nothing is known of it and to try again would do harm"
        return Choice(Verdict.UNCHECKED, Disposition.QUARANTINE, rule, (*why, word))
    if deciding.failure is OnFailure.QUARANTINE:
        word = f"{rule} = 'quarantine': the message is held"
        return Choice(Verdict.UNCHECKED, Disposition.QUARANTINE, rule, (*why, word))
    if case.overdue:
        word = "limits.deferrals: it was deferred for so long that it is held in quarantine now"
        return Choice(Verdict.UNCHECKED, Disposition.QUARANTINE, "limits.deferrals", (*why, word))
    said = rule if late else f"{rule} = 'defer'"
    word = f"{said}: nothing is decided, the sender is asked to come back"
    reply = _reply("451 4.7.1", case.policy.defer_text, "a scanner gave no answer", case)
    return Choice(Verdict.UNCHECKED, Disposition.DEFER, rule, (*why, word), reply)


def _refused(refused: list[Finding], case: Case) -> Choice:
    """Not looked into, and the check's own setting says how that is answered; a permanent answer goes first."""
    deciding = max(refused, key=lambda finding: finding.refusal[:1] == "5")
    rule = f"scanners.{name_of(deciding)}.on_oversize"
    reply = outside(deciding.refusal, 300)
    if not _REFUSAL.fullmatch(reply):  # a check that made no reply of it is still to be refused
        reply = _reply("554 5.7.1", case.policy.unchecked_text, names(refused), case)
    disposition = Disposition.DEFER if reply[0] == "4" else Disposition.REJECT
    why = (*map(saw, refused), f"{rule}: the message was not looked into, the answer is {reply[:3]}")
    return Choice(Verdict.UNCHECKED, disposition, rule, why, reply)


def _unchecked(found: list[Finding], case: Case) -> Choice:
    action, rule = case.policy.unchecked, f"policies.{case.name}.unchecked"
    why = (*map(saw, found), f"{rule} = '{action}': the message could not be looked into and is {_DONE[action]}")
    if action == "quarantine":
        return Choice(Verdict.UNCHECKED, Disposition.QUARANTINE, rule, why)
    if action == "defer":
        reply = _reply("451 4.7.1", case.policy.defer_text, names(found), case)
        return Choice(Verdict.UNCHECKED, Disposition.DEFER, rule, why, reply)
    reply = _reply("554 5.7.1", case.policy.unchecked_text, names(found), case)
    return Choice(Verdict.UNCHECKED, Disposition.REJECT, rule, why, reply)


def _by_score(weight: Weight, case: Case) -> Choice:
    """Choose by the sum. Of the thresholds reached above mark_above the highest holds; of equal ones what loses least."""
    policy, score, key = case.policy, weight.score, f"policies.{case.name}"
    why = summed(weight) if weight.tests or weight.odd else ()
    if weight.unchecked:
        why += (*map(saw, weight.unchecked), f"{key}.unchecked = 'deliver': what could not be looked into goes on")
    limits = (
        (policy.quarantine_above, "quarantine"),
        (policy.reject_above, "reject"),
        (policy.discard_above, "discard"),
    )
    reached = [(limit, word) for limit, word in limits if limit is not None and score >= limit]
    firmly = [(limit, word) for limit, word in reached if weight.firm >= limit]
    if firmly:
        limit, word = max(firmly)  # "reject" sorts after "quarantine", and that after "discard"
        return _refused_as_spam(weight, case, limit, word, why)
    if reached:
        limit, word = max(reached)
        told = f"{number(score)} reaches {key}.{word}_above = {number(limit)}, but not without points that only mark"
        why += (f"{told} ({number(weight.firm)} without them)",)
    if policy.mark_above is not None and score >= policy.mark_above:
        told = f"{number(score)} reaches {key}.mark_above = {number(policy.mark_above)}: spam"
        return _delivered(weight, case, True, f"{key}.mark_above", (*why, told))
    if weight.spam:
        return _delivered(
            weight, case, True, key, (*why, *map(saw, weight.spam), f"{key}: counted as spam, whatever the score")
        )
    if weight.unchecked:
        return _delivered(weight, case, False, f"{key}.unchecked", why)
    if weight.tests:
        why += (f"{number(score)} reaches no threshold of {key}: delivered",)
    return _delivered(weight, case, False, key, why) if why else _nothing_found(key)


@lru_cache(256)
def _nothing_found(key: str) -> Choice:
    return Choice(Verdict.CLEAN, Disposition.DELIVER, key, (f"No check found anything; {key}: delivered",))


def _refused_as_spam(weight: Weight, case: Case, limit: float, word: str, why: tuple[str, ...]) -> Choice:
    rule, verdict = f"policies.{case.name}.{word}_above", _spam_class(weight)
    why += (f"{number(weight.score)} reaches {rule} = {number(limit)}: {_DONE[word]}",)
    if word != "reject":
        return Choice(verdict, Disposition(word), rule, why)
    reply = _reply("554 5.7.1", case.policy.spam_text, "spam", case)
    return Choice(verdict, Disposition.REJECT, rule, why, reply, spam=True, unchecked=bool(weight.unchecked))


def _delivered(weight: Weight, case: Case, spam: bool, rule: str, why: tuple[str, ...]) -> Choice:
    """Deliver, with the marks that are due; `tag` only where there is one to put."""
    unchecked = bool(weight.unchecked)
    verdict = _spam_class(weight) if spam or unchecked else Verdict.CLEAN
    marked = case.ours and _marked(spam, unchecked, case)
    if (spam or unchecked) and not case.ours:
        why += ("The recipient is in no domain of ours: no marks are put",)
    return Choice(verdict, Disposition.TAG if marked else Disposition.DELIVER, rule, why, "", spam, unchecked)


def _marked(spam: bool, unchecked: bool, case: Case) -> bool:
    return (spam and (case.marks.spam or bool(case.policy.subject_mark))) or (
        unchecked and bool(case.policy.unchecked_mark)
    )


def _spam_class(weight: Weight) -> Verdict:
    """Return the class that goes first of those that the score decides about."""
    if weight.unchecked:
        return Verdict.UNCHECKED
    forged = any(finding.verdict is Verdict.FORGED_BOUNCE for finding in weight.spam)
    return Verdict.FORGED_BOUNCE if forged else Verdict.SPAM


def _behind_a_queue(choice: Choice) -> Choice:
    """Turn a refusal into what makes no bounce and loses nothing."""
    why = (*choice.why, "Behind a queue a refusal would make a bounce: held in quarantine instead")
    return choice._replace(disposition=Disposition.QUARANTINE, why=why, reply="")


def _reply(codes: str, text: str, reason: str, case: Case) -> str:
    return f"{codes} {fill(text, reason=reason, contact=case.contact) or 'Message not accepted'}"
