"""Which rule for attachments holds for which file, and for whom. Pure: asked with what inspection said of the files.

The first rule that holds for a file decides, but for `note`, which only tells. `allow`, and `pass` in a list, hold for all that is inside the file too: so an
archive can let through what would be banned outside of it, as in amavisd's banned_filename_re.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mpp.checks.attachments.item import Item
from mpp.checks.attachments.settings import AttachmentList, AttachmentRule, parse_entry
from mpp.checks.attachments.shorts import keys_of, names_of
from mpp.checks.content import pcre
from mpp.settings.tenants import address_keys
from mpp.settings.values import glob_pattern
from mpp.verdict.transaction import Transaction

_NEVER = 1 << 30  # a place behind all entries and rules


@dataclass(frozen=True, slots=True)
class Ruling:
    """A rule that holds for a file. `cause`: a flag, or "type", "name", "size", "list", "all"; `why`: the same in words."""

    rule: AttachmentRule
    item: Item
    cause: str
    why: str

    @property
    def part(self) -> str:
        """Path of the MIME part that the file lies in."""
        return self.item.path.partition("/")[0]


class BanList:
    """The entries of one list."""

    def __init__(self, settings: AttachmentList) -> None:
        entries = [parse_entry(entry) for entry in settings.entries]
        self._bans = [verb == "ban" for verb, _, _ in entries]
        self.texts = [text for _, text, _ in entries]
        self._patterns = [pattern for _, _, pattern in entries]
        self._first_known = lru_cache(4096)(self._first_in)  # types repeat, and names of one mail

    def first(self, item: Item) -> int:
        """Return the number of the first entry that matches one of the file's keys."""
        return min((self._first_known(key) for key in keys_of(item)), default=_NEVER)

    def bans(self, number: int) -> bool:
        return number != _NEVER and self._bans[number]

    def _first_in(self, key: str) -> int:
        octets = key.encode("utf-8", "replace")
        return next((number for number in range(len(self._patterns)) if self._matches(number, octets)), _NEVER)

    def _matches(self, number: int, key: bytes) -> bool:
        """A search that is given up counts against the file: it bans, and lets nothing pass."""
        try:
            return self._patterns[number].search(key) is not None
        except pcre.LimitExceeded:
            return self._bans[number]


@dataclass(slots=True)
class _Open:
    """A file that others may lie in: what holds for them because it holds for it."""

    firsts: dict[str, int]  # by list: the first entry that matches it or what it lies in
    allowed: int  # the first rule that allows it or what it lies in


class Rulebook:
    """The rules of one value of the settings."""

    def __init__(self, rules: Sequence[AttachmentRule], lists: Mapping[str, AttachmentList]) -> None:
        """Raises KeyError where a rule names a list that is not there; the settings check asks before."""
        self.rules = tuple(rules)
        named = dict.fromkeys(name for rule in rules for name in rule.lists)
        self._lists = {name: BanList(lists[name]) for name in named}
        self._names = [_globs(rule.names) for rule in rules]
        self._types = [_globs(rule.types) for rule in rules]

    def __bool__(self) -> bool:
        return bool(self.rules)

    def groups(self, transaction: Transaction) -> dict[tuple[int, ...], list[str]]:
        """Return the recipients by the rules that are for them (their numbers in order)."""
        sender = address_keys(transaction.envelope.reverse_path)
        there = [
            number
            for number, rule in enumerate(self.rules)
            if rule.direction in ("any", transaction.direction)
            and (not rule.senders or not sender.isdisjoint(rule.senders))
        ]
        groups: dict[tuple[int, ...], list[str]] = {}
        for address in dict.fromkeys(recipient.address for recipient in transaction.envelope.recipients):
            keys, policy = address_keys(address), transaction.policies.get(address, ("default", None))[0]
            theirs = tuple(
                number
                for number in there
                if (not self.rules[number].policies or policy in self.rules[number].policies)
                and (not self.rules[number].recipients or not keys.isdisjoint(self.rules[number].recipients))
            )
            groups.setdefault(theirs, []).append(address)
        return groups

    def judge(self, numbers: Sequence[int], items: Sequence[Item]) -> list[Ruling]:
        """Return the rules that are to be told of each file, and the one that decides; containers come before what they hold."""
        rulings: list[Ruling] = []
        around: list[_Open] = []
        for item in items:
            del around[item.depth :]
            opened = self._open(item, around[-1] if around else None)
            rulings += self._decide(numbers, item, opened, inside=item.depth > 0)
            around.append(opened)
        return rulings

    def _open(self, item: Item, outer: _Open | None) -> _Open:
        firsts = {name: known.first(item) for name, known in self._lists.items()}
        if outer is None:
            return _Open(firsts, _NEVER)
        return _Open({name: min(at, outer.firsts[name]) for name, at in firsts.items()}, outer.allowed)

    def _decide(self, numbers: Sequence[int], item: Item, opened: _Open, *, inside: bool) -> Iterator[Ruling]:
        for number in numbers:
            rule = self.rules[number]
            if number == opened.allowed:
                yield Ruling(rule, item, "all", f"it lies in what rule {rule.name} allows")
                return
            if rule.nested != "any" and inside is not (rule.nested == "inside"):
                continue
            fit = self._fit(number, item, opened)
            if fit is not None:
                if rule.action == "allow":
                    opened.allowed = number
                yield Ruling(rule, item, *fit)
                if rule.action != "note":
                    return

    def _fit(self, number: int, item: Item, opened: _Open) -> tuple[str, str] | None:
        """Return the cause and its words where all that a rule asks for holds; the narrowest of them is the cause."""
        rule, fit = self.rules[number], ("all", "any file")
        if rule.above:
            if item.size <= rule.above:
                return None
            fit = "size", f"{item.size} octets are more than {rule.above}"
        if (types := self._types[number]) is not None:
            if types.fullmatch(item.type.lower()):
                fit = "type", f"its type is {item.type}"
            elif rule.believes and types.fullmatch(item.declared.lower()):
                fit = "type", f"its declared type is {item.declared}"
            else:
                return None
        if (names := self._names[number]) is not None:
            found = next((each for each in names_of(item) if names.fullmatch(each.lower())), None)
            if found is None:
                return None
            fit = "name", f"its name is {found}"
        if rule.flags:
            flag = next((each for each in rule.flags if each in item.flags), None)
            if flag is None:
                return None
            fit = flag.value, f"it is {flag.value}"
        if rule.lists:
            banned = next((name for name in rule.lists if self._lists[name].bans(opened.firsts[name])), None)
            if banned is None:
                return None
            fit = "list", f"attachment_lists.{banned} bans it: {self._lists[banned].texts[opened.firsts[banned]]}"
        return fit


def _globs(globs: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(glob_pattern, globs))) if globs else None
