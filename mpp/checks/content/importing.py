"""Turns a table of Postfix into rules of our own, as far as that is true to it, and says of the rest what to do. Pure.

For `mpp filters import`. A rule of ours looks at the whole header or body, not at a line at a time, and all rules that hold
act. So what lives by the order of lines (IF, negation, a DUNNO before others) or changes lines stays a table: `map = "pcre:FILE"`
does with it exactly what Postfix does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mpp.checks.content import pcre
from mpp.checks.content.postfix.actions import Kind, meaning
from mpp.checks.content.postfix.read import Rule, Table
from mpp.verdict.finding import Act

Source = Literal["header_checks", "body_checks", "mime_header_checks", "access"]
_KINDS: dict[str, Kind] = {
    "header_checks": "header",
    "mime_header_checks": "header",
    "body_checks": "body",
    "access": "access",
}
_LIVE = "keep it in a table and write map = ... for that"


@dataclass(frozen=True, slots=True)
class Left:
    """A line that cannot carry over, and what to do."""

    line: int
    why: str
    cure: str


@dataclass(frozen=True, slots=True)
class Imported:
    rules: tuple[dict[str, object], ...]  # as settings have them
    left: tuple[Left, ...]


def import_table(table: Table, source: Source, where: str, prefix: str) -> Imported:
    """Return the rules and what is left. `where`: the place of an access table."""
    kind = _KINDS[source]
    places = {"header": "header", "body": "line", "access": where}
    rules: list[dict[str, object]] = []
    left = [Left(each.line, each.text, "mend the line, Postfix leaves it out too") for each in table.warnings]
    depth, passed = 0, 0
    for rule in table.rules:
        if rule.operation != "match":
            depth += 1 if rule.operation == "if" else -1
            continue
        made = _rule(rule, kind, depth, f"{prefix}-{rule.line}")
        if isinstance(made, Left):
            left.append(made)
        elif made is None:
            passed = rule.line
        else:
            rules.append({"name": f"{prefix}-{rule.line}", "where": places[kind], "raw": True, **made})
            if passed:
                why = f"in the table line {passed} lets some lines pass before it"
                left.append(Left(rule.line, why, "look whether it still means what it did, or keep the table"))
    return Imported(tuple(rules), tuple(sorted(left, key=lambda each: each.line)))


def _rule(rule: Rule, kind: Kind, depth: int, name: str) -> dict[str, object] | Left | None:
    if depth:
        return Left(rule.line, "it stands between IF and ENDIF", _LIVE)
    if len(rule.conditions) > 1 or not rule.conditions[0].positive:
        return Left(rule.line, "it holds for lines that do not match", _LIVE)
    text = "".join(
        piece.decode("utf-8", "replace").replace("$", "$$") if isinstance(piece, bytes) else "${%d}" % piece  # noqa: UP031
        for piece in rule.answer.pieces
    )
    meant = meaning(text, kind)
    if meant.missing:
        return Left(rule.line, meant.missing, "no rule does this here")
    if meant.change:
        return Left(rule.line, "it changes or removes lines", _LIVE)
    if meant.act is None:
        return None
    if meant.act in (Act.REDIRECT, Act.COPY) and "$" in meant.value:
        return Left(rule.line, "its address is made of what was matched", _LIVE)
    pattern = rule.conditions[0].pattern
    made: dict[str, object] = {"match": [_pattern(pattern)], "action": [meant.act.value]}
    if not pattern.options & pcre.CASELESS:
        made["case"] = True
    return {**made, **_value(meant.act, meant.value)}


def _value(act: Act, value: str) -> dict[str, object]:
    if act is Act.REJECT:
        return {"text": value[:200]} if value.isascii() and len(value) <= 200 else {}
    if act is Act.PREPEND:
        return {"header": value}
    return {"to": [value]} if act in (Act.REDIRECT, Act.COPY) else {}


def _pattern(pattern: pcre.Pattern) -> str:
    """Return the pattern for a text of many lines: what the table's flags said stands in front of it."""
    source = pattern.source.decode("latin-1")
    flags = ("x" if pattern.options & pcre.EXTENDED else "") + ("U" if pattern.options & pcre.UNGREEDY else "")
    if pattern.options & pcre.ANCHORED:
        source = f"^(?:{source})"
    return f"(?{flags}){source}" if flags else source


_TOKEN = re.compile(r"\w+|\W")


def near_duplicates(patterns: dict[str, list[str]], least: float = 0.85) -> Iterator[tuple[str, str, float]]:
    """Yield pairs of rules whose patterns are nearly the same, and how much of them is shared (0 to 1)."""
    sets = [(name, set(_TOKEN.findall(" ".join(each)))) for name, each in patterns.items() if each]
    sets.sort(key=lambda each: len(each[1]))
    for number, (name, tokens) in enumerate(sets):
        for other, theirs in sets[number + 1 :]:
            if len(tokens) < least * len(theirs):
                break  # sorted by size: none after it can share enough
            shared = len(tokens & theirs) / len(tokens | theirs)
            if shared >= least:
                yield name, other, shared
