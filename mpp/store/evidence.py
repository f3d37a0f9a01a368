"""The Merkle log in the catalog: events and stored messages become leaves, checkpoints are signed, all can be verified.

There are two logs. Of `events` every leaf's row must be there: one that is not was taken out. Of `messages` the row goes with the
message; its leaf stays as the proof that something of that hash was stored. The background process alone makes leaves and
checkpoints; a node's clock has no part in their order. Raises CatalogError through the catalog.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, RowMapping, Table, and_, func, insert, select

from mpp.store.catalog import Catalog, add_rows, set_column
from mpp.store.checkpoint import Checkpoint, is_signed, sign
from mpp.store.merkle import Growing, inclusion, leaf_hash
from mpp.store.schema import checkpoints, events, leaves, messages

_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
BATCH = 250  # leaves in a transaction: some 10 ms


@dataclass(frozen=True, slots=True)
class _Log:
    name: str
    table: Table
    key: str  # the second column of the table's key
    order: str  # in which leaves are made
    shown: tuple[str, ...]  # columns that are hashed


_LOGS = (
    _Log("events", events, "number", "number", ("tenant", "number", "at", "actor", "action", "message", "recipient", "detail")),
    _Log("messages", messages, "id", "received", ("tenant", "id", "received", "size", "digest")),
)  # fmt: skip


def leaf_data(log: str, row: Mapping[str, Any] | RowMapping) -> bytes:
    """Return the octets of a row's leaf: JSON with sorted keys."""
    shown = next(each.shown for each in _LOGS if each.name == log)
    values = {name: value.hex() if isinstance(value := row[name], bytes) else value for name in shown}
    return _encode({"log": log, **values}).encode()


class Evidence:
    """Makes leaves and checkpoints. One at a time for a catalog: whoever runs it has been elected."""

    def __init__(self, catalog: Catalog, key: Ed25519PrivateKey) -> None:
        self._catalog, self._key = catalog, key
        self._trees: dict[str, Growing] = {}

    def append(self) -> int:
        """Make leaves of some of what has none yet; return how many: 0 when all have theirs."""
        return sum(self._append(log) for log in _LOGS)

    def _append(self, log: _Log) -> int:
        table = log.table
        pending = (
            select(*(table.c[name] for name in log.shown))
            .where(table.c.leaf.is_(None))
            .order_by(table.c[log.order])
            .limit(BATCH)
        )
        with self._catalog.read() as connection:
            if not connection.execute(pending.limit(1)).first():
                return 0
        with self._catalog.write() as connection:
            rows = [dict(zip(log.shown, row, strict=True)) for row in connection.execute(pending)]
            first = _size(connection, log.name)
            hashes = [leaf_hash(leaf_data(log.name, row)) for row in rows]
            made = [{"log": log.name, "number": first + at, "hash": each} for at, each in enumerate(hashes)]
            if made:
                add_rows(connection, leaves, made)
                key = ("tenant", log.key)
                numbers = [{**{name: row[name] for name in key}, "new_leaf": first + at} for at, row in enumerate(rows)]
                set_column(connection, table, "leaf", numbers)
        return len(rows)

    def checkpoint(self, at_ms: int) -> list[Checkpoint]:
        """Sign each log that has grown since its last checkpoint."""
        signed = []
        for log in _LOGS:
            with self._catalog.read() as connection:
                tree = self._grown(connection, log.name)
                last = connection.execute(
                    select(func.max(checkpoints.c.size)).where(checkpoints.c.log == log.name)
                ).scalar()
            if tree.size > (last or 0):
                made = sign(self._key, log.name, tree.size, tree.root(), at_ms)
                with self._catalog.write() as connection:
                    connection.execute(
                        insert(checkpoints),
                        {
                            "log": made.log,
                            "size": made.size,
                            "root": made.root,
                            "at": made.at_ms,
                            "signature": made.signature,
                        },
                    )
                signed.append(made)
        return signed

    def _grown(self, connection: Connection, log: str) -> Growing:
        """Return the tree with all leaves of now. It is kept, so that only new leaves are read."""
        tree = self._trees.setdefault(log, Growing())
        try:
            for number, each in _hashes(connection, log, tree.size):
                if number != tree.size:
                    raise ValueError(f"leaf {tree.size} of log {log} is missing")
                tree.append(each)
        except BaseException:
            del self._trees[log]
            raise
        return tree


def _size(connection: Connection, log: str) -> int:
    last = connection.execute(select(func.max(leaves.c.number)).where(leaves.c.log == log)).scalar()
    return 0 if last is None else int(last) + 1


def _hashes(connection: Connection, log: str, first: int = 0) -> Iterator[tuple[int, bytes]]:
    query = select(leaves.c.number, leaves.c.hash).where(leaves.c.log == log, leaves.c.number >= first)
    for row in connection.execution_options(yield_per=5000).execute(query.order_by(leaves.c.number)):
        yield row.number, row.hash


