"""Every plausible reading of a message: its own parts, and those that other programs would see where MIME is broken.

    oddities (mpp.mail.oddities) -> the same octets as each dialect reads them (mpp.mail.dialects) -> those that differ

For mpp.mail.message, which keeps the answer. A message without oddities, as nearly all are, has one reading and costs a look.
Bounded: one pass for each dialect, within the limits of the scan. Nothing raises.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass

from mpp.mail.dialects.dialect import Dialect
from mpp.mail.dialects.gmime import GMime
from mpp.mail.dialects.lenient import LENIENT
from mpp.mail.dialects.mimetools import MimeTools
from mpp.mail.dialects.python import Python
from mpp.mail.dialects.reader import read
from mpp.mail.mime import Limits
from mpp.mail.part import Part

DIALECTS: tuple[Dialect, ...] = (Python(), GMime(), MimeTools(), *LENIENT)

_Sign = tuple[str, str | None, int, int]  # type, name, octets, their hash


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a message that another program has and we have not."""

    dialect: str
    leaves: tuple[Part, ...]


def read_all(
    raw: bytes, own: Sequence[Part], limits: Limits, exceeded: set[str]
) -> tuple[tuple[Reading, ...], list[Part]]:
    """Return the readings that differ from `own`, each once, and the leaves of all of them.

    The leaves are `own`, and of further readings those that have another type, name or content than all before. The path of
    such a leaf says whose it is: "2~1.1" is part 1.1 of the second further reading. It is not one of ours.
    """
    signed = _Signer()
    signs = tuple(signed(own))
    known, kept = {signs}, set(signs)
    readings: list[Reading] = []
    leaves = [*own]
    for dialect in DIALECTS:
        root = read(raw, dialect, limits, exceeded)
        theirs = tuple(_leaves(root, dialect)) if root else ()
        signs = tuple(signed(theirs))
        if root is None or signs in known:
            continue
        known.add(signs)
        readings.append(Reading(dialect.name, theirs))
        for leaf, sign in zip(theirs, signs, strict=True):
            if sign not in kept:
                kept.add(sign)
                leaves.append(copy(leaf))
                leaves[-1].path = f"{len(readings)}~{leaf.path}"
    return tuple(readings), leaves


def _leaves(root: Part, dialect: Dialect) -> Iterator[Part]:
    """Yield what the program hands out: to some a container with nothing in it is nothing."""
    for part in root.leaves():
        if dialect.childless == "nothing" and (part.type.startswith("multipart/") or dialect.is_message(part.content)):
            continue
        yield part


class _Signer:
    """Tells leaves apart by what they hold. A body that several dialects decode in one way is decoded once."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int, object], tuple[int, int]] = {}

    def __call__(self, leaves: Iterable[Part]) -> Iterator[_Sign]:
        for leaf in leaves:
            yield leaf.type, leaf.name or None, *self._content(leaf)

    def _content(self, leaf: Part) -> tuple[int, int]:
        if leaf.nested:  # its offsets are those of other octets
            return _measure(leaf)
        key = leaf.body, leaf.end, leaf.decoder or leaf.encoding
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _measure(leaf)
        return seen


def _measure(leaf: Part) -> tuple[int, int]:
    octets = leaf.decode()
    return len(octets), hash(octets)
