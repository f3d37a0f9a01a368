"""Every plausible reading of a message: its own parts, and those that other programs would see where MIME is broken.

    oddities (mpp.mail.oddities) -> the same octets as each dialect reads them (mpp.mail.dialects) -> those that differ

For mpp.mail.message, which keeps the answer. A message without oddities, as nearly all are, has one reading and costs a look.
Bounded: one pass for each dialect, within the limits of the scan and of what is mended. Nothing raises.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from mpp.mail.decoding import broken_escapes
from mpp.mail.dialects.dialect import Dialect
from mpp.mail.dialects.gmime import GMime
from mpp.mail.dialects.lenient import LENIENT
from mpp.mail.dialects.loose import binhex_is_cut
from mpp.mail.dialects.mimetools import MimeTools
from mpp.mail.dialects.python import Python
from mpp.mail.dialects.reader import read
from mpp.mail.mime import Limits
from mpp.mail.part import Part
from mpp.mail.pieces import count, pieces

DIALECTS: tuple[Dialect, ...] = (Python(), GMime(), MimeTools(), *LENIENT)

_BLANKS = b" \t\n\r\f\v"
_MENDED = ("base64", "quoted-printable", "binhex")
_LINE_END = 2  # octets by which the ends of a body differ, to several programs
_SIXTEENTH = 16  # what is read by the line or by the escape costs a fraction of what is mended


class Measure(NamedTuple):
    """What a leaf holds, decoded: whoever compares readings needs no more, and large mail is not decoded again for it."""

    size: int
    digest: bytes
    solid: int  # octets that are no white space
    solid_digest: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a message."""

    dialect: str  # "" is our own
    leaves: tuple[Part, ...]
    measures: tuple[Measure, ...]  # of each leaf


def read_all(
    raw: bytes, own: Sequence[Part], limits: Limits, exceeded: set[str]
) -> tuple[tuple[Reading, ...], list[Part]]:
    """Return our own reading and those that differ from it, each once, and the leaves of all of them.

    The leaves are `own`, and of further readings those that have another type, name or content than all before. The path of
    such a leaf says whose it is: "2~1.1" is part 1.1 of the second further reading. It is not one of ours.
    """
    measured = _Measurer(limits.mendings)
    readings = [Reading("", tuple(own), tuple(map(measured, own)))]
    known = {_signs(readings[0])}
    kept = set(_signs(readings[0]))
    leaves = [*own]
    for dialect in DIALECTS:
        root = read(raw, dialect, limits, exceeded)
        if root is None:
            continue
        theirs = tuple(_leaves(root, dialect))
        reading = Reading(dialect.name, theirs, tuple(map(measured, theirs)))
        signs = _signs(reading)
        if signs in known:
            continue
        known.add(signs)
        readings.append(reading)
        for leaf, sign in zip(theirs, signs, strict=True):
            if sign not in kept:
                kept.add(sign)
                leaves.append(copy(leaf))
                leaves[-1].path = f"{len(readings) - 1}~{leaf.path}"
    if measured.exceeded:
        exceeded.add("mendings")
    return tuple(readings), leaves


def _leaves(root: Part, dialect: Dialect) -> Iterator[Part]:
    """Yield what the program hands out: to some a container with nothing in it is nothing."""
    for part in root.leaves():
        if dialect.childless == "nothing" and (part.type.startswith("multipart/") or dialect.is_message(part.content)):
            continue
        yield part


def _signs(reading: Reading) -> tuple[tuple[str, str | None, Measure], ...]:
    """Return what tells readings and leaves apart."""
    return tuple((leaf.type, leaf.name or None, m) for leaf, m in zip(reading.leaves, reading.measures, strict=True))


class _Measurer:
    """Measures leaves. A body that several dialects decode in one way is decoded once.

    Where more is broken than `most` allows, further bodies are decoded as we do it and not as each program does: mending costs
    a call for each place, so that a bomb of them would take minutes.
    """

    def __init__(self, most: int) -> None:
        self.exceeded = False
        self._left = most
        self._weighed: dict[tuple[int, str], tuple[int, bool]] = {}  # how far, and whether it may be mended
        self._seen: dict[tuple[int, int, object], Measure] = {}

    def __call__(self, leaf: Part) -> Measure:
        if leaf.nested:  # its offsets are those of other octets
            return _measure(leaf)
        if leaf.decoder and not self._mendable(leaf):
            leaf.decoder = None
        key = leaf.body, leaf.end, leaf.decoder or leaf.encoding
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _measure(leaf)
        return seen

    def _mendable(self, leaf: Part) -> bool:
        key = leaf.body, leaf.encoding if leaf.encoding in _MENDED else ""
        end, fits = self._weighed.get(key, (-1, False))
        if leaf.end > end + _LINE_END:
            self._left -= _mendings(leaf, self._left)
            fits = self._left >= 0
            self._weighed[key] = leaf.end, fits
            cut = leaf.encoding == "binhex" and binhex_is_cut(leaf.raw())
            self.exceeded = self.exceeded or not fits or cut
        return fits


def _mendings(leaf: Part, most: int) -> int:
    """Return how many places of a body each program mends in its own way; more than `most` is as good as any such number."""
    source, start, end = leaf.source, leaf.body, leaf.end
    if most < 0:
        return 0
    if leaf.encoding == "quoted-printable":
        return broken_escapes(source, start, end, most)
    signs, lines = count(source, b"=", start, end), count(source, b"\n", start, end)
    return lines // _SIXTEENTH + (signs if leaf.encoding == "base64" else signs // _SIXTEENTH)


def _measure(leaf: Part) -> Measure:
    octets = leaf.decode()
    solid, digest = 0, sha256()
    for piece in pieces(octets):
        piece = piece.translate(None, _BLANKS)
        solid += len(piece)
        digest.update(piece)
    return Measure(len(octets), sha256(octets).digest(), solid, digest.digest())
