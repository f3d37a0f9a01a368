"""The node of several workers: places that none of them can use twice, and what they tell each other, over shared memory.

One SharedNode for each pool of a worker. A place is a right of mpp.net.exclusive, which the kernel gives to one process and
takes back at its death; the bits in the table only show where to look for a free one. A worker writes its own rows alone.
"""

from functools import partial

from mpp.net.pool.places import Word
from mpp.net.pool.row import (
    ANSWERS,
    CAUSE,
    CHANGED_AT,
    COPIES,
    DEAD,
    FAILURES,
    FINISHED,
    LEVEL,
    LEVEL_AT,
    LIMIT,
    LIMIT_AT,
    MOST_PLACES,
    NEWS,
    OLDEST,
    PLACES,
    POOL_NAME,
    SERVER_NAME,
    SPEED,
    STATE,
    SUSPECT,
    USED,
    VARIANCE,
    WAITING,
    bits,
    number,
    read_places,
    read_text,
    write_text,
)
from mpp.net.pool.speeds import Level
from mpp.net.rows import HOLD
from mpp.net.table import NodeTable, SlotWriter

_RIGHTS = (1 << 52) - 1


def server_key(table: NodeTable, pool: str, server: str) -> int:
    """Return the key of a server's rows; all workers of the node give it the same one."""
    return table.key(f"{pool}\0{server}")


def drain_keys(table: NodeTable, pool: str, server: str) -> list[int]:
    """Return the keys under which the operator drains the server, and the name that it is an address of."""
    names = (server, server.rpartition("@")[0])
    return [server_key(table, pool, name) for name in names if name]


def is_drained(table: NodeTable, pool: str, server: str) -> bool:
    """True where the operator has drained the server, or the name that it is an address of."""
    return any(table.drained.find(0, key) for key in drain_keys(table, pool, server))


