"""Which signatures of a message an edit breaks, for the trace and the log: DKIM (RFC 6376, 3.5 and 5.4), S/MIME and PGP.

Called by the gateway for messages that are changed. Nothing is verified: a signature is said to break when what it
covers is no longer what it was, whether it was good before or not.
"""

import re
from collections import Counter
from collections.abc import Sequence

from mpp.mail.edits import Edit
from mpp.mail.escape import printable
from mpp.mail.message import Field, Message
from mpp.mail.part import Part

_SIGNATURE = b"dkim-signature"
_MOST = 10  # signatures looked at
_LOOKED_AT = 8192  # octets of one
_INSERTED = re.compile(rb"^([!-9;-~]+)[ \t]*:", re.MULTILINE)


def broken_signatures(message: Message, edits: Sequence[Edit]) -> tuple[str, ...]:
    """Return what covers something the edits change: "domain/selector" of DKIM in the order of the header, then the types of
    the signed parts."""
    if not edits:
        return ()
    body = any(edit.offset >= message.header_length and (edit.length or edit.replacement) for edit in edits)
    within = _signed_parts(message, edits) if body else ()
    signatures = [field for field in message.fields if field.key == _SIGNATURE][:_MOST]
    if not signatures:
        return within
    changed, added = _touched(message, edits)
    broken: list[str] = []
    for signature in signatures:
        tags = _tags(signature.value[:_LOOKED_AT])
        if body or id(signature) in changed or _covers(tags.get(b"h", b""), message, changed, added):
            broken.append(f"{printable(tags.get(b'd', b''), 255)}/{printable(tags.get(b's', b''), 255)}")
    return tuple(dict.fromkeys((*broken, *within)))


def signed_part(part: Part) -> bool:
    """True for what is a signature with all that it signs: multipart/signed (RFC 1847), and S/MIME in one part (RFC 8551)."""
    return part.type == "multipart/signed" or part.type in ("application/pkcs7-mime", "application/x-pkcs7-mime")


def _signed_parts(message: Message, edits: Sequence[Edit]) -> tuple[str, ...]:
    there = [part for part in message.root.walk() if not part.nested and signed_part(part)][:_MOST]
    return tuple(
        dict.fromkeys(
            part.type
            for part in there
            if any(edit.offset < part.end and part.header < edit.offset + edit.length for edit in edits)
        )
    )


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
