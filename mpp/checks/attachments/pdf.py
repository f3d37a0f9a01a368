"""PDF: what a document does by itself, and the files embedded in it (ISO 32000-1, 7.5.7, 7.6, 7.11.4, 12.6).

What acts are names in dictionaries. These stand between the streams, or in object streams, which are unpacked; all other streams hold
pictures and text, and their octets mean nothing here.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import BombError, Flag, Member
from mpp.checks.attachments.pdf_filters import predicted, undone

_ACTIVE = re.compile(
    rb"/(?:JavaScript|JS|OpenAction|Launch|EmbeddedFiles?|RichMedia|SubmitForm|ImportData|GoToR|XFA)\b"
)
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_STREAM = re.compile(rb"stream\r?\n")
_EMBEDDED = re.compile(rb"/EmbeddedFile\b")
_OBJECTS = re.compile(rb"/ObjStm\b|/First\b")  # whoever reads by the table of objects needs no /Type
_ENCRYPTED = re.compile(rb"/Encrypt\b")
_NAME = rb"/[^\s\0/<>\[\](){}%]*+"
# Its value: a name, or a list of them. Where it is something else, as what stands in another object, the usual one is tried.
_FILTER = re.compile(rb"/F(?:ilter)?(?=[\s\0/\[%%(])[\s\0]*+(\[[^\]]*+|%b|null)?" % _NAME)
_UNCLEAR = b"/FlateDecode"
_STEP = re.compile(rb"%b|%%" % _NAME)  # a comment within makes it doubtful
_COMMENT = re.compile(rb"%[^\r\n]*+")
_APART = rb"(?:[\s\0]++|%[^\r\n]*+){1,1000}"
_FILE = re.compile(  # of a file: its octets; how far that was looked for, what they are
    rb"/(?:UF|F|DOS|Mac|Unix)(?=(%b(?:(\d{1,10}+)(?:%b(?:\d{1,5}+(?:%b(R\b)?)?)?)?)?))" % (_APART, _APART, _APART)
)  # all behind the first octet of each group may be missing: nothing is tried twice
_BLANK = (b"%", b"\0", b" ", b"\t", b"\n", b"\r", b"\f", b"\v")  # what `_APART` begins with
_NUMBER = re.compile(rb"(\d{1,10})[\s\0]++\d{1,5}[\s\0]++\Z")
_STREAMS = 2000  # of one document
_DICTIONARY = 4096  # octets before a stream, at least
_WAYS = 8  # to unpack one stream
_WITHIN = 16  # streams that stand one in the other, all to be looked into


def pdf_contents(data: bytes, meter: Meter) -> Iterator[Member | set[Flag]]:
    """Yield flags of the document, and the files embedded in it."""
    kept: list[bytes] = []
    named, seen = (
        set[bytes](),
        set[int](),
    )  # objects that hold the octets of files; where streams begin that have been given out
    at, looked_into, all_whole = 0, 0, True
    for number, (start, end, dictionary, _) in enumerate(_streams(data), 1):
        meter.budget.in_time()
        if data.find(b"obj", start, end) < 0:  # else it may be that no reader takes this for a stream
            kept.append(data[at:start])
            at = end
        objects, embedded = _OBJECTS.search(dictionary), _EMBEDDED.search(dictionary)
        if not (objects or embedded):
            continue
        looked_into += end - start
        if looked_into > _WITHIN * len(data):
            raise BombError("streams within streams")
        readings, whole = _unpacked(data[start:end], dictionary, meter)
        if objects:
            all_whole = all_whole and whole
            texts = list(map(_plain, readings))
            named.update(*map(_named_in, texts))
            yield set().union(*map(_flags_of, texts))
        if embedded:
            seen.add(start)
            yield from _members(number, readings, whole, meter)
    text = _plain(b"".join((*kept, data[at:])))
    named.update(_named_in(text))
    for number, (start, end, dictionary, before) in enumerate(_streams(data) if named else (), 1):
        own = _NUMBER.search(data, max(0, before - 30), before)
        if own and own[1] in named and start not in seen:  # it needs no /Type
            yield from _members(number, *_unpacked(data[start:end], dictionary, meter), meter)
    flags = _flags_of(text)
    yield flags if all_whole or Flag.ENCRYPTED in flags else flags | {Flag.DAMAGED}


def _named_in(text: bytes) -> Iterator[bytes]:
    """Yield the numbers of objects that hold the octets of files. Any `%` may stand in a string, and what follows it be no comment."""
    passed = 0
    for match in _FILE.finditer(text):
        passed += match.end(1) - match.start()
        if passed > _WITHIN * len(text) or (not match[3] and text.startswith(_BLANK, match.end(1))):
            raise BombError("comments without end")
        if match[3]:
            yield match[2]


def _members(number: int, readings: Sequence[bytes], whole: bool, meter: Meter) -> Iterator[Member]:
    """Yield what a file embedded in the stream of that number may be."""
    for octets in readings:
        meter.budget.entry()
        yield Member(f"embedded-{number}", octets, set() if whole else {Flag.DAMAGED})


def _streams(data: bytes) -> Iterator[tuple[int, int, bytes, int]]:
    """Yield where each stream begins and ends, with the dictionary before it and where that begins."""
    last = end = 0
    for count, match in enumerate(_STREAM.finditer(data)):
        if count >= _STREAMS:
            return
        if data[match.start() - 3 : match.start()] == b"end":
            continue
        if end < match.end():
            end = data.find(b"endstream", match.end())
            end = end if end >= 0 else len(data)
        lowest = max(0, min(last, match.start() - _DICTIONARY))
        before = max(lowest, data.rfind(b"obj", lowest, match.start()))
        yield match.end(), end, _plain(data[before : match.start()]), before
        last = match.end()


def _plain(text: bytes) -> bytes:
    """Return it with the characters of names that were written as numbers."""
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text)


def _flags_of(text: bytes) -> set[Flag]:
    flags = {Flag.ACTIVE} if _ACTIVE.search(text) else set()
    return flags | {Flag.ENCRYPTED} if _ENCRYPTED.search(text) else flags


def _unpacked(stream: bytes, dictionary: bytes, meter: Meter) -> tuple[list[bytes], bool]:
    """Return what a stream may hold, and whether that is all of it.

    Each value that may be that of its filter counts: what seems to be a comment or another filter may stand in a string. Where a step
    fails, what it was given is there beside what came of it, and beside what a predictor made that which it was given.
    """
    texts = (dictionary, _COMMENT.sub(b" ", dictionary))
    values = (match[1] or _UNCLEAR for text in texts for match in _FILTER.finditer(text))
    ways = dict.fromkeys(tuple(_STEP.findall(value)) for value in values) or [()]
    found, whole = [], len(ways) <= _WAYS
    for way in islice(ways, _WAYS):
        octets = stream
        for step in way:
            given, (octets, done) = octets, undone(step, octets, meter)
            if not done:
                found.append(given)
                whole = False
        found.append(octets)
        if (plain := predicted(octets, dictionary, meter)) is not None:
            found.append(plain)
    return list(dict.fromkeys(found)), whole
