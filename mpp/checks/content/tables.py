"""What a table of Postfix says of a message, as findings. For mpp.checks.content.rules.

Headers are asked for `where = "header"` (or "subject" and others of the header), lines for "body" and "line", and for places
of the envelope their values. As in Postfix the first REJECT or DISCARD is the last word; all else adds up.
"""

from collections.abc import Iterator

from mpp.checks.content.engine import Patience
from mpp.checks.content.postfix.actions import Kind, meaning
from mpp.checks.content.postfix.live import LiveTable
from mpp.checks.content.postfix.lookup import Answer
from mpp.checks.content.settings import Filter
from mpp.mail.edits import Edit
from mpp.mail.escape import printable
from mpp.mail.message import Message
from mpp.verdict.finding import Act, Action, Finding
from mpp.verdict.texts import outside
from mpp.verdict.transaction import Transaction

ENVELOPE = ("sender", "recipient", "client", "helo")
_MOST = 50  # findings of one table


def kind_of(where: str) -> Kind:
    """Return which of Postfix's kinds of table a place has."""
    return "access" if where in ENVELOPE else "body" if where in ("body", "line") else "header"


def table_findings(
    rule: Filter, table: LiveTable, message: Message, transaction: Transaction, patience: Patience
) -> Iterator[Finding]:
    """Yield a finding for each answer that does something."""
    kind = kind_of(rule.where)
    for count, (key, answer) in enumerate(_answers(kind, rule, table, message, transaction, patience)):
        finding = _finding(rule, kind, key, answer, message)
        if finding is not None:
            yield finding
            if count >= _MOST or finding.actions[0].act in (Act.REJECT, Act.DISCARD):
                return


def _answers(
    kind: Kind, rule: Filter, table: LiveTable, message: Message, transaction: Transaction, patience: Patience
) -> Iterator[tuple[bytes, Answer]]:
    if kind == "header":
        return table.headers(message, patience)
    if kind == "body":
        return table.body(message, patience)
    client, envelope = transaction.client, transaction.envelope
    values = {
        "sender": [envelope.reverse_path],
        "recipient": [recipient.address for recipient in envelope.recipients],
        "client": [each for each in (client.name, client.address) if each],
        "helo": [client.helo],
    }
    return table.keys([value.encode() for value in values[rule.where]], patience)


def _finding(rule: Filter, kind: Kind, key: bytes, answer: Answer, message: Message) -> Finding | None:
    meant = meaning(answer.text.decode("utf-8", "replace"), kind)
    where = f"filters.{rule.name}, line {answer.rule.line}"
    act, edit = meant.act, None
    if meant.change:
        edit = _edit(key, meant.value if meant.change == "replace" else None, message)
        act = Act.EDIT if edit else None
    if act is None and not meant.missing:
        return None
    value = outside(meant.value, 300) if act is Act.REJECT else printable(meant.value, 300)
    action = Action(act or Act.NOTE, where, value, edit)
    text = f"Line {answer.rule.line} of {printable(rule.map, 200)} holds" + (
        f"; {meant.missing}" if meant.missing else ""
    )
    return Finding("filters", rule.name, text=text, evidence=printable(key, 120), actions=(action,))


def _edit(key: bytes, replacement: str | None, message: Message) -> Edit | None:
    """Return the change of a field of the message's own header; those of its parts stay."""
    for field in message.fields:
        raw = message.raw[field.offset : field.offset + field.length]
        if raw.replace(b"\r\n", b"\n").rstrip(b"\n") == key:
            text = printable(replacement or "", 900).encode("ascii", "replace") + b"\r\n" if replacement else b""
            return Edit(field.offset, field.length, text)
    return None
