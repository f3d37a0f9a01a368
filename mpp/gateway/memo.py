"""What must survive a crash between two attempts of one sender (design section 3, memo).

When some recipients of a message were accepted and the reply was 4xx, or the client had gone before our 250, the
sender will send the message again: `accepted` keeps the retry from delivering twice, `refused` gives a late refusal
at RCPT of the retry, for that recipient alone. One small SQLite file, shared by the workers of the node, in rollback
journal mode (the WAL of SQLite before 3.51.3 has a reset bug) and synchronous=FULL: written means fsynced.
Raises sqlite3.Error where the file cannot be read or written.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

KEEP_S = 5 * 86400.0
_T = TypeVar("_T")
_SCHEMA = """
create table if not exists accepted (
    tenant text, reverse_path text, recipient text, digest blob, reply text, at real,
    primary key (tenant, reverse_path, recipient, digest)) without rowid;
create table if not exists refused (
    tenant text, reverse_path text, recipient text, reply text, at real,
    primary key (tenant, reverse_path, recipient)) without rowid;
"""


class Memo(Protocol):
    """The face that the pipeline knows; the store takes this place later."""

    def accepted(self, reverse_path: str, recipients: Iterable[str], digest: bytes) -> dict[str, str]:
        """Return those of the recipients that already have this message, with the reply that said so."""

    def refusal(self, reverse_path: str, recipient: str) -> str | None:
        """Return the reply line of a late refusal that the retry must get at RCPT."""

    async def keep(self, reverse_path: str, digest: bytes, accepted: dict[str, str], refused: dict[str, str]) -> None:
        """Write durably; returns when fsynced."""

    async def forget(self, reverse_path: str, digest: bytes, recipients: Iterable[str], refused: Iterable[str]) -> None:
        """Remove what a finished retry no longer needs."""


class SqliteMemo:
    """The memo of a node. Almost always empty: a look then costs one read of SQLite's change counter."""

    def __init__(self, path: Path, tenant: str = "default", clock: Callable[[], float] = time.time) -> None:
        self._tenant, self._clock = tenant, clock
        self._lock = threading.Lock()  # the loop reads, a thread writes, one connection
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
        self._database.execute("pragma journal_mode=delete")
        self._database.execute("pragma synchronous=full")
        self._database.executescript(_SCHEMA)
        # Never closed before the process ends: closing any descriptor of the file would drop SQLite's own locks.
        self._header = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._seen = b""
        self._pairs: set[tuple[str, str]] = set()
        self._refused: dict[tuple[str, str], str] = {}

    def accepted(self, reverse_path: str, recipients: Iterable[str], digest: bytes) -> dict[str, str]:
        self._refresh()
        known: dict[str, str] = {}
        for recipient in recipients:
            if (reverse_path, recipient) in self._pairs:
                key = (self._tenant, reverse_path, recipient, digest)
                row = self._read(
                    "select reply from accepted where (tenant, reverse_path, recipient, digest) = (?, ?, ?, ?)", key
                )
                known.update((recipient, reply) for (reply,) in row)
        return known

    def refusal(self, reverse_path: str, recipient: str) -> str | None:
        self._refresh()
        return self._refused.get((reverse_path, recipient)) if self._refused else None

    async def keep(self, reverse_path: str, digest: bytes, accepted: dict[str, str], refused: dict[str, str]) -> None:
        now = self._clock()
        taken = [(self._tenant, reverse_path, recipient, digest, reply, now) for recipient, reply in accepted.items()]
        turned = [(self._tenant, reverse_path, recipient, reply, now) for recipient, reply in refused.items()]

        def write(database: sqlite3.Connection) -> None:
            database.execute("delete from accepted where at < ?", (now - KEEP_S,))
            database.execute("delete from refused where at < ?", (now - KEEP_S,))
            database.executemany("insert or replace into accepted values (?, ?, ?, ?, ?, ?)", taken)
            database.executemany("insert or replace into refused values (?, ?, ?, ?, ?)", turned)

        await asyncio.to_thread(self._write, write)

    async def forget(self, reverse_path: str, digest: bytes, recipients: Iterable[str], refused: Iterable[str]) -> None:
        done = [(self._tenant, reverse_path, recipient, digest) for recipient in recipients]
        told = [(self._tenant, reverse_path, recipient) for recipient in refused]

        def write(database: sqlite3.Connection) -> None:
            database.executemany(
                "delete from accepted where (tenant, reverse_path, recipient, digest) = (?, ?, ?, ?)", done
            )
            database.executemany("delete from refused where (tenant, reverse_path, recipient) = (?, ?, ?)", told)

        await asyncio.to_thread(self._write, write)

    def _write(self, change: Callable[[sqlite3.Connection], None]) -> None:
        with self._lock:
            self._database.execute("begin immediate")
            try:
                change(self._database)
                self._database.execute("commit")
            except sqlite3.Error:
                if self._database.in_transaction:
                    self._database.execute("rollback")
                raise

    def _read(self, query: str, values: tuple[object, ...]) -> list[tuple[str, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def _refresh(self) -> None:
        """Read the keys again where the file has changed (its header's change counter, octets 24 to 27)."""
        counter = os.pread(self._header, 4, 24)
        if counter != self._seen:
            self._pairs = {
                (path, recipient)
                for path, recipient in self._read(
                    "select reverse_path, recipient from accepted where tenant = ?", (self._tenant,)
                )
            }
            rows = self._read("select reverse_path, recipient, reply from refused where tenant = ?", (self._tenant,))
            self._refused = {(path, recipient): reply for path, recipient, reply in rows}
            self._seen = counter
