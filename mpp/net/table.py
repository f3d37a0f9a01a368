"""The node's shared-memory table: what limits, pools and metrics must see alike in all workers (design section 5).

Made by the supervisor before it forks, an anonymous mapping without locks: each worker writes only what belongs to its
slot (SlotWriter) and reads the sum over all slots; the supervisor writes only a dead worker's part and the crash counts.
Counters and refusals outlive the worker that wrote them; connections and digests in hand end with it.

A number read while its writer changes it is the old or the new one, never a mixture. Sums over several numbers may
be one step apart; limits may be overrun by what arrives within that step. `now` is time.monotonic(), which is the same
clock in every process of the machine. Nothing here raises on any host, digest or time.
"""

import os
import struct
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address
from mmap import mmap

from mpp.net.exclusive import Exclusive
from mpp.net.metrics import BOUNDS, Counter, Gauge, Histogram
from mpp.net.pool.row import DEAD, POOL_WORDS, SERVER_WORDS, WAITING
from mpp.net.rows import HOLD, TOUCHED, WAYS, Rows
from mpp.net.shared import Learned

REFUSALS_MINUTES = 10
CRASH_KEPT_S = 86400.0
IN_HAND = 1024  # digests that a worker can note at a time; what is in hand beyond them leaves no trace in a crash
_CRASH_SETS = 128
_SERVER_SETS, _POOL_SETS = 64, 16
_DEFERRAL_SETS = 512
_DEFERRAL_KEPT_S = 86400.0  # from one deferral to the next of the same message
_BUCKETS = len(BOUNDS) + 1
_COUNT = (1 << 32) - 1  # a refusal word: the minute above, the number in it below

_CONNECTIONS = HOLD  # of a host's row; from 2 on its refusals by minute
_TOLD = 2 + REFUSALS_MINUTES  # refusals of this minute that were told one by one
_NUMBER, _FIRST = 2, 3  # of a deferral's row
_CRASHES = 2  # of a crash row
_CRASHED = 0  # the word that says how many crashes were ever noted: mostly none, and then there is nothing to look up


_NOTHING = bytes(16)  # where no digest is noted


