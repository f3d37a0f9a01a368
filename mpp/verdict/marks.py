"""What is changed in the copy of one recipient: fields removed, fields put on top, the mark before the subject.

Called by mpp.verdict.decide. The fields that we put stand in one block at offset 0 (the gateway puts its Received before
them), each name once: older ones of that name go, wherever the message came from. Marks are put only for recipients of
our own domains. Edits come sorted by offset and never overlap. Reads the header, never the parts.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from mpp.mail.edits import Edit
from mpp.mail.message import Field
from mpp.mail.words import encode_header_text
from mpp.verdict.acts import values_of
from mpp.verdict.choose import Case, Choice
from mpp.verdict.finding import Act, Finding
from mpp.verdict.removal import candidates, forged
from mpp.verdict.score_fields import score_fields
from mpp.verdict.subject import mark_subject, new_subject
from mpp.verdict.transaction import Transaction
from mpp.verdict.weigh import Weight

Block = tuple[bytes, tuple[bytes, ...]]
"""Fields to put, and their names in lower case."""

NO_FIELDS: Block = (b"", ())
_SCANNED = b"X-Virus-Scanned"


def edits_for(transaction: Transaction, case: Case, weight: Weight, choice: Choice, to_put: Block) -> tuple[Edit, ...]:
    """Return the edits for one recipient's copy, with the fields `to_put`; none where nothing was parsed."""
    message = transaction.message
    if message is None:
        return ()
    block, names = to_put
    globs, outside = case.marks.remove, not transaction.trusted
    edits = [
        Edit(field.offset, field.length, b"")
        for field in candidates(message, globs if outside else (), names)
        if field.key in names or (outside and forged(field, globs, case.hostname))
    ]
    marks = _subject_marks(case, choice) if case.ours and (choice.spam or choice.unchecked) else []
    if weight.acted:
        edits = _with_those_of_rules(edits, weight.acted)
        marks += values_of(weight.acted, Act.MARK)
    if marks:
        subject = message.field(b"subject")
        if subject is None or any(_takes(edit, subject) for edit in edits):
            block += b"Subject: " + new_subject(marks) + b"\r\n"
        elif edit := mark_subject(message, subject, marks):
            edits.append(edit)
            edits.sort()
    if block:
        edits.insert(0, Edit(0, 0, block))
    return tuple(edits)


def _takes(edit: Edit, field: Field) -> bool:
    return edit.offset <= field.offset < edit.offset + edit.length


def fields_to_put(weight: Weight, case: Case, choice: Choice) -> Block:
    """Return the fields to put but the subject, which depends on the message's own, and their names in lower case."""
    block, names = _marks(weight, case, choice) if case.ours else NO_FIELDS
    for name, value in _ruled(weight):
        block += b"%b: %b\r\n" % (name, value)
    return block, names + tuple(name.partition(":")[0].lower().encode() for name in values_of(weight.acted, Act.HEADER))


def _ruled(weight: Weight) -> Iterator[tuple[bytes, bytes]]:
    """The fields that rules put, each text once; what is not ASCII is encoded, what would end a field is no more."""
    for text in (*values_of(weight.acted, Act.PREPEND), *values_of(weight.acted, Act.HEADER)):
        name, _, value = text.partition(":")
        yield name.encode("ascii", "replace"), encode_header_text(value.strip(), len(name) + 2)


def _with_those_of_rules(edits: Sequence[Edit], acted: Sequence[Finding]) -> list[Edit]:
    """Add the edits of rules. Of two that meet one gives way: what takes attachments out goes first, then what is ours."""
    ranked = dict.fromkeys(edits, 1)
    for finding in acted:
        for action in finding.actions:
            if action.edit is not None:
                ranked.setdefault(action.edit, 0 if action.act is Act.STRIP else 2)
    kept: list[Edit] = []
    for edit in sorted(ranked):
        if kept and edit.offset < kept[-1].offset + kept[-1].length:
            if ranked[edit] >= ranked[kept[-1]]:
                continue
            kept.pop()
        kept.append(edit)
    return kept


def _marks(weight: Weight, case: Case, choice: Choice) -> Block:
    """The fields that tell of scanners and scores."""
    text = case.marks.virus_scanned
    block, names = _virus_scanned(text, case.hostname) if weight.scanned and text else NO_FIELDS
    score, tag_above = weight.score, case.policy.tag_above
    tagged = choice.spam or (tag_above is not None and score >= tag_above)
    if case.marks.spam and (choice.spam or (weight.known and (tagged or case.marks.always))):
        fields = score_fields(weight, case.policy, spam=choice.spam, tagged=tagged)
        block += b"".join([b"%b: %b\r\n" % field for field in fields])
        names += tuple([name.lower() for name, _ in fields])
    return block, names


@lru_cache(64)
def _virus_scanned(text: str, hostname: str) -> Block:
    value = text.replace("{hostname}", hostname).encode("ascii", "backslashreplace")
    return b"%b: %b\r\n" % (_SCANNED, value), (_SCANNED.lower(),)


def _subject_marks(case: Case, choice: Choice) -> list[str]:
    marks = [(choice.unchecked, case.policy.unchecked_mark), (choice.spam, case.policy.subject_mark)]
    return [mark for due, mark in marks if due and mark.strip()]
