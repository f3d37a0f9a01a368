"""Asks a table: the first rule whose pattern matches answers, in the order of the table (pcre_table(5), SEARCH ORDER).

One key at a time. mpp.checks.content.postfix.gate puts hyperscan before it for tables of many rules.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mpp.checks.content.pcre import LimitExceeded, Match
from mpp.checks.content.postfix.read import Condition, Rule, Table

Searcher = Callable[[Condition, bytes], Match | None]


@dataclass(frozen=True, slots=True)
class Answer:
    text: bytes
    rule: Rule
    span: tuple[int, int] | None  # what matched in the key; None for a negated pattern


def lookup(table: Table, key: bytes, search: Searcher, places: Iterable[int] | None = None) -> Answer | None:
    """Return the answer for a key, None where no rule has one.

    `search` returns a condition's first match. Where it raises LimitExceeded the rule does not hold, as in Postfix. `places`: of the
    rules that are asked, in order, where the others are known not to hold; each `if` is among them.
    """
    rules, go_on = table.rules, 0
    for at in range(len(rules)) if places is None else places:
        rule = rules[at]
        if at < go_on or rule.operation == "endif":
            continue
        holds, match = _holds(rule, key, search)
        if rule.operation == "if":
            if not holds:
                if rule.end < 0:
                    return None
                go_on = rule.end + 1
        elif holds:
            return Answer(rule.answer.fill(match), rule, match.span() if match else None)
    return None


def _holds(rule: Rule, key: bytes, search: Searcher) -> tuple[bool, Match | None]:
    first: Match | None = None
    try:
        for number, condition in enumerate(rule.conditions):
            match = search(condition, key)
            if (match is not None) is not condition.positive:
                return False, None
            first = match if not number else first
    except LimitExceeded:
        return False, None
    return True, first


def conditions_of(table: Table) -> list[Condition]:
    """Return every condition of a table, in its order."""
    return [condition for rule in table.rules for condition in rule.conditions]
