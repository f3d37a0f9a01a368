"""The catalog made anew from segments, key files and the event log (design section 6), or what it lacks added (`mpp store rebuild`).

What the catalog has stays as it is, unless it is an old copy of itself: copies of which the event log says more, and rows that name a place where
nothing opens any more, since compaction has moved the record. A record whose key was overwritten is gone and is not raised; of the others the event log says what
became of each copy: released, deleted or expired ones are not held again, and a hold by order holds again. A message nothing keeps any more
by that is dropped at once, key and all.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, select, update

from mpp.store import lists
from mpp.store.catalog import Catalog, add_rows
from mpp.store.check import Fault
from mpp.store.clock import now_ms
from mpp.store.content import read_description
from mpp.store.fates import Fates, fates, outdated
from mpp.store.files import records, segments_here
from mpp.store.forget import drop
from mpp.store.journal import Told, put_back
from mpp.store.named import Name, blob_name, is_row, lost
from mpp.store.reader import DamageError, ForgottenError, Reader
from mpp.store.record import DamagedError, Kind, Record
from mpp.store.rows import Place, copy_rows, message_row, segment_row, use_rows
from mpp.store.schema import blob_uses, blobs, copies, forgotten, messages, segments
from mpp.store.tenants import Public, read_tenants

BATCH = 2000  # messages a transaction
_PAGES = 64 << 20  # octets of the catalog that are kept in memory meanwhile


@dataclass(slots=True)
class Rebuilt:
    """What was done."""

    messages: int = 0
    attachments: int = 0
    octets: int = 0
    gone: int = 0  # records whose key was overwritten
    settled: int = 0  # copies of which the catalog said something older than the event log
    lists: int = 0  # entries, as the node's workers knew them last
    faults: list[Fault] = field(default_factory=list)


def rebuild(catalog: Catalog, data: Path, reader: Reader, events: Iterable[Told], node: str) -> Iterator[Rebuilt]:
    """Add all that lacks; yields what was done so far after each segment, the last time when all is done."""
    catalog.keep_pages(_PAGES)
    put_back(data, catalog)
    with catalog.read() as connection:
        doomed = {tuple(row) for row in connection.execute(select(forgotten.c.segment, forgotten.c.slot))}
    made = _Making(catalog, reader, {each.mark: each for each in read_tenants(data).values()}, fates(events))
    for segment in segments_here(data):
        made.begin(segment, node)
        for record in records(data, segment):
            if isinstance(record, DamagedError):
                made.done.faults.append(Fault(f"segment {segment}: {record}"))
            elif (segment, record.slot) not in doomed:
                made.take(segment, record)
        made.flush()
        yield made.done
    made.lists(data)
    made.finish()
    yield made.done


class _Making:
    """Rows gathered and added, a transaction a batch."""

    def __init__(
        self,
        catalog: Catalog,
        reader: Reader,
        tenants: Mapping[bytes, Public],
        known: Fates,
    ) -> None:
        self._catalog, self._reader, self._tenants, self._fates = catalog, reader, tenants, known
        self._rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in (messages, copies, blobs, blob_uses)}
        self.done = Rebuilt()

    def begin(self, segment: str, node: str) -> None:
        with self._catalog.write() as connection:
            add_rows(connection, segments, [segment_row(segment, node)], keep=True)

    def take(self, segment: str, record: Record) -> None:
        """Gather what a record says; what cannot be opened is a fault, or gone."""
        self.done.octets += record.length
        try:
            content, place = self._reader.opened(segment, record), Place.of(segment, record)
            if record.kind == Kind.MESSAGE:
                self._message(read_description(content), place)
            else:
                self._blob(content, record, place)
        except ForgottenError:
            self.done.gone += 1
        except (DamageError, ValueError) as error:
            self.done.faults.append(Fault(f"segment {segment}: at octet {record.position}: {error}"))
        if len(self._rows[messages]) + len(self._rows[blobs]) >= BATCH:
            self.flush()

    def _message(self, described: dict[str, Any], place: Place) -> None:
        self.done.messages += 1
        self._rows[messages].append(message_row(described, place))
        known = self._fates.get((described["tenant"], described["id"]), {})
        for row in copy_rows(described):
            if row["recipient"] in known:
                row |= known[row["recipient"]].values
            self._rows[copies].append(row)
        self._rows[blob_uses] += use_rows(described)

    def _blob(self, data: bytes, record: Record, place: Place) -> None:
        tenant, digest = blob_name(self._tenants[record.tenant], data)  # it has opened
        self.done.attachments += 1
        row = {"tenant": tenant, "digest": digest, "size": len(data), "used": 0, **place._asdict()}
        self._rows[blobs].append(row)

    def flush(self) -> None:
        with self._catalog.write() as connection:
            for table, rows in self._rows.items():
                added = add_rows(connection, table, rows, keep=True)  # what is there already stays as it is
                if added < len(rows) and table in (messages, blobs):
                    self._find_again(connection, table)
        self._rows = {table: [] for table in self._rows}

    def _find_again(self, connection: Connection, table: Table) -> None:
        """Have rows that name a place where nothing opens name these records."""
        key = [column.name for column in table.primary_key]
        there: dict[Name, Place] = {
            (row[key[0]], row[key[1]]): Place(*(row[name] for name in Place._fields)) for row in self._rows[table]
        }
        for name in list(lost(connection, table, there, self._reader)):
            connection.execute(update(table).where(*is_row(table, name)).values(**there[name]._asdict()))

    def lists(self, data: Path) -> None:
        """Allow and block lists are in no segment: at least what is known of them holds again."""
        try:
            with self._catalog.write() as connection:
                self.done.lists = lists.put_back(connection, data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.done.faults.append(
                Fault(f"{data / lists.GOOD}: {type(error).__name__}: {error}; the lists are not back")
            )

    def finish(self) -> None:
        """Have old rows say what the event log does, count the uses of attachments anew, and drop what nothing keeps any more."""
        used = select(func.count()).where(blob_uses.c.tenant == blobs.c.tenant, blob_uses.c.digest == blobs.c.digest)
        with self._catalog.write() as connection:
            for tenant, key, values in list(outdated(connection, self._fates)):
                row = (copies.c.tenant == tenant, copies.c.message == key.message, copies.c.recipient == key.recipient)
                claim = {"claim": ""} if "state" in values else {}
                connection.execute(update(copies).where(*row).values(**values, **claim, changed=now_ms()))
                self.done.settled += 1
            connection.execute(update(blobs).values(used=used.scalar_subquery()))
            for tenant, identifier in self._fates:
                drop(connection, tenant, [identifier], now_ms=now_ms())
