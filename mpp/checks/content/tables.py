"""What a table of Postfix says of a message, as findings. For mpp.checks.content.rules.

Headers are asked for `where = "header"` (or "subject" and others of the header), lines for "body" and "line", and for places
of the envelope their values. As in Postfix the first REJECT or DISCARD is the last word; all else adds up. What a line of the table changes in the
message is one finding, however many lines of it that is.
"""

import re
from collections.abc import Callable, Collection, Container, Iterable, Iterator

from mpp.checks.content.engine import Patience
from mpp.checks.content.postfix.actions import Kind, Meaning, meaning
from mpp.checks.content.postfix.keys import Line, body_lines, header_lines
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
_MOST_CHANGES = 2000  # places at which one table changes a message: all of them or none
_LINES: dict[Kind, Callable[[Message, Container[bytes]], Iterator[Line]]] = {"header": header_lines, "body": body_lines}
_TOO_MANY = f"the table would change more than {_MOST_CHANGES:,} places of this mail, and changes none"
_VALUE = re.compile(rb"\s*\S+\s*(.*)", re.DOTALL)
_BREAK = re.compile(rb"[\r\n]+([ \t]?)")


def kind_of(where: str) -> Kind:
    """Return which of Postfix's kinds of table a place has."""
    return "access" if where in ENVELOPE else "body" if where in ("body", "line") else "header"


def table_findings(
    rule: Filter, table: LiveTable, message: Message, transaction: Transaction, patience: Patience
) -> Iterator[Finding]:
    """Yield a finding for each answer that does something, then one for each line of the table that changes the message."""
    kind = kind_of(rule.where)
    changes = _Changes(kind, message)
    count = 0
    for key, answer in _answers(kind, rule, table, message, transaction, patience):
        meant = meaning(answer.text.decode("utf-8", "replace"), kind)
        if meant.change:
            changes.add(key, answer, meant)
        elif meant.act is not None or meant.missing:
            value = outside(meant.value, 300) if meant.act is Act.REJECT else printable(meant.value, 300)
            yield _finding(rule, key, answer, ((meant.act or Act.NOTE, value, None),), meant.missing)
            count += 1
            if count >= _MOST or meant.act in (Act.REJECT, Act.DISCARD):
                break
    made = changes.made()
    whole = sum(len(edits) for _, _, edits in made) <= _MOST_CHANGES
    for key, answer, edits in made:
        value = printable(answer.text.decode("utf-8", "replace"), 300)
        acts = [(Act.EDIT, value, edit) for edit in edits] if whole else [(Act.NOTE, value, None)]
        yield _finding(rule, key, answer, acts, "" if whole else _TOO_MANY)


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


def _finding(
    rule: Filter, key: bytes, answer: Answer, acts: Iterable[tuple[Act, str, Edit | None]], missing: str = ""
) -> Finding:
    where = f"filters.{rule.name}, line {answer.rule.line}"
    text = f"Line {answer.rule.line} of {printable(rule.map, 200)} holds" + (f"; {missing}" if missing else "")
    actions = tuple([Action(act, where, value, edit) for act, value, edit in acts])
    return Finding("filters", rule.name, text=text, evidence=printable(key, 120), actions=actions)


class _Changes:
    """What is to be done with lines of a message, all that read alike at once: they have the same answer."""

    def __init__(self, kind: Kind, message: Message) -> None:
        self._kind, self._message = kind, message
        self._wanted: dict[bytes, tuple[Answer, Meaning]] = {}

    def add(self, key: bytes, answer: Answer, meant: Meaning) -> None:
        self._wanted[key] = answer, meant

    def made(self) -> Collection[tuple[bytes, Answer, list[Edit]]]:
        """Return for each line of the table its edits, and the first key that it answered."""
        made: dict[int, tuple[bytes, Answer, list[Edit]]] = {}
        if not self._wanted:
            return ()
        ascii_only, line_end = self._message.raw.isascii(), self._message.line_end
        for line in _LINES[self._kind](self._message, self._wanted):
            answer, meant = self._wanted[line.key]
            edits = made.setdefault(answer.rule.line, (line.key, answer, []))[2]
            if meant.change == "remove":
                _remove(edits, line)
            else:
                octets = self._octets(answer.text, ascii_only, line_end)
                put = meant.change == "put"
                edits.append(Edit(line.offset, 0 if put else line.length, octets + line_end if put else octets))
            if len(edits) > _MOST_CHANGES:
                break
        return made.values()

    def _octets(self, answer: bytes, ascii_only: bool, line_end: bytes) -> bytes:
        """Return the text of an answer as it is put in: one line of a body or one field, and ASCII where the message is."""
        match = _VALUE.fullmatch(answer)
        fold = line_end if self._kind == "header" else b""
        text = _BREAK.sub(lambda found: fold + found[1] if fold and found[1] else b" ", match[1] if match else b"")
        return text.decode("utf-8", "replace").encode("ascii", "replace") if ascii_only else text


def _remove(edits: list[Edit], line: Line) -> None:
    """Take a line out, with the one before it where that goes too."""
    before = edits[-1] if edits else None
    if before is not None and before.offset + before.length == line.offset and not before.replacement:
        edits[-1] = Edit(before.offset, before.length + line.whole, b"")
    else:
        edits.append(Edit(line.offset, line.whole, b""))