class SharedNode:
    """The Node of one pool in one worker."""

    def __init__(self, writer: SlotWriter, pool: str) -> None:
        self._table, self._slot, self._pool = writer.table, writer.slot, pool
        self._servers, self._pools = writer.table.servers, writer.table.pools
        self._words, self._memory = self._servers.words, self._servers.memory
        self._find_drained = partial(writer.table.drained.find, 0)
        self._exclusive = writer.table.exclusive
        self._key = writer.table.key(f"pool\0{pool}")
        self._row = self._hold(self._pools.claim(self._slot, self._key))
        self._own: dict[str, int] = {}  # our row of each server; 0 where the table has no room for it
        self._keys: dict[str, int] = {}
        self._said: dict[str, tuple[bool, float, bool, int, str]] = {}
        self._heard = 0  # news of the others
        self._others: list[int] | None = None  # the pool's rows of the others, as they were at the last news
        self._rows: dict[str, list[int]] = {}
        self._drained: dict[str, list[int]] = {}  # the keys under which a server may be drained
        self._unlisted: dict[str, int] = {}  # the places in use of those
        self._before: dict[str, tuple[int, int, int]] = {}  # what the worker before us in this slot had counted

    def _hold(self, row: int) -> int:
        if row:
            self._words[row + HOLD] = 1
        return row

    def _of(self, server: str) -> int:
        """Return our own row of a server."""
        row = self._own.get(server)
        if row is None:
            key = self._keys[server] = server_key(self._table, self._pool, server)
            row = self._own[server] = self._hold(self._servers.claim(self._slot, key))
            if row:
                self._before[server] = (
                    self._words[row + ANSWERS],
                    self._words[row + FAILURES],
                    self._words[row + COPIES],
                )
                write_text(self._memory, row, POOL_NAME, self._pool)
                write_text(self._memory, row, SERVER_NAME, server)
        return row

    def _all(self, server: str) -> list[int]:
        """Return the rows of a server, of all workers that had one when `words` was last asked."""
        rows = self._rows.get(server)
        return self._look(server) if rows is None else rows

    def _look(self, server: str) -> list[int]:
        self._of(server)
        rows = self._rows[server] = self._servers.find_all(self._keys[server])
        return rows

    def forget(self, server: str) -> None:
        """The pool no longer has this server."""
        self._rows.pop(server, None)
        self._drained.pop(server, None)
        self._said.pop(server, None)
        if row := self._own.pop(server, 0):
            self._words[row + HOLD] = 0

    def take(self, server: str, most: int) -> int | None:
        used = self._unlisted.get(server, 0)
        for row in self._all(server):
            used |= read_places(self._memory, row)
        right = (self._keys[server] & _RIGHTS) << 8
        for place in range(min(most, MOST_PLACES)):
            if not used >> place & 1 and self._exclusive.take(right | place):
                self._mark(server, place, used=True)
                return place
        return None

    def release(self, server: str, place: int) -> None:
        self._mark(server, place, used=False)
        self._exclusive.release((self._keys[server] & _RIGHTS) << 8 | place)

    def _mark(self, server: str, place: int, *, used: bool) -> None:
        row = self._own.get(server) or self._servers.find(self._slot, self._keys[server])  # it may be forgotten by now
        if not row:
            self._unlisted[server] = self._unlisted.get(server, 0) ^ 1 << place
            return
        words, at, bit = self._words, row + PLACES + place // 64, 1 << place % 64
        if bool(words[at] & bit) is not used:
            words[at] ^= bit
            words[row + USED] += 1 if used else -1
        if not used:
            words[row + FINISHED] += 1

    def busy(self, server: str) -> int:
        words, used = self._words, 0
        for row in self._rows.get(server) or self._look(server):
            used += words[row + USED]
        return used + self._unlisted[server].bit_count() if server in self._unlisted else used

    def finished(self, server: str) -> int:
        finished = 0
        for row in self._all(server):
            finished += self._words[row + FINISHED]
        return finished

    def try_trial(self, server: str) -> bool:
        self._of(server)
        return self._exclusive.take((self._keys[server] & _RIGHTS) << 8 | MOST_PLACES)

    def end_trial(self, server: str) -> None:
        self._exclusive.release((self._keys[server] & _RIGHTS) << 8 | MOST_PLACES)

    def say(self, server: str, word: Word) -> None:
        row, words = self._of(server), self._words
        if not row:
            return
        counts = zip((word.answers, word.failures, word.copies), self._before[server], strict=True)
        words[row + ANSWERS], words[row + FAILURES], words[row + COPIES] = map(sum, counts)
        words[row + LIMIT], words[row + LIMIT_AT] = word.limit, bits(word.limit_at)
        if word.level.known:
            words[row + LEVEL], words[row + VARIANCE] = bits(word.level.mean), bits(word.level.variance)
            words[row + LEVEL_AT] = bits(word.level.at)
        if self._said.get(server) == (news := word.news):
            return
        self._said[server] = news
        write_text(self._memory, row, CAUSE, news[-1])
        words[row + DEAD], words[row + CHANGED_AT], words[row + SUSPECT] = (
            word.dead,
            bits(word.changed_at),
            word.suspect,
        )
        if self._row:
            words[self._row + NEWS] += 1

    def news(self) -> bool:
        before, self._heard = self._heard, 0
        for row in self._look_around():
            self._heard += self._words[row + NEWS]
        return self._heard != before

    def _look_around(self) -> list[int]:
        rows = self._others = [row for row in self._pools.find_all(self._key) if row != self._row]
        return rows

    def _waiters(self) -> list[int]:
        """Return the pool's rows of those workers in which somebody waits."""
        rows = self._look_around() if self._others is None else self._others
        return [row for row in rows if self._words[row + WAITING]]

    def remembered(self, server: str) -> Word | None:
        row = self._of(server)
        return self._read(row) if row and self._words[row + LIMIT] else None

    def words(self, server: str) -> list[Word]:
        own = self._of(server)
        return [self._read(row) for row in self._look(server) if row != own and self._words[row + HOLD]]

    def _read(self, row: int) -> Word:
        mean, variance, at, limit, limit_at = SPEED(self._memory, (row + LEVEL) * 8)
        dead, changed_at, suspect = STATE(self._memory, (row + DEAD) * 8)
        cause = read_text(self._memory, row, CAUSE) if dead else ""
        return Word(bool(dead), changed_at, cause, bool(suspect), Level(mean, variance, at, at > 0), limit, limit_at)

    def drained(self, server: str) -> bool:
        keys = self._drained.get(server)
        if keys is None:
            keys = self._drained[server] = drain_keys(self._table, self._pool, server)
        return any(map(self._find_drained, keys))

    def wait(self, waiting: int, oldest: float) -> None:
        if self._row:
            self._words[self._row + OLDEST] = bits(oldest)
            self._words[self._row + WAITING] = waiting

    def others(self) -> tuple[int, float]:
        rows = self._waiters()
        if not rows:
            return 0, 0.0
        return sum(self._words[row + WAITING] for row in rows), min(number(self._words[row + OLDEST]) for row in rows)

    def wake(self) -> None:
        rows = self._waiters()
        if rows:
            first = min(rows, key=lambda row: number(self._words[row + OLDEST]))
            self._exclusive.ring(self._pools.slot_of(first))
