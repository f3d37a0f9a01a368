"""What is wrong with rules of the content filter, with the place in the pattern and the cure. For the settings check.

`filter_problems` is pure; `file_problems` reads the tables and word lists that rules name.
"""

import difflib
import re
from collections.abc import Iterator, Sequence, Set
from math import fsum
from operator import attrgetter
from pathlib import Path
from typing import Any

from mpp.checks.content import pcre
from mpp.checks.content.fill import groups_of
from mpp.checks.content.normalise import plain
from mpp.checks.content.postfix.actions import meaning
from mpp.checks.content.postfix.read import read_table
from mpp.checks.content.probes import is_word, options_of, words_of
from mpp.checks.content.scopes import OCTETS
from mpp.checks.content.settings import Condition, Filter
from mpp.checks.content.tables import kind_of
from mpp.mail.escape import printable
from mpp.settings.problem import Path as KeyPath
from mpp.settings.problem import Problem

_looks = attrgetter(
    "where", "match", "words", "words_file", "words_above", "ready", "at_least", "negate", "raw", "case", "conditions", "of",
    "direction", "policies", "recipients", "times",
)  # fmt: skip
_FATES = ("reject", "quarantine", "discard", "redirect", "accept")
_MOST_WORDS = 500_000
_TOLD = 20  # warnings of one table


def filter_problems(filters: Sequence[Filter], policies: Set[str]) -> Iterator[Problem]:
    """Patterns that are broken or match everything, names twice, actions that contradict each other."""
    names: dict[str, int] = {}
    alike: dict[Any, list[tuple[int, Filter]]] = {}  # by what they look for, and for whom
    for number, rule in enumerate(filters):
        path: KeyPath = ("filters", number)
        first = names.setdefault(rule.name, number)
        if first != number:
            yield Problem((*path, "name"), f'"{rule.name}" is the name of filters[{first + 1}] too', "write another")
        for item, name in enumerate(rule.policies):
            if name != "default" and name not in policies:
                near = difflib.get_close_matches(name, policies, 1)
                cure = f'did you mean "{near[0]}"?' if near else f"add [policies.{printable(name, 60)}]"
                yield Problem((*path, "policies", item), f'"{printable(name, 60)}" is no policy', cure)
        yield from _actions(path, rule)
        if rule.map:
            continue
        yield from _patterns(path, rule)
        for each, condition in enumerate(rule.conditions):
            yield from _patterns((*path, "conditions", each), condition)
        earlier = alike.setdefault(_looks(rule), [])
        yield from _shadowed(path, rule, earlier)
        earlier.append((number, rule))


def _actions(path: KeyPath, rule: Filter) -> Iterator[Problem]:
    fates = [action for action in rule.action if action in _FATES]
    if len(fates) > 1:
        yield Problem(
            (*path, "action"),
            f"has several fates ({', '.join(fates)}), and only one can be",
            f'write "{fates[0]}" alone',
        )
    count = 1 + len(rule.conditions)
    if isinstance(rule.of, int) and not 1 <= rule.of <= count:
        yield Problem(
            (*path, "of"), f"{rule.of} of {count} conditions can never hold", f"write a number from 1 to {count}"
        )
    groups = max((_groups(pattern, rule) for pattern in rule.match), default=0)
    for key in ("mark", "header", "text"):
        named = groups_of(getattr(rule, key))
        if named > groups:
            what = f"names ${named}, and the patterns of match have {groups or 'no'} groups"
            yield Problem((*path, key), what, "put ( ) around what is meant, or take it out")


def _groups(pattern: str, rule: Condition) -> int:
    try:
        return pcre.Pattern(pattern.encode(), options_of(rule)).groups
    except pcre.PatternError:
        return 99  # told by itself


def _patterns(path: KeyPath, condition: Condition) -> Iterator[Problem]:
    if not (condition.match or condition.words or condition.words_file or condition.ready):
        yield Problem(path, "looks for nothing", "write match, words, words_file or ready")
    for item, source in enumerate(condition.match):
        octets = source.encode()
        try:
            pattern = pcre.Pattern(octets, options_of(condition))
        except pcre.PatternError as error:
            at = len(octets[: error.position].decode("utf-8", "ignore"))
            shown = printable(source[max(0, at - 20) : at], 40) + " <here> " + printable(source[at : at + 20], 40)
            what = f"is no pattern: {error.cause} at character {at + 1}: {shown.strip()}"
            yield Problem((*path, "match", item), what, _cure(error.cause))
            continue
        if not condition.negate and pattern.search(b"") is not None and pattern.search(b"x") is not None:
            what = f'"{printable(source, 60)}" matches every mail, the empty text too'
            yield Problem((*path, "match", item), what, "write what has to be there at least", "warning")
        yield from _never_there((*path, "match", item), source, condition)
    for item, line in enumerate(condition.words):
        (word,) = words_of(condition.model_copy(update={"words": (line,), "words_file": ""}))
        if is_word(word):
            yield from _never_there((*path, "words", item), word, condition)
        else:
            what = (
                f'"{printable(line, 60)}" is found nowhere: words are letters, digits and "_", with .\'- between them'
            )
            yield Problem((*path, "words", item), what, "write it in match, as a pattern")


