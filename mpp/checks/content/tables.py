"""What a table of Postfix says of a message, as findings. For mpp.checks.content.rules.

Headers are asked for `where = "header"` (or "subject" and others of the header), lines for "body" and "line", and for places
of the envelope their values. As in Postfix the first REJECT or DISCARD is the last word; all else adds up. What a line of the table changes in the
message is one finding, however many lines of it that is.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from mpp.checks.content.engine import Patience
from mpp.checks.content.postfix.actions import Kind, Meaning, meaning
from mpp.checks.content.postfix.keys import LINE_LIMIT, Line, body_lines, header_lines
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
_MOST_CHANGES = 10_000  # lines of a message that one table changes
_LINES: dict[Kind, Callable[[Message], Iterator[Line]]] = {"header": header_lines, "body": body_lines}
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
    for key, answer, edits in changes.made():
        value = printable(answer.text.decode("utf-8", "replace"), 300)
        yield _finding(rule, key, answer, [(Act.EDIT, value, edit) for edit in edits])


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
        self._lines: dict[bytes, list[Line]] | None = None
        self._ascii, self._line_end = True, b"\r\n"
        self._made: dict[int, tuple[bytes, Answer, list[Edit]]] = {}  # by the line of the table
        self._left = _MOST_CHANGES

    def add(self, key: bytes, answer: Answer, meant: Meaning) -> None:
        if self._lines is None:
            self._lines = self._read()
        lines = self._lines.pop(key, ())[: self._left]
        if lines:
            self._left -= len(lines)
            octets = self._octets(answer.text) if meant.change != "remove" else b""
            edits = self._made.setdefault(answer.rule.line, (key, answer, []))[2]
            edits += [self._edit(line, meant, octets) for line in lines]

    def made(self) -> Iterable[tuple[bytes, Answer, list[Edit]]]:
        """Return the first line that a line of the table changes, with all its changes."""
        return self._made.values()

    def _read(self) -> dict[bytes, list[Line]]:
        self._ascii, self._line_end = self._message.raw.isascii(), self._message.line_end
        lines = defaultdict(list)
        for line in _LINES[self._kind](self._message):
            lines[line.key].append(line)
        return lines

    def _edit(self, line: Line, meant: Meaning, octets: bytes) -> Edit:
        if meant.change == "remove":
            return Edit(line.offset, line.whole, b"")
        if meant.change == "put":
            return Edit(line.offset, 0, octets + self._line_end)
        return Edit(line.offset, line.length, octets)

    def _octets(self, answer: bytes) -> bytes:
        """Return the text of an answer as it is put in: one line of a body or one field, and ASCII where the message is."""
        match = _VALUE.fullmatch(answer)
        text = _BREAK.sub(self._fold, (match[1] if match else b"")[:LINE_LIMIT].replace(b"\0", b""))
        return text.decode("utf-8", "replace").encode("ascii", "replace") if self._ascii else text

    def _fold(self, found: re.Match[bytes]) -> bytes:
        return self._line_end + found[1] if found[1] and self._kind == "header" else b" "
