"""What rules for attachments do to a message: from their rulings to findings with actions and edits. Pure.

A fate (reject, ban, quarantine, discard) stands alone. Otherwise each part that something is to be done to is edited by itself,
and the message as it came is held beside what goes on. What cannot be edited safely is held as a whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mpp.checks.attachments.item import Cleaned
from mpp.checks.attachments.mails import is_file
from mpp.checks.attachments.note import Notes, Taken
from mpp.checks.attachments.policy import Ruling
from mpp.checks.attachments.settings import Inspection
from mpp.mail.edits import Edit, apply_edits
from mpp.mail.escape import printable
from mpp.mail.message import Message
from mpp.mail.part import Part
from mpp.mail.replacing import editable, encoded_part, remove_part, rename_part, replace_part, safe_name, shown_beside
from mpp.verdict.finding import Act, Action, Finding, Verdict
from mpp.verdict.signatures import signed_part
from mpp.verdict.texts import outside
from mpp.verdict.transaction import Transaction

CHECK = "attachments"
_FATES = {"reject": Act.REJECT, "quarantine": Act.QUARANTINE, "discard": Act.DISCARD}
_CHANGES = ("strip", "remove-macros", "rename")  # the first goes before the others for one part
_TOLD = 5  # files named in one finding
_TEXTS = ("text/plain", "text/html")


class CannotEditError(Exception):
    """Something is to be taken out of a message that cannot be edited there. The text says why."""


def to_clean(rulings: Iterable[Ruling]) -> set[str]:
    """Return the paths of the parts from which macros are to be removed; what lies inside another file is not among them."""
    return {each.part for each in rulings if each.rule.action == "remove-macros" and each.item.path == each.part}


def act(
    rulings: Sequence[Ruling],
    message: Message,
    transaction: Transaction,
    inspection: Inspection,
    cleaned: Mapping[str, Cleaned],
) -> list[Finding]:
    """Return what is to be done for recipients for whom these rulings hold, with nobody named in the findings."""
    notes = [_finding(rule, (Action(Act.NOTE, key),)) for key, rule in _by_rule(rulings, ("note",)).items()]
    fates = [_fate(key, each) for key, each in _by_rule(rulings, ("ban", *_FATES)).items()]
    if fates:
        return [*notes, *fates]
    changing = [each for each in rulings if each.rule.action in (*_CHANGES, "text-only")]
    if not changing:
        return notes
    try:
        return [*notes, *_Editing(message, transaction, inspection, cleaned).findings(changing)]
    except CannotEditError as error:
        key = f"attachments.{changing[0].rule.name}"
        held = _finding(changing, (Action(Act.QUARANTINE, key),), f"it is held whole, since {error}")
        return [*notes, held]


def _by_rule(rulings: Iterable[Ruling], actions: Sequence[str]) -> dict[str, list[Ruling]]:
    """Return the rulings with one of these actions by the settings key of their rule."""
    found: dict[str, list[Ruling]] = {}
    for each in rulings:
        if each.rule.action in actions:
            found.setdefault(f"attachments.{each.rule.name}", []).append(each)
    return found


def _fate(key: str, rulings: Sequence[Ruling]) -> Finding:
    rule = rulings[0].rule
    if rule.action == "ban":
        return _finding(rulings, (), verdict=Verdict.BANNED)
    text = ""
    if rule.action == "reject":
        text = (
            rule.text
            or f"Message refused, attachment not allowed here ({outside(rulings[0].item.name, 60)}), id {{id}}"
        )
    return _finding(rulings, (Action(_FATES[rule.action], key, text),))


def _finding(
    rulings: Sequence[Ruling], actions: tuple[Action, ...], told: str = "", verdict: Verdict | None = None
) -> Finding:
    """Return the finding of one rule: which files, and why it holds for the first of them."""
    first = rulings[0]
    shown = ", ".join(printable(each.item.path, 120) for each in rulings[:_TOLD])
    more = f" and {len(rulings) - _TOLD} more" if len(rulings) > _TOLD else ""
    text = f"Rule {first.rule.name} holds for {shown}{more}, since {printable(first.why, 300)}"
    return Finding(CHECK, first.rule.name, text=f"{text}; {told}" if told else text, verdict=verdict, actions=actions)


class _Editing:
    """The edits of one message for one group of recipients."""

    def __init__(
        self, message: Message, transaction: Transaction, inspection: Inspection, cleaned: Mapping[str, Cleaned]
    ) -> None:
        self._message, self._cleaned = message, cleaned
        self._done: set[int] = set()  # parts (by identity) that have their edits
        self._mails: list[Part] = []  # attached mails that are taken out with all that is in them
        self._gone: list[Part] = []  # parts that are no more in the changed mail
        self._edits: list[Edit] = []
        self._notes = Notes(
            inspection.languages,
            transaction.id,
            inspection.contact or transaction.contact,
            html=any(part.type == "text/html" for part in message.root.walk()),
        )
        if inspection.signed == "quarantine" and any(map(signed_part, message.root.walk())):
            raise CannotEditError("it is signed and an edit would break the signature (inspection.signed)")

    def findings(self, rulings: Sequence[Ruling]) -> list[Finding]:
        """Return a finding for each rule that changes something. Raises CannotEditError."""
        flat = _by_rule(rulings, ("text-only",))
        stripped = (self._part(each.part)[0] for each in rulings if each.rule.action in ("strip", "remove-macros"))
        self._mails = [part for part in stripped if part.children]
        found = [_finding(each, tuple(self._flattened(key, each))) for key, each in flat.items()]
        for action in _CHANGES if not flat else ():
            for key, each in _by_rule(rulings, (action,)).items():
                actions = tuple(self._actions(key, each))
                if actions:  # else an earlier rule has done more to the same parts
                    found.append(_finding(each, actions))
        self._look_again()
        return found

    def _look_again(self) -> None:
        """Where a mail can be read in several ways, see that what was taken out is in no reading of what goes on."""
        if not self._gone or not self._message.oddities:
            return
        gone = [leaf for part in self._gone for leaf in part.leaves() if leaf is part or is_file(leaf)]
        made = Message(b"".join(apply_edits(self._message.raw, self._edits)), self._message.limits)
        there = {part.decode() for part in made.every_leaf()}
        if any(data and data in there for data in map(Part.decode, gone)):
            raise CannotEditError("in another reading of it the file would still be there")

    def _actions(self, key: str, rulings: Sequence[Ruling]) -> Iterator[Action]:
        for path in dict.fromkeys(each.part for each in rulings):
            part, whole = self._part(path)
            if id(part) in self._done or self._goes_with_its_mail(part):
                continue
            self._done.add(id(part))
            theirs = [each for each in rulings if each.part == path]
            yield from self._change(key, theirs, part, whole)

    def _goes_with_its_mail(self, part: Part) -> bool:
        return any(mail is not part and mail.body <= part.header and part.end <= mail.end for mail in self._mails)

    def _part(self, path: str) -> tuple[Part, bool]:
        found = editable(self._message, path)
        if found is None:
            raise CannotEditError(f"{printable(path, 60)} is no part of it in the usual reading")
        return found

    def _change(self, key: str, rulings: Sequence[Ruling], part: Part, whole: bool) -> Iterator[Action]:
        rule, name = rulings[0].rule, part.name or rulings[0].item.name
        if rule.action == "rename":
            new = safe_name(name, rule.suffix)
            edits = rename_part(self._message, part, new)
            self._edits += edits
            yield from (Action(Act.EDIT, key, "", edit) for edit in edits)
        elif rule.action == "remove-macros" and part.path in self._cleaned and rulings[0].item.path == part.path:
            yield from self._clean(key, rulings, part, whole, self._cleaned[part.path])
        else:
            note = self._notes.part("removed", [_taken(rulings[0], part)])
            told = f"{printable(name, 100)} is replaced by a note"
            if rule.action == "remove-macros":
                told += ", since its macros cannot be removed safely"
            yield from self._stripped(key, told, part, replace_part(self._message, part, *note, whole=whole))

    def _clean(
        self, key: str, rulings: Sequence[Ruling], part: Part, whole: bool, cleaned: Cleaned
    ) -> Iterator[Action]:
        name = part.name or rulings[0].item.name
        stem = safe_name(name).rpartition(".")[0] or safe_name(name)
        document = encoded_part(cleaned.type, cleaned.data, name=stem + cleaned.suffix, disposition="attachment")
        told = f"the macros of {printable(name, 100)} are removed"
        yield from self._stripped(key, told, part, replace_part(self._message, part, *document, whole=whole))

    def _flattened(self, key: str, rulings: Sequence[Ruling]) -> Iterator[Action]:
        """Put one note in the place of the first part that is no text, and nothing in the places of the others."""
        for each in rulings:
            self._part(each.part)  # what is no part of ours cannot be taken out
        why = {each.part: each for each in reversed(rulings)}
        gone: list[tuple[Part, bool]] = []
        for leaf in self._message.leaves():
            part, whole = self._part(leaf.path)
            if not (leaf.type in _TEXTS and not is_file(leaf)) and id(part) not in self._done:
                self._done.add(id(part))
                gone.append((part, whole))
        taken = [_taken(why.get(part.path, rulings[0]), part) for part, _ in gone]
        note, empty = self._notes.part("flattened", taken), encoded_part("text/plain", b"")
        told = f"all but the text ({len(gone)} parts) is replaced by a note"
        for number, (part, whole) in enumerate(gone):
            edits = remove_part(self._message, part) if number else ()
            edits = edits or replace_part(self._message, part, *(empty if number else note), whole=whole)
            yield from self._stripped(key, told, part, edits)

    def _stripped(self, key: str, told: str, part: Part, edits: Sequence[Edit]) -> Iterator[Action]:
        edits = [*edits, *(each for each in shown_beside(self._message, part) if each not in self._edits)]
        self._gone.append(part)
        self._edits += edits
        for edit in edits:
            yield Action(Act.STRIP, key, told, edit)


def _taken(ruling: Ruling, part: Part) -> Taken:
    """Say what the note says of a part: the file's own name, the size of what is taken out, and why."""
    name = part.name or ruling.item.name or part.type
    size = ruling.item.size if ruling.item.path == part.path else len(part.decode())
    return Taken(name, size, ruling.cause, ruling.rule.reason)
