"""The event log outside the catalog: `events.log` in the data folder, so that a lost catalog can be rebuilt as it was.

A line an event: crc32 in hexadecimal, then JSON. Written behind the catalog by the background process, about once a second, and synced;
events of the last second before a catalog is lost may lack. Commands write it themselves where no background process runs. A torn last line is cut off by the next writer; one elsewhere is told.
Numbers of events are never given twice: whatever a catalog lacks that the file has is put back (`put_back`) before it goes on.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, func, select

from mpp.store.catalog import Catalog, add_rows
from mpp.store.errors import StoreError
from mpp.store.events import last_number
from mpp.store.keyfile import write_all
from mpp.store.owner import as_owner
from mpp.store.schema import events

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Told:
    """An event, as far as it says what became of a copy."""

    tenant: str
    number: int
    action: str
    message: str
    recipient: str
    at: int


def journal_path(data: Path) -> Path:
    return data / "events.log"


class Journal:
    """For the process that writes it. Raises OSError, CatalogError, StoreError where the file is damaged in its middle."""

    def __init__(self, data: Path, *, beside: bool = False) -> None:
        """With `beside` only where nobody writes it: else BlockingIOError."""
        self._descriptor = os.open(journal_path(data), os.O_RDWR | os.O_CLOEXEC | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if beside else 0))
        except BaseException:
            os.close(self._descriptor)
            raise
        self._last: dict[str, int] = {}
        self._end = 0
        for line, end in _lines(journal_path(data)):
            self._last[line["tenant"]], self._end = line["number"], end
        os.ftruncate(self._descriptor, self._end)

    def ahead(self, catalog: Catalog) -> bool:
        """True where the catalog lacks the last events: it was lost, or is an old copy of itself."""
        with catalog.read() as connection:
            return any(last_number(connection, tenant) < last for tenant, last in self._last.items())

    def take(self, catalog: Catalog) -> int:
        """Append what the catalog has more, durably. Returns how many events that were."""
        taken = 0
        with catalog.read() as connection:
            tenants = list(_tenants(connection))
        for tenant in tenants:
            while rows := self._more(catalog, tenant):
                data = b"".join(map(_line, rows))
                write_all(self._descriptor, data, self._end)
                os.fdatasync(self._descriptor)
                self._end += len(data)
                self._last[tenant] = rows[-1]["number"]
                taken += len(rows)
        return taken

    def _more(self, catalog: Catalog, tenant: str) -> list[dict[str, Any]]:
        wanted = select(events).where(events.c.tenant == tenant, events.c.number > self._last.get(tenant, 0))
        with catalog.read() as connection:
            return [dict(row) for row in connection.execute(wanted.order_by(events.c.number).limit(_BATCH)).mappings()]

    def close(self) -> None:
        os.close(self._descriptor)


def take_beside(data: Path, catalog: Catalog) -> None:
    """Have file and catalog know the same events, for a command, where no background process does.

    To be called before it adds any, since the catalog may be an old one, and after.
    """
    try:
        with as_owner(data):
            journal = Journal(data, beside=True)
    except BlockingIOError:
        return
    try:
        if journal.ahead(catalog):
            put_back(data, catalog)
        journal.take(catalog)
    finally:
        journal.close()


def put_back(data: Path, catalog: Catalog) -> None:
    """Add to the catalog the events that only the file has, a transaction a batch; each gets its leaf of the log anew.

    Raises CatalogError, OSError, StoreError where the file is damaged in its middle.
    """
    if journal_path(data).exists():
        lines = _lines(journal_path(data))
        while rows := [{**line, "leaf": None} for line, _ in islice(lines, _BATCH)]:
            with catalog.write() as connection:
                add_rows(connection, events, rows, keep=True)


def told(data: Path, catalog: Catalog) -> Iterator[Told]:
    """Yield all events that are known, each once: of the file, then those that only the catalog has."""
    last: dict[str, int] = {}
    if journal_path(data).exists():
        for line, _ in _lines(journal_path(data)):
            last[line["tenant"]] = line["number"]
            yield Told(line["tenant"], line["number"], line["action"], line["message"], line["recipient"], line["at"])
    c = events.c
    wanted = select(c.tenant, c.number, c.action, c.message, c.recipient, c.at).order_by(c.tenant, c.number)
    with catalog.read() as connection:
        for row in connection.execute(wanted):
            if row.number > last.get(row.tenant, 0):
                yield Told(*row)


def _tenants(connection: Connection) -> Iterator[str]:
    """Yield the tenants that have events, in order: one step in the index for each, however many events there are."""
    following = select(func.min(events.c.tenant))
    tenant = connection.scalar(following)
    while tenant is not None:
        yield tenant
        tenant = connection.scalar(following.where(events.c.tenant > tenant))


def _line(row: dict[str, Any]) -> bytes:
    body = json.dumps(row, separators=(",", ":"), default=_plain).encode()
    return b"%08x %b\n" % (crc32(body), body)


def _plain(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    raise TypeError(type(value).__name__)


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each line's values and where it ends; stops at a torn last one."""
    end = 0
    with path.open("rb") as file:
        for line in file:
            check, _, body = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or check != b"%08x" % crc32(body):
                if line.endswith(b"\n") and file.read(1):  # one without its end was the last when it was read
                    raise StoreError(f"{path}: at octet {end}: a damaged line; restore the file from your backup")
                return
            end += len(line)
            yield json.loads(body), end
