"""PDF: what a document does by itself, and the files embedded in it (ISO 32000-1, 7.5.7, 7.6, 7.11.4, 12.6).

What acts are names in dictionaries. These stand between the streams, or in object streams, which are unpacked; all other streams hold
pictures and text, and their octets mean nothing here.
"""

import base64
import binascii
import re
from collections.abc import Iterator

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.compressed import inflated
from mpp.checks.attachments.item import Flag, Member

_ACTIVE = re.compile(
    rb"/(?:JavaScript|JS|OpenAction|Launch|EmbeddedFiles?|RichMedia|SubmitForm|ImportData|GoToR|XFA)\b"
)
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_STREAM = re.compile(rb"stream\r?\n")
_EMBEDDED = re.compile(rb"/EmbeddedFile\b")
_OBJECTS = re.compile(rb"/ObjStm\b|/First\b")  # whoever reads by the table of objects needs no /Type
_ENCRYPTED = re.compile(rb"/Encrypt\b")
_FILTER = re.compile(rb"/(?:FlateDecode|Fl|ASCIIHexDecode|AHx|ASCII85Decode|A85)\b")
_STREAMS = 2000  # of one document
_DICTIONARY = 4096  # octets before a stream


def pdf_contents(data: bytes, meter: Meter) -> Iterator[Member | set[Flag]]:
    """Yield flags of the document, and the files embedded in it."""
    kept: list[bytes] = []
    at = 0
    for number, (start, end, dictionary) in enumerate(_streams(data), 1):
        if data.find(b"obj", start, end) < 0:  # else it may be that no reader takes this for a stream
            kept.append(data[at:start])
            at = end
        if _OBJECTS.search(dictionary):
            yield _flags_of(_plain(_unpacked(data[start:end], dictionary, meter)[0]))
        elif _EMBEDDED.search(dictionary):
            meter.budget.entry()
            octets, whole = _unpacked(data[start:end], dictionary, meter)
            yield Member(f"embedded-{number}", octets, set() if whole else {Flag.DAMAGED})
    yield _flags_of(_plain(b"".join((*kept, data[at:]))))


def _streams(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield where each stream begins and ends, with the dictionary before it."""
    for count, match in enumerate(_STREAM.finditer(data)):
        if count >= _STREAMS:
            return
        if data[match.start() - 3 : match.start()] == b"end":
            continue
        end = data.find(b"endstream", match.end())
        before = max(0, data.rfind(b"obj", max(0, match.start() - _DICTIONARY), match.start()))
        yield match.end(), end if end >= 0 else len(data), _plain(data[before : match.start()])


def _plain(text: bytes) -> bytes:
    """Return it with the characters of names that were written as numbers."""
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text)


def _flags_of(text: bytes) -> set[Flag]:
    flags = {Flag.ACTIVE} if _ACTIVE.search(text) else set()
    return flags | {Flag.ENCRYPTED} if _ENCRYPTED.search(text) else flags


def _unpacked(stream: bytes, dictionary: bytes, meter: Meter) -> tuple[bytes, bool]:
    """Return what a stream holds, and whether that is all of it; what is packed in another way stays as it is."""
    whole = True
    for name in _FILTER.findall(dictionary):
        if name.startswith(b"/Fl"):
            stream, whole = inflated(stream, meter)
        elif name in (b"/ASCIIHexDecode", b"/AHx"):
            digits = re.sub(rb"[^0-9A-Fa-f]", b"", stream.partition(b">")[0])
            stream = binascii.unhexlify(digits + b"0" * (len(digits) % 2))
        else:
            stream = _base85(stream)
    return stream, whole


def _base85(stream: bytes) -> bytes:
    try:
        return base64.a85decode(stream.strip().removeprefix(b"<~").partition(b"~>")[0])
    except ValueError:
        return stream
