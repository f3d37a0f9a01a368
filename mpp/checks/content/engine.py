"""Finds which of thousands of expressions match a text: hyperscan finds, pcre2 confirms.

Each expression goes one of three ways. EXACT: hyperscan's word is final. CONFIRM: hyperscan knows a wider form of it
(look-around, back-references, possessive quantifiers, most word boundaries), and pcre2 has the last word where that hits. SLOW: hyperscan cannot
take it at all; pcre2 searches every text, and the operator is told. A text is scanned once, whatever the number of
expressions. Expressions are compiled once and kept (mpp.checks.content.compiled); pcre2's own form is made at the first hit.

hyperscan's scratch space is one for each Search, so one thread at a time scans.
"""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import hyperscan

from mpp.checks.content import pcre
from mpp.checks.content.compiled import Compiled, NotStored, Shelf, digest_of

MOST_GIVEN_UP = 4  # searches of one message that may end at pcre2's limit: 1 ms each at worst


class Way(IntEnum):
    EXACT = 0
    CONFIRM = 1
    SLOW = 2


_SLOW = bytes([Way.SLOW])


@dataclass(frozen=True, slots=True)
class Expression:
    source: bytes
    options: int  # of mpp.checks.content.pcre


@dataclass(slots=True)
class Patience:
    """What one message may cost in searches that are given up, and which those were (by Search and number)."""

    left: int = MOST_GIVEN_UP
    given_up: list[tuple["Search", int]] = field(default_factory=list)


class Search:
    """The expressions of one scope, compiled."""

    def __init__(self, expressions: Sequence[Expression], *, lines: bool = False, shelf: Shelf | None = None) -> None:
        """`lines`: the expressions are made for single lines and will be asked about many at once (`candidates`).

        Raises nothing for an expression that pcre2 takes; whether it does is asked before.
        """
        self.expressions = tuple(expressions)
        compiled = _compiled(self.expressions, lines, shelf)
        self.ways = compiled.ways  # an octet each: Way
        self.slow = [number for number, way in enumerate(self.ways) if way == Way.SLOW] if _SLOW in self.ways else []
        self._patterns: list[pcre.Pattern | None] = [None] * len(self.expressions)
        self._doubted: set[int] = set()  # ended at the limit at least once
        self._edges: list[int] | None = None  # found when they are first asked for
        self._scanning = threading.Lock()
        self._database: Any = None
        if compiled.database:
            self._database = hyperscan.loadb(compiled.database, hyperscan.HS_MODE_BLOCK)
            self._database.scratch = hyperscan.Scratch(self._database)

    def candidates(self, text: bytes) -> list[int]:
        """Return the numbers of the expressions that may match, in no order: none is left out that does."""
        found: list[int] = []
        if self._database is not None:
            with self._scanning:
                self._database.scan(text or b"\n", match_event_handler=_note, context=found)
            if not text:  # of which hyperscan says nothing; one line end differs from it only at \A and \z
                found = sorted({*found, *self._at_edges()} - set(self.slow))
        return found + self.slow if self.slow else found

    def _at_edges(self) -> list[int]:
        if self._edges is None:
            self._edges = [number for number, each in enumerate(self.expressions) if _EDGE.search(each.source)]
        return self._edges

    def hits(self, text: bytes, patience: Patience) -> list[int]:
        """Return the numbers of the expressions that match, in their order."""
        sure = bool(text)
        return sorted(
            number
            for number in self.candidates(text)
            if (sure and self.ways[number] == Way.EXACT) or self.match(number, text, patience) is not None
        )

    def pattern(self, number: int) -> pcre.Pattern:
        """Return pcre2's form of an expression."""
        pattern = self._patterns[number]
        if pattern is None:
            expression = self.expressions[number]
            pattern = self._patterns[number] = pcre.Pattern(expression.source, expression.options)
        return pattern

    def match(self, number: int, text: bytes, patience: Patience) -> pcre.Match | None:
        """Return pcre2's match; None too where the search was given up, which `patience` then tells."""
        try:
            return self.searched(number, text, patience)
        except pcre.LimitExceeded:
            return None

    def searched(self, number: int, text: bytes, patience: Patience) -> pcre.Match | None:
        """Return pcre2's match. Raises LimitExceeded where the search was given up, and lets `patience` tell."""
        try:
            if patience.left <= 0 and number in self._doubted:
                raise pcre.LimitExceeded("it took too long before, and the message has cost enough")
            return self.pattern(number).search(text)
        except pcre.LimitExceeded:
            patience.left -= 1
            patience.given_up.append((self, number))
            self._doubted.add(number)
            raise


def _note(number: int, start: int, end: int, flags: int, found: Any) -> None:
    found.append(number)


