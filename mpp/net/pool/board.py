"""What the node's table says of the servers of all pools, for people: `mpp scanners status`, metrics; and draining.

Read by the supervisor and the status page, which know no settings of pools: names are in the rows. Draining is written by
the supervisor alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp

from mpp.net.pool.capacity import FIRST
from mpp.net.pool.node import is_drained, server_key
from mpp.net.pool.row import (
    ANSWERS,
    CAUSE,
    CHANGED_AT,
    COPIES,
    DEAD,
    FAILURES,
    LEVEL,
    LEVEL_AT,
    LIMIT,
    POOL_NAME,
    SERVER_NAME,
    SUSPECT,
    WAITING,
    number,
    read_places,
    read_text,
)
from mpp.net.rows import HOLD
from mpp.net.table import NodeTable


@dataclass(frozen=True, slots=True)
class OnBoard:
    """One server, over all workers."""

    pool: str
    server: str
    state: str  # up, suspect, down, drained
    in_use: int
    places: int
    waiting: int  # messages that wait for a place in its pool
    expected_ms: float | None  # for a message of 4 KiB; None: not known
    answers: int
    failures: int
    copies: int
    cause: str  # why it is down


def servers_of(table: NodeTable) -> list[OnBoard]:
    """Return the servers that a worker has in a pool, by pool and name."""
    rows: dict[int, list[int]] = {}
    for slot in range(table.slots):
        for key, row in table.servers.rows(slot):
            rows.setdefault(key, []).append(row)
    words = table.servers.words
    found = [_server(table, each) for each in rows.values() if any(words[row + HOLD] for row in each)]
    return sorted(found, key=lambda each: (each.pool, each.server))


def _server(table: NodeTable, rows: list[int]) -> OnBoard:
    words, memory = table.servers.words, table.servers.memory
    pool, server = read_text(memory, rows[0], POOL_NAME), read_text(memory, rows[0], SERVER_NAME)
    live = [row for row in rows if words[row + HOLD]]
    newest = max(live, key=lambda row: number(words[row + CHANGED_AT]))
    known = [row for row in rows if words[row + LEVEL_AT]]
    level = max(known, key=lambda row: number(words[row + LEVEL_AT]), default=None)
    if is_drained(table, pool, server):
        state = "drained"
    elif words[newest + DEAD]:
        state = "down"
    else:
        state = "suspect" if any(words[row + SUSPECT] for row in live) else "up"
    return OnBoard(
        pool=pool,
        server=server,
        state=state,
        in_use=sum(read_places(memory, row).bit_count() for row in live),
        places=words[newest + LIMIT] or FIRST,
        waiting=_sum(table.pools.words, table.pools.find_all(table.key(f"pool\0{pool}")), WAITING),
        expected_ms=None if level is None else round(exp(number(words[level + LEVEL])) * 1000, 2),
        answers=_sum(words, rows, ANSWERS),
        failures=_sum(words, rows, FAILURES),
        copies=_sum(words, rows, COPIES),
        cause=read_text(memory, newest, CAUSE) if state == "down" else "",
    )


def _sum(words: memoryview, rows: Iterable[int], field: int) -> int:
    return sum(words[row + field] for row in rows)


def set_drained(table: NodeTable, pool: str, server: str, *, drained: bool) -> bool:
    """Drain a server, or end that. Returns False where there is no room for it. For the supervisor alone."""
    key = server_key(table, pool, server)
    if not drained:
        table.drained.drop(0, key)
        return True
    row = table.drained.claim(0, key)
    if row:
        table.drained.words[row + HOLD] = 1
    return bool(row)
