"""A table of Postfix with hyperscan before it: thousands of rules cost one scan of the header or body.

The whole text is scanned once with all patterns, made so that they find whatever they would find in one of its lines. Only
where something was found is the text halved until its lines are left, and they are asked as Postfix would, and then only the rules
whose patterns may match.
"""

from collections.abc import Iterable, Iterator

from mpp.checks.content.compiled import Shelf
from mpp.checks.content.engine import Expression, Patience, Search
from mpp.checks.content.pcre import Match
from mpp.checks.content.postfix.lookup import Answer, conditions_of, lookup
from mpp.checks.content.postfix.read import Condition, Table


class Gate:
    def __init__(self, table: Table, shelf: Shelf | None = None) -> None:
        self.table = table
        self._conditions = conditions_of(table)
        self._places = {id(condition): place for place, condition in enumerate(self._conditions)}
        expressions = [Expression(each.pattern.source, each.pattern.options) for each in self._conditions]
        self.search = Search(expressions, lines=True, shelf=shelf)
        self._speaks_unasked = lookup(table, b"", lambda condition, key: None) is not None
        self._always, self._rules = _needs(table)

    def answers(self, text: bytes, keys: Iterable[bytes], patience: Patience) -> Iterator[tuple[bytes, Answer]]:
        """Yield what the table says of each key, in order, for those that it says something of.

        `text`: all the keys, a line each (folded ones over several), as far as it is cheap to make.
        """
        if not (self._speaks_unasked or self.search.slow):
            keys = self._suspects(list(keys)) if self.search.candidates(text) else ()
        for key in keys:
            answer = self.ask(key, patience)
            if answer is not None:
                yield key, answer

    def _suspects(self, keys: list[bytes]) -> Iterator[bytes]:
        """Yield the keys in which something may be found, in order, where few are."""
        if len(keys) > 1 and self.search.candidates(b"\n".join(keys) + b"\n"):
            half = len(keys) // 2
            yield from self._suspects(keys[:half])
            yield from self._suspects(keys[half:])
        elif len(keys) == 1:
            yield keys[0]

    def ask(self, key: bytes, patience: Patience) -> Answer | None:
        """Return the answer for one key."""
        found = self.search.candidates(key)
        if not found and not self._speaks_unasked:
            return None
        possible = set(found)

        def search(condition: Condition, text: bytes) -> Match | None:
            place = self._places[id(condition)]
            return self.search.searched(place, text, patience) if place in possible else None

        rules = {self._rules[number] for number in found if self._rules[number] >= 0}
        return lookup(self.table, key, search, sorted(rules.union(self._always)))

    def slow(self) -> list[Condition]:
        """Return the patterns that hyperscan cannot take."""
        return [self._conditions[number] for number in self.search.slow]


def _needs(table: Table) -> tuple[list[int], list[int]]:
    """Return the places of the rules that may hold though nothing was found, and for each condition the place of the rule that it is needed for, or -1."""
    always: list[int] = []
    rules: list[int] = []
    for place, rule in enumerate(table.rules):
        needed = next((number for number, each in enumerate(rule.conditions) if each.positive), -1)
        if rule.operation == "if" or (rule.conditions and needed < 0):
            always.append(place)
            needed = -1
        rules += [place if number == needed else -1 for number in range(len(rule.conditions))]
    return always, rules
