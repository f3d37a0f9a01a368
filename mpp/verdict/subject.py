"""The mark before a subject: put once, by one insertion, with every octet of the old value left as it is.

Called by mpp.verdict.marks. Of several Subject fields the first is marked (mail readers show that one); a message without
a subject gets one. A mark counts as there already when the subject begins with it, behind reply prefixes too.
"""

import re
from collections.abc import Sequence

from mpp.mail.edits import Edit
from mpp.mail.message import Field, Message
from mpp.mail.words import encode_header_text, header_text

_PREFIX = re.compile(
    r"\s*(?:re|fwd?|aw|wg|sv|vs|vl|antw|tr|rv|rif|res|enc|odp|ynt)(?:\[\d{1,4}\])?\s?:\s*", re.IGNORECASE
)
_FOLDS = re.compile(rb"[ \t]*(?:\r?\n[ \t]+)*")
_LONGEST_LINE = 998  # RFC 5322, 2.1.1
_LOOKED_AT = 4096  # octets of a subject in which a mark is looked for


def missing_marks(subject: str, marks: Sequence[str]) -> list[str]:
    """Return those of the marks that the (decoded) subject does not begin with."""
    wanted = {mark.strip(): mark for mark in marks if mark.strip()}
    left = dict(wanted)
    text = subject.lstrip()
    while True:
        if match := _PREFIX.match(text):
            text = text[match.end() :]
        elif found := next((word for word in wanted if text.startswith(word)), None):
            left.pop(found, None)
            text = text[len(found) :].lstrip()
        else:
            return list(left.values())


def new_subject(marks: Sequence[str]) -> bytes:
    """Return the value for a message that has no subject."""
    return b" ".join(encode_header_text(mark.strip()) for mark in marks if mark.strip())


def mark_subject(message: Message, field: Field, marks: Sequence[str]) -> Edit | None:
    """Return the insertion that puts the marks that are missing, None where there is nothing to put."""
    missing = missing_marks(header_text(field.value[:_LOOKED_AT]), marks)
    if not missing:
        return None
    raw, end = message.raw, field.offset + field.length
    start = raw.index(b":", field.offset, end) + 1
    match = _FOLDS.match(raw, start, min(end, start + _LOOKED_AT))
    at = match.end() if match else start
    empty = raw[at : at + 1] in (b"\r", b"\n", b"") or at >= end
    text = _written(missing, encoded_follows=raw.startswith(b"=?", at), last=empty)
    if at == start:
        text = b" " + text
    line_start = max(raw.rfind(b"\n", field.offset, at) + 1, field.offset)
    line_end = raw.find(b"\n", at, end)
    length = (line_end if line_end >= 0 else end) - line_start
    if not empty and length + len(text) > _LONGEST_LINE:
        text = text.rstrip(b" ") + b"\r\n "
    return Edit(at, 0, text)


def _written(marks: Sequence[str], *, encoded_follows: bool, last: bool) -> bytes:
    """Return the marks as octets. Blanks between two encoded words are not shown, so there they go inside the first."""
    words: list[bytes] = []
    for number, mark in enumerate(marks):
        final = number == len(marks) - 1
        encoded = not mark.isascii()
        next_encoded = encoded_follows if final else not marks[number + 1].isascii()
        if encoded and next_encoded:
            words.append(encode_header_text(mark.rstrip() + " ") + b" ")
        elif final and last:
            words.append(encode_header_text(mark.strip()))
        elif encoded or not final:
            words.append(encode_header_text(mark.strip()) + b" ")
        else:
            words.append(mark.encode("ascii"))
    return b"".join(words)
