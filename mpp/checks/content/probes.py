"""What rules look for, gathered by scope so that each text is scanned once: patterns, words, ready-made patterns.

Made once for a revision of the settings. `look` says of a message which conditions hold, and where the first match stands.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pcre2

from mpp.checks.content import pcre
from mpp.checks.content.compiled import Shelf
from mpp.checks.content.engine import Expression, Patience, Search
from mpp.checks.content.ready import READY, is_right
from mpp.checks.content.scopes import OCTETS, Scopes
from mpp.checks.content.settings import OCTET_OPTIONS, TEXT_OPTIONS, Condition

Place = tuple[int, int]
"""A condition: the number of its rule, and its own in there."""

_WORD = pcre2.compile(r"\w+(?:['’.-]\w+)*")
_SCORED = re.compile(r"(.*?)\s*=\s*(-?\d{1,6}(?:\.\d{1,4})?)\s*")
_MOST_CANDIDATES = 5000  # of ready-made patterns in one text


@dataclass(slots=True)
class Held:
    """A condition that something was found for."""

    match: pcre.Match | None = None
    shown: str = ""  # what was found, as it stands in the text
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Words:
    """The dictionary of a condition."""

    place: Place
    scores: dict[str, float]
    phrases: tuple[str, ...]  # what is more than one word is looked for by itself


@dataclass(slots=True)
class _Scope:
    """All that is looked for in one text."""

    expressions: list[Expression] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    ready: dict[int, str] = field(default_factory=dict)  # number of the expression: its name
    words: dict[bool, list[_Words]] = field(default_factory=dict)  # by whether letter case has a say
    search: Search | None = None


def options_of(condition: Condition) -> int:
    """Return the options that a condition's patterns are compiled with."""
    options = OCTET_OPTIONS if condition.where in OCTETS else TEXT_OPTIONS
    return options if condition.case else options | pcre.CASELESS


@lru_cache(4096)
def pattern_of(text: str, options: int) -> pcre.Pattern:
    """Return a pattern of a rule by itself. Raises PatternError."""
    return pcre.Pattern(text.encode(), options)


def words_of(condition: Condition) -> dict[str, float]:
    """Return the dictionary of a condition. Raises OSError and UnicodeError for its file."""
    lines = list(condition.words)
    if condition.words_file:
        text = Path(condition.words_file).read_text("utf-8")
        lines += [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    words: dict[str, float] = {}
    for line in lines:
        match = _SCORED.fullmatch(line)
        word, score = (match[1], float(match[2])) if match else (line, 1.0)
        words[word.strip() if condition.case else word.strip().casefold()] = score
    return words


def is_word(text: str) -> bool:
    """True where texts can hold it, as a word of a dictionary or as several."""
    return " " in text or _WORD.fullmatch(text) is not None


class Probes:
    def __init__(self, rules: Sequence[Sequence[Condition]], shelf: Shelf | None = None) -> None:
        """Raises PatternError, OSError and UnicodeError; the settings check asks before."""
        self._conditions = rules
        self._scopes: dict[tuple[str, bool], _Scope] = {}
        for number, conditions in enumerate(rules):
            for each, condition in enumerate(conditions):
                self._add((number, each), condition)
        for scope in self._scopes.values():
            scope.search = Search(scope.expressions, shelf=shelf) if scope.expressions else None
        self.links = any(where in ("url", "host") for where, _ in self._scopes)

    def _add(self, place: Place, condition: Condition) -> None:
        scope = self._scopes.setdefault((condition.where, condition.raw or condition.where in OCTETS), _Scope())
        options = options_of(condition)
        for_many = (
            options | pcre.CASELESS | (pcre.MATCH_INVALID_UTF if options & pcre.UTF else 0)
        )  # as all_texts searches
        for pattern in condition.match:
            scope.expressions.append(Expression(pattern.encode(), options))
            scope.places.append(place)
        for name in condition.ready:
            scope.ready[len(scope.expressions)] = name
            scope.expressions.append(Expression(READY[name].pattern.encode(), for_many))
            scope.places.append(place)
        if words := words_of(condition):
            phrases = tuple(word for word in words if " " in word)
            scope.words.setdefault(condition.case, []).append(_Words(place, words, phrases))

    def place(self, search: Search, number: int) -> Place | None:
        """Return whose a pattern is."""
        return next((scope.places[number] for scope in self._scopes.values() if scope.search is search), None)

    def slow(self) -> Iterator[tuple[Place, str]]:
        """Yield the patterns that hyperscan cannot take."""
        for scope in self._scopes.values():
            if scope.search is not None:
                for number in scope.search.slow:
                    yield scope.places[number], scope.expressions[number].source.decode("utf-8", "replace")

    def look(self, scopes: Scopes, patience: Patience) -> dict[Place, Held]:
        """Return the conditions that something was found for."""
        held: dict[Place, Held] = {}
        for (where, raw), scope in self._scopes.items():
            text = scopes.text(where, raw=raw)
            if scope.search is not None:
                self._patterns(scope, scope.search, text, patience, held)
            subject = text.decode("utf-8", "replace") if scope.words else ""
            for case, dictionaries in scope.words.items():
                self._words(dictionaries, subject if case else subject.casefold(), held)
        return held

    def _patterns(
        self, scope: _Scope, search: Search, text: bytes, patience: Patience, held: dict[Place, Held]
    ) -> None:
        counted: dict[Place, set[str]] = {}
        for number in search.hits(text, patience):
            place = scope.places[number]
            if number in scope.ready:
                found = _right_ones(search.pattern(number), scope.ready[number], text)
                counted.setdefault(place, set()).update(found)
                continue
            if place not in held:
                began = time.perf_counter()
                match = search.match(number, text, patience)
                shown = (match.group() or b"").decode("utf-8", "replace") if match else ""
                held[place] = Held(match, shown, time.perf_counter() - began)
        for place, found in counted.items():
            if len(found) >= self._conditions[place[0]][place[1]].at_least:
                held.setdefault(place, Held(None, f"{len(found)}, the first {_masked(min(found))}"))

    def _words(self, dictionaries: Sequence[_Words], subject: str, held: dict[Place, Held]) -> None:
        there = set(_WORD.findall(subject))
        for each in dictionaries:
            began = time.perf_counter()
            found = each.scores.keys() & there
            found |= {phrase for phrase in each.phrases if phrase in subject}
            number, condition = each.place
            least = self._conditions[number][condition].words_above
            if found and sum(each.scores[word] for word in found) >= least:
                shown = ", ".join(sorted(found)[:10])
                held.setdefault(each.place, Held(None, shown, time.perf_counter() - began))


def _right_ones(pattern: pcre.Pattern, name: str, text: bytes) -> set[str]:
    """Return the different candidates whose check digits are right, without blanks and marks."""
    found: set[str] = set()
    for number, candidate in enumerate(pattern.all_texts(text)):
        if number >= _MOST_CANDIDATES:
            break
        shown = candidate.decode("utf-8", "replace")
        if is_right(name, shown):
            found.add(re.sub(r"[ .\-]", "", shown).upper())
    return found


def _masked(number: str) -> str:
    """Such numbers are not for the log: their ends tell enough."""
    return f"{number[:2]}...{number[-2:]}"