class NodeTable:
    """The whole table. Create it once, before the first fork."""

    def __init__(self, workers: int, host_sets: int) -> None:
        self.workers = workers
        self.slots = slots = workers + 1  # the last one is the background process's
        sizes = {
            "hosts": (slots, host_sets, 3 + REFUSALS_MINUTES),
            "servers": (slots, _SERVER_SETS, SERVER_WORDS),
            "pools": (slots, _POOL_SETS, POOL_WORDS),
            "drained": (1, _SERVER_SETS, 2),
            "deferrals": (slots, _DEFERRAL_SETS, 4),
            "crashes": (1, _CRASH_SETS, 3),
        }
        # Fields first, each with a word for every slot side by side: a sum is one read.
        self._heartbeats, self._connections = 1, 1 + slots
        self._counters = self._connections + slots
        self._gauges = self._counters + len(Counter) * slots
        self._histograms = self._gauges + len(Gauge) * slots
        self._in_hand = self._histograms + len(Histogram) * (_BUCKETS + 1) * slots
        base = self._in_hand + slots * IN_HAND * 2
        self._memory = mmap(-1, 8 * (base + sum(Rows.size(*size) for size in sizes.values())))
        self._words = memoryview(self._memory).cast("Q")
        made = {}
        for name, size in sizes.items():
            made[name] = Rows(self._memory, self._words, base, *size)
            base += Rows.size(*size)
        self.hosts, self.servers, self.pools, self.drained, self.deferrals, self.crashes = made.values()
        self.exclusive = Exclusive(slots)
        self.learned = Learned(slots)
        self.key = _keys(os.urandom(16))

    @classmethod
    def create(cls, workers: int, hosts: int = 4096) -> "NodeTable":
        """Make a table for `workers` and the background process, each with room for `hosts` hosts at a time and as many that are idle."""
        return cls(workers, max(256, 1 << (max(hosts, 1) * 4 // WAYS).bit_length()))

    def writer(self, slot: int) -> "SlotWriter":
        """Return the face of a worker. One for each slot at a time, made by the process that uses it."""
        return SlotWriter(self, slot)

    def heartbeats(self) -> list[float]:
        """Return when each worker last gave a sign of life; 0.0 where it never did."""
        return [word / 1e6 for word in self._words[self._heartbeats : self._heartbeats + self.workers]]

    def background_heartbeat(self) -> float:
        return self._words[self._heartbeats + self.workers] / 1e6

    def connections(self) -> int:
        return sum(self._words[self._connections : self._counters])

    def counter(self, counter: Counter) -> int:
        return self.reader(counter)()

    def reader(self, counter: Counter) -> Callable[[], int]:
        """Return what reads a counter, for whoever does it with each message."""
        at = self._counters + counter * self.slots
        words, place = self._words, slice(at, at + self.slots)
        return lambda: sum(words[place])

    def gauge(self, gauge: Gauge) -> list[int]:
        """Return the value of each slot."""
        at = self._gauges + gauge * self.slots
        return list(self._words[at : at + self.slots])

    def histogram(self, histogram: Histogram) -> tuple[list[int], float]:
        """Return the number in each bucket (BOUNDS and the rest) and the sum in seconds."""
        width = _BUCKETS + 1
        rows = [self._histograms + (slot * len(Histogram) + histogram) * width for slot in range(self.slots)]
        words = [sum(column) for column in zip(*(self._words[row : row + width] for row in rows), strict=True)]
        return words[:_BUCKETS], words[_BUCKETS] / 1e6

    def in_hand(self, slot: int) -> list[bytes]:
        """Return the digests that a slot has in hand."""
        start = (self._in_hand + slot * IN_HAND * 2) * 8
        notes = self._memory[start : start + IN_HAND * 16]
        found = (notes[at : at + 16] for at in range(0, len(notes), 16))
        return [digest for digest in found if digest != bytes(16)]

    def clear(self, slot: int, now: float) -> dict[bytes, int]:
        """End what a dead worker held. Returns the digests it had in hand, each with its number of crashes.

        For the supervisor alone, and only when the worker is surely dead.
        """
        crashed = {digest: self._crash(digest, now) for digest in set(self.in_hand(slot))}
        start = (self._in_hand + slot * IN_HAND * 2) * 8
        self._memory[start : start + IN_HAND * 16] = bytes(IN_HAND * 16)
        self._words[self._connections + slot] = 0
        for _, row in self.hosts.rows(slot):
            self._words[row + _CONNECTIONS] = 0
        for rows, first in (
            (self.servers, DEAD),
            (self.pools, WAITING),
        ):  # what a server answered is kept, as counters are
            for _, row in rows.rows(slot):
                self._words[row + HOLD] = 0
                self._memory[(row + first) * 8 : (row + rows.width) * 8] = bytes((rows.width - first) * 8)
        for gauge in set(Gauge) - {
            Gauge.BACKGROUND_ROUND
        }:  # it says when something was done: the next process goes on from it
            self._words[self._gauges + gauge * self.slots + slot] = 0
        self._words[self._heartbeats + slot] = 0
        return crashed

    def _crash(self, digest: bytes, now: float) -> int:
        row = self.crashes.claim(0, _digest_key(digest))  # nothing holds crash rows: the oldest gives way
        self._words[row + TOUCHED] = _microseconds(now)
        self._words[row + _CRASHES] += 1
        self._words[_CRASHED] += 1
        return self._words[row + _CRASHES]

    def expire(self, now: float) -> None:
        """Forget crashes older than a day. For the supervisor alone, about once a minute."""
        oldest = _microseconds(now - CRASH_KEPT_S)
        for key, row in self.crashes.rows(0):
            if self._words[row + TOUCHED] < oldest:
                self.crashes.drop(0, key)

    def crashes_of(self, digest: bytes) -> int:
        """Return how often a message was in hand when a worker crashed, of the last day."""
        if not self._words[_CRASHED]:
            return 0
        row = self.crashes.find(0, _digest_key(digest))
        return self._words[row + _CRASHES] if row else 0


class SlotWriter:
    """What a worker sees of the table: it writes its own slot and reads the sum over the node."""

    def __init__(self, table: NodeTable, slot: int) -> None:
        self.table, self.slot = table, slot
        self._words, self._memory, self._key = table._words, table._memory, table.key
        self._heartbeat = table._heartbeats + slot
        self._own_connections = table._connections + slot
        self._connections = slice(table._connections, table._counters)
        self._counters = [table._counters + counter * table.slots + slot for counter in Counter]
        self._gauges = [table._gauges + gauge * table.slots + slot for gauge in Gauge]
        first = table._histograms + slot * len(Histogram) * (_BUCKETS + 1)
        self._histograms = [first + histogram * (_BUCKETS + 1) for histogram in Histogram]
        start = table._in_hand + slot * IN_HAND * 2
        self._free = list(range(start * 8, (start + IN_HAND * 2) * 8, 16))
        self._held: dict[bytes, list[int]] = {}  # a digest may be in hand more than once
        self._minutes = struct.Struct(f"{REFUSALS_MINUTES}Q").unpack_from

    def beat(self, now: float) -> None:
        """Give a sign of life."""
        self._words[self._heartbeat] = _microseconds(now)

    def add(self, counter: Counter, n: int = 1) -> None:
        self._words[self._counters[counter]] += n

    def set(self, gauge: Gauge, value: int) -> None:
        self._words[self._gauges[gauge]] = value

    def observe(self, histogram: Histogram, seconds: float) -> None:
        row = self._histograms[histogram]
        self._words[row + bisect_left(BOUNDS, seconds)] += 1
        self._words[row + _BUCKETS] += _microseconds(seconds)

    def connection_opened(self, host: str) -> None:
        """Count a connection; each needs its connection_closed with the same host."""
        self._words[self._own_connections] += 1
        if row := self.table.hosts.claim(self.slot, self._key(host)):
            self._words[row + _CONNECTIONS] += 1

    def connection_closed(self, host: str) -> None:
        if self._words[self._own_connections]:
            self._words[self._own_connections] -= 1
        row = self.table.hosts.find(self.slot, self._key(host))
        if row and self._words[row + _CONNECTIONS]:  # it has no row where eight other hosts held the set
            self._words[row + _CONNECTIONS] -= 1

    def connections(self) -> int:
        """Return the connections of the node."""
        return sum(self._words[self._connections])

    def connections_of(self, host: str) -> int:
        """Return the connections of a host (an IPv6 /64) at the node."""
        return sum([self._words[row + _CONNECTIONS] for row in self.table.hosts.find_all(self._key(host))])

    def refused(self, host: str, now: float) -> None:
        """Count a refused command or connection of a host."""
        if row := self.table.hosts.claim(self.slot, self._key(host)):
            minute = max(int(now), 0) // 60
            cell = row + 2 + minute % REFUSALS_MINUTES
            word = self._words[cell]
            self._words[cell] = word + 1 if word >> 32 == minute and word & _COUNT < _COUNT else minute << 32 | 1
            self._words[row + TOUCHED] = minute

    def tell(self, host: str, now: float, most: int) -> bool:
        """True for the first `most` refusals of a host in a minute, at the whole node: these are told one by one."""
        minute = max(int(now), 0) // 60
        words = [self._words[row + _TOLD] for row in self.table.hosts.find_all(self._key(host))]
        if sum([word & _COUNT for word in words if word >> 32 == minute]) >= most:
            return False
        if row := self.table.hosts.claim(self.slot, self._key(host)):
            word = self._words[row + _TOLD]
            self._words[row + _TOLD] = word + 1 if word >> 32 == minute else minute << 32 | 1
            self._words[row + TOUCHED] = minute
        return True

    def refusals_of(self, host: str, now: float) -> int:
        """Return the refusals of a host at the node, in this minute and the nine before."""
        oldest = int(now) // 60 - REFUSALS_MINUTES + 1
        found = 0
        for row in self.table.hosts.find_all(self._key(host)):
            if self._words[row + TOUCHED] >= oldest:
                minutes = self._minutes(self._memory, (row + 2) * 8)
                found += sum([word & _COUNT for word in minutes if word >> 32 >= oldest])
        return found

    def take_in_hand(self, digest: bytes) -> int:
        """Note that a message is being worked on; each needs its let_go. Returns the crashes it was in hand at."""
        if self._free:
            place = self._free.pop()
            self._memory[place : place + 16] = digest[:16].ljust(16, b"\0")
            self._held.setdefault(digest, []).append(place)
        return self.table.crashes_of(digest)

    def let_go(self, digest: bytes) -> None:
        places = self._held.pop(digest, None)
        if places:
            place = places.pop()
            self._memory[place : place + 16] = _NOTHING
            self._free.append(place)
            if places:
                self._held[digest] = places

    def deferred(self, digest: bytes, now: float) -> None:
        """Count that a message was deferred for want of a scanner."""
        row = self.table.deferrals.claim(self.slot, _digest_key(digest))
        touched, at = self._words[row + TOUCHED], _microseconds(now)
        if not self._words[row + _NUMBER] or at - touched > _microseconds(_DEFERRAL_KEPT_S):
            self._words[row + _NUMBER], self._words[row + _FIRST] = 0, at
        self._words[row + _NUMBER] += 1
        self._words[row + TOUCHED] = at

    def deferrals_of(self, digest: bytes) -> tuple[int, float]:
        """Return how often a message was deferred at the node, and when first (0.0 where never)."""
        rows = self.table.deferrals.find_all(_digest_key(digest))
        times = [self._words[row + _FIRST] for row in rows]
        return sum(self._words[row + _NUMBER] for row in rows), min(times, default=0) / 1e6


def _microseconds(seconds: float) -> int:
    return int(seconds * 1e6) if seconds > 0 else 0


def _digest_key(digest: bytes) -> int:
    """Half of a digest is enough to tell messages apart: it is as random as the whole."""
    return int.from_bytes(digest[:8], "big") or 1


def _keys(secret: bytes) -> Callable[[str], int]:
    """Return the function from a host to its key. The secret keeps outsiders from choosing hosts that share a set."""

    @lru_cache(maxsize=8192)
    def key(host: str) -> int:
        octets = host.encode("utf-8", "surrogateescape")
        if ":" in host:
            try:
                address = IPv6Address(host)
            except ValueError:  # a server's name, or a unix path
                pass
            else:
                mapped = address.ipv4_mapped
                octets = str(mapped).encode() if mapped else address.packed[:8]
        return int.from_bytes(blake2b(octets, digest_size=8, key=secret).digest(), "big") or 1

    return key