def _compiled(expressions: tuple[Expression, ...], lines: bool, shelf: Shelf | None) -> Compiled:
    if not expressions:
        return Compiled(b"", b"")
    digest = digest_of([(each.source, each.options) for each in expressions], lines)
    if shelf is not None:
        with shelf.alone(digest):
            try:
                return shelf.take(digest)
            except NotStored:
                compiled = _compile(expressions, lines)
                shelf.put(digest, compiled)
                return compiled
    return _compile(expressions, lines)


# What hyperscan may refuse, or a line by itself may see otherwise than the text around it; each is tried alone first.
_DOUBTFUL = re.compile(
    rb"\(\?(?![isx]*[:)])|\(\*|[+*?}]\+|\\[1-9gkGKRXQECpPNHVAzZ]|\{\d{3,}|\{\d*,\d{3,}|\[\[:[<>^]", re.DOTALL
)
_WORDS = re.compile(rb"\\[bBwWdDsS]|\[:")
# Word boundaries cost hyperscan up to a hundred times what the words do: it looks for the words alone, where that is surely wider, as it is
# not where a boundary is repeated, or where something must not be there. In a class \b is no boundary.
_BOUNDARY = re.compile(rb"\\[bB]")
_CLASS_OR_ESCAPE = re.compile(rb"\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]|\\.", re.DOTALL)
_NARROW = re.compile(rb"\\[bB][*+?{]|\(\?(?![a-wyzA-Z]*[:)])|[+*?}]\+|\\[cQ]|\(\*", re.DOTALL)
_NOTHING = b"(?:)"  # in place of a boundary: what stands on both sides of it must not become one
_REPEAT = re.compile(rb"[*+]|\{\d+,\}")
_REPEATED_GROUP = re.compile(rb"\)[*+{]")
_AS_LINE = {b"\\A": b"^", b"\\G": b"^", b"\\z": b"$", b"\\Z": b"$"}
_EDGE = re.compile(rb"\\[AzZ]")
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_NO_LINE = re.compile(rb"\(\?[a-zA-Z]*-?[a-zA-Z]*m|\\[QE]|\(\*|\[[^\]]*\\[AzZG]")


def _compile(expressions: tuple[Expression, ...], lines: bool) -> Compiled:
    forms = [_form(expression, lines) for expression in expressions]
    try:
        return _together(forms)
    except hyperscan.HyperscanError:  # one of them is not what it looked like
        return _together([_tried(*form) if form else None for form in forms])


Form = tuple[bytes, int, Way]


def _together(forms: Sequence[Form | None]) -> Compiled:
    taken = [(number, form) for number, form in enumerate(forms) if form is not None]
    ways = bytes(Way.SLOW if form is None else form[2] for form in forms)
    if not taken:
        return Compiled(ways, b"")
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[form[0] for _, form in taken],
        ids=[number for number, _ in taken],
        elements=len(taken),
        flags=[form[1] for _, form in taken],
    )
    return Compiled(ways, hyperscan.dumpb(database))


def _form(expression: Expression, lines: bool) -> Form | None:
    """Return how hyperscan is given an expression; None where it cannot be."""
    source, options = expression.source, expression.options
    flags = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY
    flags |= hyperscan.HS_FLAG_CASELESS if options & pcre.CASELESS else 0
    flags |= hyperscan.HS_FLAG_DOTALL if options & pcre.DOTALL else 0
    flags |= hyperscan.HS_FLAG_MULTILINE if lines or options & pcre.MULTILINE else 0
    flags |= hyperscan.HS_FLAG_UTF8 if options & pcre.UTF else 0
    flags |= hyperscan.HS_FLAG_UCP if options & pcre.UCP else 0
    if options & pcre.EXTENDED:
        source = b"(?x)" + source
    way = Way.EXACT
    if lines:
        if _NO_LINE.search(source):
            return None
        source = _ESCAPE.sub(lambda match: _AS_LINE.get(match[0], match[0]), source)
    if lines or options & (pcre.ANCHORED | pcre.DOLLAR_ENDONLY):
        way = Way.CONFIRM
    if _BOUNDARY.search(source) and not _NARROW.search(source) and (way is Way.CONFIRM or _is_tame(source)):
        wider = _CLASS_OR_ESCAPE.sub(lambda match: _NOTHING if _BOUNDARY.match(match[0]) else match[0], source)
        source, way = wider, Way.CONFIRM
    if _DOUBTFUL.search(source) or (options & pcre.UCP and _WORDS.search(source)):
        return _tried(source, flags, way)
    return source, flags, way


def _is_tame(source: bytes) -> bool:
    """True where no text makes pcre2 give up: what hyperscan alone decides about keeps its boundaries else."""
    return len(_REPEAT.findall(source)) < 2 and not _REPEATED_GROUP.search(source)


def _tried(source: bytes, flags: int, way: Way) -> Form | None:
    for more, becomes in ((0, way), (hyperscan.HS_FLAG_PREFILTER, Way.CONFIRM)):
        try:
            _together([(source, flags | more, becomes)])
        except hyperscan.HyperscanError:
            continue
        return source, flags | more, becomes
    return None