def _never_there(path: KeyPath, text: str, condition: Condition) -> Iterator[Problem]:
    """Letters that the text as rules see it has in another form: what is copied from a mail may hold some."""
    if condition.raw or condition.where in OCTETS:
        return
    text = re.sub(r"\\.|\[[^\]]*\]|\(\?[^)]*", " ", text)  # what no letter of the text stands in
    for word in re.findall(r"\S*[^\x00-\x7f]\S*", text):
        if plain(word) != word:
            what = (
                f'holds "{printable(word, 60)}", which texts hold as "{printable(plain(word), 60)}" when rules see them'
            )
            yield Problem(path, what, "write it so, or raw = true", "warning")
            return


def _cure(cause: str) -> str:
    if "parenthesis" in cause or "bracket" in cause or "]" in cause:
        return "close it, or put a \\ before it where the sign itself is meant"
    if "quantifier" in cause or "repeat" in cause:
        return "put a \\ before the * + or ? where the sign itself is meant"
    return "see pcre2pattern(3); put a \\ before signs that are meant as they stand"


def _shadowed(path: KeyPath, rule: Filter, earlier: Sequence[tuple[int, Filter]]) -> Iterator[Problem]:
    """A rule that looks for the same as those before it, and whose fate can never be seen."""
    for number, other in earlier:
        if fates := {*rule.action, *other.action} & set(_FATES):
            if len(fates) > 1:
                what = f'looks for the same as "{other.name}" (filters[{number + 1}]) and contradicts it'
                yield Problem((*path, "action"), f"{what}: {' and '.join(sorted(fates))}", "keep one of the two")
            else:
                what = f'looks for the same as "{other.name}" (filters[{number + 1}]) and does the same'
                yield Problem(path, what, "remove one of the two", "warning")


def file_problems(filters: Sequence[Filter]) -> Iterator[Problem]:
    """Tables and word lists that cannot be read, or only in part."""
    for number, rule in enumerate(filters):
        path: KeyPath = ("filters", number)
        if rule.map:
            yield from _table((*path, "map"), rule)
        for where, condition in (
            (path, rule),
            *(((*path, "conditions", n), each) for n, each in enumerate(rule.conditions)),
        ):
            try:
                yield from _words(where, condition)
            except (OSError, UnicodeError) as error:
                cause = (error.strerror if isinstance(error, OSError) else None) or "it is no UTF-8"
                what = f'"{printable(condition.words_file)}" cannot be read: {printable(cause)}'
                yield Problem((*where, "words_file"), what, "name a UTF-8 file that node.user may read")


def _words(path: KeyPath, condition: Condition) -> Iterator[Problem]:
    """Raises OSError and UnicodeError for the file of a dictionary."""
    words = words_of(condition)
    if len(words) > _MOST_WORDS:
        what = f"has more than {_MOST_WORDS} words"
        yield Problem((*path, "words_file"), what, "split it: each message is asked for all of them", "warning")
    most = fsum(score for score in words.values() if score > 0)
    if words and most < condition.words_above:
        what = f"({condition.words_above:g}) is never reached: the scores of all words are {most:g} together"
        yield Problem((*path, "words_above"), what, f"write at most {most:g}" if most > 0 else "write scores above 0")
    if condition.words_file and not words:
        yield Problem((*path, "words_file"), "holds no word", "write one a line", "warning")
    lost = [word for word in words if not is_word(word)] if condition.words_file else []
    if lost:
        what = f'has {len(lost)} words that are found nowhere, as "{printable(lost[0], 60)}"'
        yield Problem((*path, "words_file"), what, "write them in match, as patterns", "warning")


def _table(path: KeyPath, rule: Filter) -> Iterator[Problem]:
    kind, _, name = rule.map.partition(":")
    try:
        table = read_table(Path(name).read_bytes(), "pcre" if kind == "pcre" else "regexp")
    except OSError as error:
        what = f'"{printable(name)}" cannot be read: {printable(error.strerror or str(error))}'
        yield Problem(path, what, "name a file that is there and that node.user may read")
        return
    told = [(each.line, each.text) for each in table.warnings]
    for each in table.rules:
        if each.operation == "match":
            meant = meaning(each.answer.fill(None).decode("utf-8", "replace"), kind_of(rule.where))
            told += [(each.line, meant.missing)] if meant.missing else []
    for line, text in sorted(told)[:_TOLD]:
        yield Problem(
            path, f"{printable(name)}, line {line}: {printable(text, 200)}", "mend or remove that line", "warning"
        )
    if len(told) > _TOLD:
        yield Problem(path, f"{printable(name)}: {len(told) - _TOLD} more lines like these", "mend them", "warning")