def read_checkpoints(connection: Connection, log: str) -> list[Checkpoint]:
    rows = connection.execute(select(checkpoints).where(checkpoints.c.log == log).order_by(checkpoints.c.size))
    return [Checkpoint(row.log, row.size, row.root, row.at, row.signature) for row in rows]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and each thing that is not as it was when it was signed."""

    problems: tuple[str, ...]
    leaves: int
    checkpoints: int
    waiting: int  # rows that are not yet in the log


def verify(connection: Connection, key: Ed25519PublicKey, known: Checkpoint | None = None) -> Verified:
    """Look at every leaf, row and checkpoint. `known` is a checkpoint kept elsewhere, which the log must still lead to."""
    problems: list[str] = []
    seen = signed = waiting = 0
    for log in _LOGS:
        found, sizes = _verify_rows(connection, log)
        problems += found
        kept = read_checkpoints(connection, log.name)
        if known is not None and known.log == log.name:
            kept = sorted([*kept, known], key=lambda each: each.size)
        found, size = _verify_roots(connection, log.name, kept, key)
        problems += found
        seen, signed, waiting = seen + size, signed + len(kept), waiting + sizes
    problems += _verify_numbers(connection)
    return Verified(tuple(problems), seen, signed, waiting)


def _verify_rows(connection: Connection, log: _Log) -> tuple[list[str], int]:
    """Compare each row with its leaf. Returns problems and the number of rows that have no leaf yet."""
    problems, waiting, met = [], 0, 0
    table = log.table
    joined = table.outerjoin(leaves, and_(leaves.c.log == log.name, leaves.c.number == table.c.leaf))
    columns = [table.c[name] for name in (*log.shown, "leaf")]
    for row in (
        connection.execution_options(yield_per=2000)
        .execute(select(*columns, leaves.c.hash).select_from(joined))
        .mappings()
    ):
        what = f"{log.name}: {row['tenant']}/{row[log.key]}"
        if row["leaf"] is None:
            waiting += 1
        elif row["hash"] is None:
            problems.append(f"{what}: its leaf {row['leaf']} is not in the log")
        elif leaf_hash(leaf_data(log.name, row)) != row["hash"]:
            problems.append(f"{what}: is not what leaf {row['leaf']} of the log says")
        else:
            met += 1
    if log.name == "events" and not problems:
        orphans = _size(connection, log.name) - met
        if orphans > 0:
            problems.append(f"events: {orphans} of the log's events were taken out")
    return problems, waiting


def _verify_roots(
    connection: Connection, log: str, kept: list[Checkpoint], key: Ed25519PublicKey
) -> tuple[list[str], int]:
    """Grow the tree from nothing and compare it with each checkpoint on the way."""
    problems = [
        f"{log}: the checkpoint at {each.size} is not signed by this key" for each in kept if not is_signed(each, key)
    ]
    tree, coming = Growing(), list(kept)

    def compare() -> None:
        while coming and coming[0].size <= tree.size:
            checkpoint = coming.pop(0)
            if checkpoint.size == tree.size and checkpoint.root != tree.root():
                problems.append(f"{log}: the first {tree.size} leaves are not those that were signed")

    compare()
    for number, each in _hashes(connection, log):
        if number != tree.size:
            problems.append(f"{log}: leaf {tree.size} is missing")
            break
        tree.append(each)
        compare()
    problems += [f"{log}: {each.size} leaves were signed, {tree.size} are there" for each in coming]
    return problems, tree.size


def _verify_numbers(connection: Connection) -> list[str]:
    """The events of each tenant are numbered without gaps."""
    columns = (
        func.count().label("rows"),
        func.min(events.c.number).label("least"),
        func.max(events.c.number).label("most"),
    )
    query = select(events.c.tenant, *columns).group_by(events.c.tenant).order_by(events.c.tenant)
    return [
        f"events: {row.tenant} has {row.rows} events with numbers {row.least} to {row.most}"
        for row in connection.execute(query)
        if row.least != 1 or row.rows != row.most
    ]


@dataclass(frozen=True, slots=True)
class Proof:
    """That a row is leaf `index` of a log, for whoever knows only the key."""

    data: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint


def prove(connection: Connection, log: str, tenant: str, key: str | int) -> Proof | None:
    """Return the proof for a message (by id) or an event (by number); None while no checkpoint covers it."""
    table, column = next((each.table, each.key) for each in _LOGS if each.name == log)
    row = connection.execute(select(table).where(table.c.tenant == tenant, table.c[column] == key)).mappings().first()
    last = read_checkpoints(connection, log)[-1:]
    if row is None or row["leaf"] is None or not last or row["leaf"] >= last[0].size:
        return None
    hashes = [each for _, each in _hashes(connection, log)][: last[0].size]
    return Proof(leaf_data(log, row), row["leaf"], tuple(inclusion(hashes, row["leaf"])), last[0])


def exported(connection: Connection, key: Ed25519PublicKey) -> Iterator[dict[str, Any]]:
    """Yield the whole log as JSON objects: each leaf with its data where they are still there, then the checkpoints."""
    for log in _LOGS:
        table = log.table
        joined = leaves.outerjoin(table, table.c.leaf == leaves.c.number)
        columns = [table.c[name] for name in log.shown]
        query = select(leaves.c.number.label("leaf_number"), leaves.c.hash, *columns).select_from(joined)
        query = query.where(leaves.c.log == log.name).order_by(leaves.c.number)
        for row in connection.execution_options(yield_per=2000).execute(query).mappings():
            made = {"log": log.name, "leaf": row["leaf_number"]}
            if row["tenant"] is None:
                yield {**made, "hash": row["hash"].hex()}
            else:
                yield {**made, "data": leaf_data(log.name, row).decode()}
    for log in _LOGS:
        for checkpoint in read_checkpoints(connection, log.name):
            yield {"checkpoint": checkpoint.note(key)}
