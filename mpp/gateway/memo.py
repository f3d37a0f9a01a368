"""What must survive a crash between two attempts of one sender (design section 3, memo).

When some recipients of a message were accepted and the reply was 4xx, or the client had gone before our 250, the
sender will send the message again: `accepted` keeps the retry from delivering twice, `refused` gives a late refusal
at RCPT of the retry, for that recipient alone. One small SQLite file, shared by the workers of the node, in rollback
journal mode (the WAL of SQLite before 3.51.3 has a reset bug) and synchronous=FULL: written means fsynced.
Raises sqlite3.Error at construction where the file is no database, MemoError later.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

KEEP_S = 5 * 86400.0
MOST_UNWRITTEN = 10_000  # rows
_SCHEMA = """
create table if not exists accepted (
    tenant text, reverse_path text, recipient text, digest blob, reply text, at real,
    primary key (tenant, reverse_path, recipient, digest)) without rowid;
create table if not exists refused (
    tenant text, reverse_path text, recipient text, reply text, at real,
    primary key (tenant, reverse_path, recipient)) without rowid;
"""


class MemoError(Exception):
    """The file cannot be read or written now."""


class Memo(Protocol):
    """The face that the pipeline knows; the store takes this place later."""

    async def accepted(self, reverse_path: str, recipients: Iterable[str], digest: bytes) -> dict[str, str]:
        """Return those of the recipients that already have this message, with the reply that said so."""

    def refusal(self, reverse_path: str, recipient: str) -> str | None:
        """Return the reply line of a late refusal that the retry must get at RCPT. Never waits."""

    async def keep(self, reverse_path: str, digest: bytes, accepted: dict[str, str], refused: dict[str, str]) -> None:
        """Write durably; returns when fsynced. Raises MemoError; this process then still knows what it was given."""

    async def forget(self, reverse_path: str, digest: bytes, recipients: Iterable[str], refused: Iterable[str]) -> None:
        """Remove what a finished retry no longer needs. Raises MemoError."""


@dataclass(slots=True)
class _Known:
    """What the file holds, by (reverse-path, recipient, digest) and (reverse-path, recipient): reply and time."""

    accepted: dict[tuple[str, str, bytes], tuple[str, float]] = field(default_factory=dict)
    refused: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)


class SqliteMemo:
    """The memo of a node. Almost always empty: a look then costs one read of SQLite's change counter.

    The loop reads by a connection of its own that never waits for a lock; writing is done in a thread.
    """

    def __init__(self, path: Path, tenant: str = "default", clock: Callable[[], float] = time.time) -> None:
        self._tenant, self._clock = tenant, clock
        self._lock = threading.Lock()  # one thread at a time uses the writing connection
        self._writing = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
        self._writing.execute("pragma journal_mode=delete")
        self._writing.execute("pragma synchronous=full")
        self._writing.executescript(_SCHEMA)
        self._reading = sqlite3.connect(path, isolation_level=None, timeout=0.0)
        # Never closed before the process ends: closing any descriptor of the file would drop SQLite's own locks.
        self._header = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._seen = b""
        self._known = _Known()
        self._unwritten = _Known()  # what could not be written: at least this process knows it

    async def accepted(self, reverse_path: str, recipients: Iterable[str], digest: bytes) -> dict[str, str]:
        if not self._refresh():
            await asyncio.to_thread(self._refresh_waiting)
        if not self._known.accepted and not self._unwritten.accepted:
            return {}
        oldest = self._clock() - KEEP_S
        known: dict[str, str] = {}
        for recipient in recipients:
            key = (reverse_path, recipient, digest)
            reply, at = self._known.accepted.get(key) or self._unwritten.accepted.get(key) or ("", 0.0)
            if at >= oldest:
                known[recipient] = reply
        return known

    def refusal(self, reverse_path: str, recipient: str) -> str | None:
        self._refresh()  # where another process is writing just now, what was known before it serves
        if not self._known.refused and not self._unwritten.refused:
            return None
        key = (reverse_path, recipient)
        reply, at = self._known.refused.get(key) or self._unwritten.refused.get(key) or (None, 0.0)
        return reply if at >= self._clock() - KEEP_S else None

    async def keep(self, reverse_path: str, digest: bytes, accepted: dict[str, str], refused: dict[str, str]) -> None:
        now = self._clock()
        taken = [(self._tenant, reverse_path, recipient, digest, reply, now) for recipient, reply in accepted.items()]
        turned = [(self._tenant, reverse_path, recipient, reply, now) for recipient, reply in refused.items()]

        def write(database: sqlite3.Connection) -> None:
            database.execute("delete from accepted where at < ?", (now - KEEP_S,))
            database.execute("delete from refused where at < ?", (now - KEEP_S,))
            database.executemany("insert or replace into accepted values (?, ?, ?, ?, ?, ?)", taken)
            database.executemany("insert or replace into refused values (?, ?, ?, ?, ?)", turned)

        try:
            await asyncio.to_thread(self._write, write)
        except MemoError:
            if len(self._unwritten.accepted) + len(self._unwritten.refused) < MOST_UNWRITTEN:
                self._unwritten.accepted.update(
                    {(reverse_path, each, digest): (said, now) for each, said in accepted.items()}
                )
                self._unwritten.refused.update({(reverse_path, each): (said, now) for each, said in refused.items()})
            raise

    async def forget(self, reverse_path: str, digest: bytes, recipients: Iterable[str], refused: Iterable[str]) -> None:
        done = [(reverse_path, recipient, digest) for recipient in recipients]
        told = [(reverse_path, recipient) for recipient in refused]
        for row in done:
            self._unwritten.accepted.pop(row, None)
        for pair in told:
            self._unwritten.refused.pop(pair, None)

        def write(database: sqlite3.Connection) -> None:
            database.executemany(
                "delete from accepted where (tenant, reverse_path, recipient, digest) = (?, ?, ?, ?)",
                [(self._tenant, *row) for row in done],
            )
            database.executemany(
                "delete from refused where (tenant, reverse_path, recipient) = (?, ?, ?)",
                [(self._tenant, *pair) for pair in told],
            )

        await asyncio.to_thread(self._write, write)

    def _write(self, change: Callable[[sqlite3.Connection], None]) -> None:
        with self._lock:
            try:
                self._writing.execute("begin immediate")
                change(self._writing)
                self._writing.execute("commit")
            except sqlite3.Error as error:
                if self._writing.in_transaction:
                    self._writing.execute("rollback")
                raise MemoError(str(error)) from error

    def _refresh(self) -> bool:
        """Read again where the file has changed (its header's change counter, octets 24 to 27); False: locked just now."""
        counter = os.pread(self._header, 4, 24)
        if counter == self._seen:
            return True
        try:
            self._take(self._reading, counter)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise MemoError(str(error)) from error
            return False
        return True

    def _refresh_waiting(self) -> None:
        """The same in a thread, waiting for the lock. Raises MemoError."""
        with self._lock:
            try:
                self._take(self._writing, os.pread(self._header, 4, 24))
            except sqlite3.Error as error:
                raise MemoError(str(error)) from error

    def _take(self, database: sqlite3.Connection, counter: bytes) -> None:
        rows = database.execute(
            "select reverse_path, recipient, digest, reply, at from accepted where tenant = ?", (self._tenant,)
        ).fetchall()
        accepted = {(path, recipient, digest): (reply, at) for path, recipient, digest, reply, at in rows}
        rows = database.execute(
            "select reverse_path, recipient, reply, at from refused where tenant = ?", (self._tenant,)
        ).fetchall()
        self._known = _Known(accepted, {(path, recipient): (reply, at) for path, recipient, reply, at in rows})
        self._seen = counter
