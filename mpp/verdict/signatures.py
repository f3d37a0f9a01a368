"""Which DKIM signatures of a message an edit breaks (RFC 6376, 3.5 and 5.4), for the trace and the log.

Called by the gateway for messages that are changed. Nothing is verified: a signature is said to break when what it
covers is no longer what it was, whether it was good before or not.
"""

import re
from collections import Counter
from collections.abc import Sequence

from mpp.mail.edits import Edit
from mpp.mail.escape import printable
from mpp.mail.message import Field, Message

_SIGNATURE = b"dkim-signature"
_MOST = 10  # signatures looked at
_LOOKED_AT = 8192  # octets of one
_INSERTED = re.compile(rb"^([!-9;-~]+)[ \t]*:", re.MULTILINE)


def broken_signatures(message: Message, edits: Sequence[Edit]) -> tuple[str, ...]:
    """Return "domain/selector" of each signature that covers something the edits change, in the order of the header."""
    if not edits:
        return ()
    signatures = [field for field in message.fields if field.key == _SIGNATURE][:_MOST]
    if not signatures:
        return ()
    changed, added = _touched(message, edits)
    body = any(edit.offset >= message.header_length and (edit.length or edit.replacement) for edit in edits)
    broken: list[str] = []
    for signature in signatures:
        tags = _tags(signature.value[:_LOOKED_AT])
        if body or id(signature) in changed or _covers(tags.get(b"h", b""), message, changed, added):
            broken.append(f"{printable(tags.get(b'd', b''), 255)}/{printable(tags.get(b's', b''), 255)}")
    return tuple(dict.fromkeys(broken))


def _touched(message: Message, edits: Sequence[Edit]) -> tuple[set[int], Counter[bytes]]:
    """Return the fields that are changed or removed (by id) and how many of each name are put on top."""
    changed: set[int] = set()
    added: Counter[bytes] = Counter()
    fields, at = message.fields, 0
    for edit in sorted(edits):
        if edit.offset == 0 and edit.length == 0:
            added.update(name.lower() for name in _INSERTED.findall(edit.replacement))
            continue
        while at < len(fields) and fields[at].offset + fields[at].length <= edit.offset:
            at += 1
        each = at
        while each < len(fields) and fields[each].offset < edit.offset + max(edit.length, 1):
            changed.add(id(fields[each]))
            each += 1
    return changed, added


def _covers(names: bytes, message: Message, changed: set[int], added: Counter[bytes]) -> bool:
    """True where one of the fields signed is changed, or one joins that the signature says does not exist.

    The n-th mention of a name signs the n-th field of that name from the bottom; a mention too many signs its absence.
    """
    mentioned = Counter(name.strip().lower() for name in names.split(b":"))
    by_name: dict[bytes, list[Field]] = {}
    for field in message.fields:
        if field.key in mentioned:
            by_name.setdefault(field.key, []).append(field)
    for name, count in mentioned.items():
        there = by_name.get(name, [])
        if any(id(field) in changed for field in there[-count:]):
            return True
        if added[name] and count > len(there):
            return True
    return False


def _tags(value: bytes) -> dict[bytes, bytes]:
    """Return the tag=value pairs with all white space taken out; the first of a name counts."""
    tags: dict[bytes, bytes] = {}
    for pair in b"".join(value.split()).split(b";"):
        name, equals, text = pair.partition(b"=")
        if equals:
            tags.setdefault(name, text)
    return tags
