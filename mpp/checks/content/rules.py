"""The content filter at work: which rules hold for a message and for whom, as findings with actions.

Called by mpp.gateway.pipeline before the scanners, by `mpp scan`, `mpp filters` and replay. Made once for a revision of the
settings. Reads no clock: the time of day comes in. Never waits; never raises for what a message holds.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter

from mpp.checks.content.compiled import Shelf
from mpp.checks.content.count import Count
from mpp.checks.content.engine import Patience, Search
from mpp.checks.content.fill import actions_of
from mpp.checks.content.pcre import LimitExceeded
from mpp.checks.content.postfix.live import LiveTable
from mpp.checks.content.probes import Held, Place, Probes, options_of, pattern_of
from mpp.checks.content.scopes import Scopes
from mpp.checks.content.settings import Condition, Content, Filter
from mpp.checks.content.tables import table_findings
from mpp.checks.content.times import read_times
from mpp.mail.escape import printable
from mpp.mail.message import Message
from mpp.settings.tenants import covering
from mpp.verdict.acts import first_act
from mpp.verdict.finding import Act, Counts, Finding, Verdict
from mpp.verdict.transaction import Transaction

CHECK = "filters"
LARGE = 256 << 10  # octets above which a message is examined beside the loop
MANY_LINES = 200  # each costs a tenth of a millisecond where a table has an answer for it
TOO_SLOW = "pattern-too-slow"


class Rules:
    def __init__(self, filters: Sequence[Filter], content: Content, shelf: Shelf | None = None) -> None:
        """Raises PatternError, OSError and UnicodeError; the settings check asks before."""
        self.filters = tuple(filters)
        self._content = content
        self._conditions = [_conditions(each) for each in filters]
        self.probes = Probes(self._conditions, shelf)
        self._times = [tuple(map(read_times, each.times)) for each in filters]
        self._always = [number for number, each in enumerate(self._conditions) if any(one.negate for one in each)]
        self.tables = {number: LiveTable(each.map, shelf) for number, each in enumerate(filters) if each.map}
        self.count = Count()
        self._busy = asyncio.Lock()

    def __bool__(self) -> bool:
        return bool(self.filters)

    def slow(self) -> Iterator[tuple[str, str]]:
        """Yield the name of a rule with each of its patterns that hyperscan cannot take, those of its table too."""
        for place, pattern in self.probes.slow():
            yield self.filters[place[0]].name, pattern
        for number, table in self.tables.items():
            for condition in table.gate.slow():
                yield self.filters[number].name, condition.text

    async def judge(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Examine by the clock of this machine; large messages, and many lines for a table, in a thread, one at a time."""
        now = datetime.now().astimezone()
        many = len(message.raw) > LARGE or (self.tables and message.raw.count(b"\n") > MANY_LINES)
        if not many and not self._busy.locked():
            return self.examine(message, transaction, now)
        async with self._busy:
            return await asyncio.to_thread(self.examine, message, transaction, now)

    def examine(self, message: Message, transaction: Transaction, now: datetime) -> list[Finding]:
        """Return a finding for each rule that holds."""
        if not self.filters:
            return []
        patience = Patience()
        content = self._content
        scopes = Scopes(
            message,
            transaction.envelope,
            transaction.client,
            limit=content.scan_size,
            links=self.probes.links,
            alike_everywhere=content.alike == "everywhere",
        )
        held = self.probes.look(scopes, patience)
        findings = list(self._held(held, transaction, now))
        for number, table in self.tables.items():
            rule = self.filters[number]
            if whom := self._whom(rule, number, transaction, now):
                for finding in table_findings(rule, table, message, transaction, patience):
                    findings.append(_for(finding, rule, whom, transaction))
                    self.count.hit(rule.name, 0.0)
        if len(findings) > 1:
            self._note_beaten(findings)
        if patience.given_up:
            findings += self._given_up(patience)
        self.count.message(now.timestamp())
        return findings

    def _note_beaten(self, findings: Sequence[Finding]) -> None:
        """Count rules that held and changed nothing, since another one settles the fate of all whom they are for."""
        acting = sorted((each for each in findings if each.counts is not Counts.NOTHING), key=attrgetter("symbol"))
        first = first_act(acting, (Act.REJECT, Act.QUARANTINE, Act.DISCARD))
        if first is None:
            return
        winner, whom = first[1].rule, first[0].recipients
        for finding in acting:
            rules = {action.rule for action in finding.actions if action.act is not Act.NOTE}
            adds = any(action.act is Act.COPY for action in finding.actions)
            covered = not whom or (finding.recipients and finding.recipients <= whom)
            if winner not in rules and covered and not adds:
                for rule in rules:
                    self.count.beat(rule.removeprefix("filters."), winner.removeprefix("filters."))

    def _given_up(self, patience: Patience) -> Iterator[Finding]:
        """Name the rules whose patterns took too long: the operator has to mend them, the mail goes on."""
        names = {self._owner(search, number) for search, number in patience.given_up}
        self.count.gave_up(names)
        for name in sorted(names):
            text = f"A pattern of filters.{name} takes too long and was given up; write it without nested repeats"
            yield Finding(CHECK, TOO_SLOW, text=text, evidence=name, counts=Counts.NOTHING, limit=f"filters.{name}")

    def _owner(self, search: Search, number: int) -> str:
        place = self.probes.place(search, number)
        if place is not None:
            return self.filters[place[0]].name
        return next(self.filters[each].name for each, table in self.tables.items() if table.gate.search is search)

    def _held(self, held: Mapping[Place, Held], transaction: Transaction, now: datetime) -> Iterator[Finding]:
        for number in sorted({place[0] for place in held} | set(self._always)):
            rule = self.filters[number]
            whom = self._whom(rule, number, transaction, now)
            whom = [address for address in whom if self._holds(number, held, address)] if whom else []
            if whom:
                first = next(
                    (held[number, each] for each in range(len(self._conditions[number])) if (number, each) in held),
                    Held(),
                )
                self.count.hit(rule.name, first.took_s)
                yield _for(_finding(rule, first), rule, whom, transaction)

    def _holds(self, number: int, held: Mapping[Place, Held], address: str) -> bool:
        """True where enough conditions of a rule hold for a recipient."""
        conditions = self._conditions[number]
        count = sum(
            self._found(condition, held.get((number, each)), address) is not condition.negate
            for each, condition in enumerate(conditions)
        )
        of = self.filters[number].of
        return count >= (len(conditions) if of == "all" else 1 if of == "any" else int(of))

    def _found(self, condition: Condition, held: Held | None, address: str) -> bool:
        if held is None or condition.where != "recipient" or not condition.match:
            return held is not None
        return any(_matches(text, options_of(condition), address) for text in condition.match)

    def _whom(self, rule: Filter, number: int, transaction: Transaction, now: datetime) -> list[str]:
        """Return the recipients that a rule is for."""
        if rule.direction not in ("any", transaction.direction):
            return []
        if self._times[number] and not any(times.hold(now) for times in self._times[number]):
            return []
        addresses = [recipient.address for recipient in transaction.envelope.recipients]
        if rule.policies:
            addresses = [each for each in addresses if transaction.policies.get(each, ("", None))[0] in rule.policies]
        if rule.recipients:
            addresses = [each for each in addresses if not covering(each.lower()).isdisjoint(rule.recipients)]
        return addresses


def _matches(pattern: str, options: int, address: str) -> bool:
    try:
        return pattern_of(pattern, options).search(address.encode("utf-8", "replace")) is not None
    except LimitExceeded:
        return False


def _conditions(rule: Filter) -> tuple[Condition, ...]:
    """The rule's own condition and the further ones; none for a table."""
    return () if rule.map else (rule, *rule.conditions)


def _finding(rule: Filter, held: Held) -> Finding:
    return Finding(
        CHECK,
        rule.name,
        rule.score if "score" in rule.action else 0.0,
        f"Rule {rule.name} looks at {rule.where}",
        printable(held.shown, 120),
        verdict=Verdict.SPAM if "tag" in rule.action else None,
        actions=actions_of(rule, held.match),
    )


def _for(finding: Finding, rule: Filter, whom: Sequence[str], transaction: Transaction) -> Finding:
    """Limit a finding to the recipients that the rule holds for, and to nothing where it only counts."""
    everybody = len(whom) == len(transaction.envelope.recipients)
    limited = finding._replace(recipients=frozenset() if everybody else frozenset(whom))
    return limited._replace(counts=Counts.NOTHING, limit=f"filters.{rule.name}.dry_run") if rule.dry_run else limited
