"""What traces that are loaded together add to the tables of their day: rows of words, and numbers to count. Pure.

It is taken from the lines as JSON has them: to make a Trace of each cost more than all else, and nothing here needs one. They are
decoded one by one: all objects of a frame at once leave the cache and keep the collector busy, which cost a half more.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mpp.settings.tenants import DEFAULT_TENANT
from mpp.store.trace import folded, queue_id
from mpp.store.trace_line import TraceError, decoded
from mpp.store.trace_tables import word_key

SLOT_MS = 600_000
EVERYBODY = ""  # the tenant of the counts by slot
CAME, HELD = "came in ", "held in "  # before the number of the slot

_Object = Mapping[str, Any]


class Batch:
    def __init__(self) -> None:
        self.traces = self.unreadable = 0  # of the latter is every line that holds no trace of ours
        self.rows: list[tuple[int, str, int]] = []  # key of a word, tenant, place
        self._keys = _Keys()
        self._messages = Counter[str]()  # by tenant, as the next two
        self._octets = Counter[str]()
        self._refusals = Counter[str]()
        self._copies = Counter[tuple[str, str, str]]()  # by tenant, disposition and verdict
        self._slots = Counter[tuple[int, bool]]()  # by slot, and whether a copy was held

    def add(self, lines: Iterable[bytes], place: int) -> None:
        """Add lines, of which the first has this place and each further one the next."""
        for at, line in enumerate(lines, place):
            try:
                made = decoded(line)
                copies = made["rcpt"]
                tenants = {copy.get("tenant", DEFAULT_TENANT) for copy in copies} or {DEFAULT_TENANT}
                rows = [(key, tenant, at) for tenant in tenants for key in self._found_by(made, copies, tenant)]
                self._count(made, copies, tenants)
            except (TraceError, KeyError, TypeError, AttributeError):
                self.unreadable += 1
            else:
                self.rows += rows
                self.traces += 1

    def _found_by(self, made: _Object, copies: Sequence[_Object], tenant: str) -> set[int]:
        """Return the keys of what mpp.store.trace.words says of the trace."""
        known = self._keys
        keys = {word_key(made["id"]), known[made["from"]], word_key(made["client"].get("address", ""))}
        if message_id := made.get("message_id"):
            keys.add(word_key(folded(message_id)))
        for copy in copies:
            if copy.get("tenant", DEFAULT_TENANT) == tenant:
                keys.add(known[copy["to"]])
                if "host" in copy and (queued := queue_id(copy.get("reply", ""))):
                    keys.add(word_key(queued))
        return keys

    def _count(self, made: _Object, copies: Sequence[_Object], tenants: Iterable[str]) -> None:
        kind = made.get("kind", "message")
        if kind == "message":
            slot, size, held = made["at"] // SLOT_MS, made.get("size", 0), False
            for tenant in tenants:
                self._messages[tenant] += 1
                self._octets[tenant] += size
            for copy in copies:
                disposition = copy.get("is", "none")
                held = held or disposition == "quarantine"
                self._copies[copy.get("tenant", DEFAULT_TENANT), disposition, copy.get("verdict", "none")] += 1
            self._slots[slot, held] += 1
        elif kind in ("refused", "counted"):
            for tenant in tenants:
                self._refusals[tenant] += made.get("count", 1)

    def counts(self) -> Counter[tuple[str, str]]:
        """Return what was counted, by tenant and name."""
        found = Counter[tuple[str, str]]()
        for name, numbers in (("messages", self._messages), ("octets", self._octets), ("refusals", self._refusals)):
            found.update({(tenant, name): number for tenant, number in numbers.items()})
        for (tenant, disposition, verdict), number in self._copies.items():
            found[tenant, f"disposition {disposition}"] += number
            found[tenant, f"verdict {verdict}"] += number
        for (slot, held), number in self._slots.items():
            found[EVERYBODY, f"{CAME}{slot}"] += number
            if held:
                found[EVERYBODY, f"{HELD}{slot}"] += number
        return found


class _Keys(dict[str, int]):
    """The keys of addresses: many stand in several traces of a batch."""

    def __missing__(self, address: str) -> int:
        key = self[address] = word_key(folded(address))
        return key
