"""One message in the words of amavisd's log, which many tools parse:

    (id) Passed CLEAN {RelayedInbound}, [192.0.2.1]:4242 <a@b> -> <c@d>, Message-ID: <1@b>, mail_id: id, Hits: -1.9,
    size: 1234, queued_as: 4XyZ, 123 ms                                            (on one line)

Called by the gateway where the log asks for this form. Pure. Recipients that passed and recipients that did not have a
line each, as amavisd has them. Outside text is escaped; in addresses also what would end them for a parser.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mpp.mail.escape import printable
from mpp.verdict.finding import SPAM_SCANNED, Finding, Verdict
from mpp.verdict.plan import Disposition, Fate, Plan
from mpp.verdict.reasons import number
from mpp.verdict.transaction import Transaction

_QUEUED_AS = re.compile(r"queued as ([0-9A-Za-z]{1,64})")
_LONGEST_VALUE = 250
_DELIMITERS = str.maketrans({character: f"\\x{ord(character):02x}" for character in "<>,(){}"})
_ACTIONS = {
    Disposition.REJECT: "Rejected",
    Disposition.DISCARD: "Discarded",
    Disposition.DEFER: "TempFailed",
    Disposition.QUARANTINE: "Discarded",  # as amavisd calls what it keeps and does not pass on
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the next hop said about one recipient; recipients that were not sent there have none."""

    state: Literal["accepted", "refused", "deferred", "unknown"]
    text: str = ""  # its reply: "250 2.0.0 Ok: queued as 4XyZ"


def amavis_lines(
    transaction: Transaction,
    plan: Plan,
    findings: Sequence[Finding],
    answers: Mapping[str, Answer],
    *,
    took_ms: float,
    queue_id: str = "",
) -> tuple[str, ...]:
    """Return a line for the recipients that passed and one for those that did not. Never raises."""
    passed: dict[str, Fate] = {}
    blocked: dict[str, Fate] = {}
    for address, fate in plan.fates.items():
        answer = answers.get(address)
        goes_on = fate.disposition in (Disposition.DELIVER, Disposition.TAG, Disposition.REDIRECT)
        (passed if goes_on and (answer is None or answer.state == "accepted") else blocked)[address] = fate
    lines: list[str] = []
    for word, fates in (("Passed", passed), ("Blocked", blocked)):
        if fates:
            what = f"({printable(transaction.id, 64)}) {word} {_class(fates, findings, answers)} {{{_actions(fates, transaction, answers)}}}"
            lines.append(f"{what}, {_rest(fates, transaction, findings, answers, queue_id)}, {round(took_ms)} ms")
    return tuple(lines)


def _class(fates: Mapping[str, Fate], findings: Sequence[Finding], answers: Mapping[str, Answer]) -> str:
    """Return amavisd's name for the worst class of these recipients."""
    fate = min(fates.values(), key=lambda fate: list(Verdict).index(fate.verdict))
    if fate.verdict in (Verdict.VIRUS, Verdict.BANNED):
        names = dict.fromkeys(
            printable(each.symbol, 100).translate(_DELIMITERS) for each in findings if each.verdict is fate.verdict
        )
        return f"{'INFECTED' if fate.verdict is Verdict.VIRUS else 'BANNED'} ({', '.join(sorted(names))})"
    if any(address in answers and answers[address].state != "accepted" for address in fates):
        return "MTA-BLOCKED"
    if fate.verdict is Verdict.UNCHECKED:
        return "UNCHECKED"
    if fate.verdict is Verdict.CLEAN:
        return "CLEAN"
    killed = any(
        each.rule.endswith((".quarantine_above", ".reject_above", ".discard_above")) for each in fates.values()
    )
    return "SPAM" if killed else "SPAMMY"


def _actions(fates: Mapping[str, Fate], transaction: Transaction, answers: Mapping[str, Answer]) -> str:
    actions: dict[str, None] = {}
    for address, fate in fates.items():
        answer = answers.get(address)
        action = _ACTIONS.get(fate.disposition)
        if action is None and answer is not None and answer.state != "accepted":
            action = "Rejected" if answer.state == "refused" else "TempFailed"
        if action is None:
            action = "RelayedTagged" if fate.disposition is Disposition.TAG else "Relayed"
        actions[action + transaction.direction.capitalize()] = None
    if any(fate.disposition is Disposition.QUARANTINE for fate in fates.values()):
        actions["Quarantined"] = None
    return ",".join(actions)


def _rest(
    fates: Mapping[str, Fate],
    transaction: Transaction,
    findings: Sequence[Finding],
    answers: Mapping[str, Answer],
    queue_id: str,
) -> str:
    client = transaction.client
    source = (
        f"[{client.address}]:{client.port} "
        if client.address and client.port
        else f"[{client.address}] "
        if client.address
        else ""
    )
    known = any(finding.score or finding.symbol == SPAM_SCANNED for finding in findings)
    queued = dict.fromkeys(
        found[1] for address in fates if address in answers and (found := _QUEUED_AS.search(answers[address].text))
    )
    message_id = transaction.message.text(b"message-id").strip() if transaction.message else ""
    pieces = [
        f"{source}{_address(transaction.envelope.reverse_path)} -> {','.join(map(_address, fates))}",
        f"Queue-ID: {printable(queue_id, 64)}" if queue_id else "",
        f"Message-ID: {_bracketed(message_id)}" if message_id else "",
        f"mail_id: {printable(transaction.id, 64)}",
        f"Hits: {number(max(fate.score for fate in fates.values())) if known else '-'}",
        f"size: {transaction.size}",
        f"queued_as: {'/'.join(queued)}" if queued else "",
    ]
    return _joined(pieces)


def _joined(pieces: Iterable[str]) -> str:
    return ", ".join(piece for piece in pieces if piece)


def _address(address: str) -> str:
    return f"<{printable(address, _LONGEST_VALUE).translate(_DELIMITERS)}>"


def _bracketed(message_id: str) -> str:
    inner = message_id[1:-1] if message_id[:1] == "<" and message_id[-1:] == ">" else message_id
    return _address(inner)
