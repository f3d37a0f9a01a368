"""Is everything there that the catalog names, and is it what was stored? Looks, changes nothing (`mpp store check`).

A gateway may be at work beside: what it deletes or moves while we look is no fault, so a place that is not as it should be is one only where a
row still names it.

Every segment of this node is read through: checksums, keys, seals, and the message's digest. Each fault names file and place. With the
last record of a segment that a process left half-written nobody was promised anything: it is told as a note, as are records without a
row (answered 452, or the catalog is older than they are; a rebuild brings them back). A row whose segment is not here is a fault, unless another node has it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, exists, select

from mpp.store.catalog import Catalog
from mpp.store.errors import StoreError
from mpp.store.fates import fates, outdated
from mpp.store.files import being_written, records, segments_here
from mpp.store.journal import told
from mpp.store.reader import DamageError, ForgottenError, Reader
from mpp.store.record import DamagedError, Kind, Record
from mpp.store.schema import blob_uses, blobs, copies, messages, segments
from mpp.store.segment import segment_path

_Place = tuple[int, int, int]  # in a segment: position, length and slot


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it should be; `note` where nothing is lost by it."""

    text: str
    note: bool = False
    place: _Place | None = None  # that a row named when it was looked at


@dataclass(slots=True)
class Counts:
    """What was looked at."""

    segments: int = 0
    records: int = 0
    octets: int = 0


def check(catalog: Catalog, data: Path, reader: Reader, counts: Counts, node: str) -> Iterator[Fault]:
    """Yield all faults; `counts` is filled on the way. `node`: this one's name, by which it knows other nodes' segments."""
    here = segments_here(data)
    for segment in here:
        counts.segments += 1
        yield from _still_so(catalog, data, segment, reader, counts)
    yield from _absent(catalog, data, node)
    with catalog.read() as connection:
        yield from _rows(connection)
    yield from _messages(catalog, reader, set(here))
    yield from _outdated(catalog, data)


def _still_so(catalog: Catalog, data: Path, segment: str, reader: Reader, counts: Counts) -> list[Fault]:
    """Return the faults of a segment that still are some once it is read. One that is gone has none: `_absent` tells where a row needs it."""
    try:
        found = list(_segment(data, segment, _all_named(catalog, segment), reader, counts))
    except FileNotFoundError:
        return []
    if not found or not segment_path(data, segment).exists():
        return []
    named = _all_named(catalog, segment)
    return [fault for fault in found if fault.place is None or fault.place in named]


def _all_named(catalog: Catalog, segment: str) -> dict[_Place, str]:
    with catalog.read() as connection:
        return {**_named(connection, messages, segment), **_named(connection, blobs, segment)}


def _named(connection: Connection, table: Table, segment: str) -> dict[_Place, str]:
    """What the catalog says lies in a segment, by its place."""
    c = table.c
    name = c.id if table is messages else c.digest
    rows = connection.execute(select(c.position, c.length, c.slot, c.tenant, name).where(c.segment == segment))
    what = "message" if table is messages else "attachment"
    return {
        (
            position,
            length,
            slot,
        ): f"{what} {each if isinstance(each, str) else bytes(each).hex()[:16]} of tenant {tenant}"
        for position, length, slot, tenant, each in rows
    }


def _segment(data: Path, segment: str, named: dict[_Place, str], reader: Reader, counts: Counts) -> Iterator[Fault]:
    path, found = segment_path(data, segment), set()
    last: DamagedError | None = None
    for record in records(data, segment):
        if last:
            yield Fault(f"{path}: {last}")
            last = None
        if isinstance(record, DamagedError):
            last = record
            continue
        counts.records += 1
        counts.octets += record.length
        place = (record.position, record.length, record.slot)
        found.add(place)
        yield from _record(segment, record, place, named.get(place), reader, path)
    if last:
        busy = being_written(data, segment)
        yield Fault(f"{path}: {last}; {'it is being written' if busy else 'left half-written'}", note=last.position > 0)
    for place in sorted(named.keys() - found):
        yield Fault(f"{path}: at octet {place[0]}: {named[place]} is not there", place=place)


def _record(
    segment: str, record: Record, place: _Place, named: str | None, reader: Reader, path: Path
) -> Iterator[Fault]:
    try:
        reader.opened(segment, record)
    except ForgottenError:
        if named:
            what = f"{named} was deleted for good, and the catalog has it"
            yield Fault(f"{path}: at octet {record.position}: {what}", place=place)
    except DamageError as error:
        yield Fault(f"{error} ({named or 'in no row'})", place=place if named else None)
    else:
        if not named:
            kind = Kind(record.kind).name.lower() if record.kind in (1, 2) else "record"
            yield Fault(
                f"{path}: at octet {record.position}: a {kind} that no row names; `mpp store rebuild` adds it where it lacks",
                note=True,
            )


def _absent(catalog: Catalog, data: Path, node: str) -> Iterator[Fault]:
    """Segments that rows name and that are not here."""
    absent = {segment for segment in _segments(catalog) if not segment_path(data, segment).exists()}
    absent &= _segments(catalog)  # a compaction that goes on beside us names another one before it removes this one
    with catalog.read() as connection:
        owners = {row.id: row.node for row in connection.execute(select(segments.c.id, segments.c.node))}
    cure = "restore it from your backup; where the catalog is from one, stop the gateway and call `mpp store rebuild`"
    for segment in sorted(absent):
        where = f"{segment_path(data, segment)}: the catalog names it, and it is not"
        if catalog.sqlite or owners.get(segment, node) == node:
            yield Fault(f"{where} there; {cure}")
        else:
            yield Fault(f"{where} on this node but on {owners[segment]}", note=True)


def _segments(catalog: Catalog) -> set[str]:
    """All that rows name."""
    with catalog.read() as connection:
        return {each for table in (messages, blobs) for each in connection.scalars(select(table.c.segment).distinct())}


def _rows(connection: Connection) -> Iterator[Fault]:
    """Rows that point nowhere."""
    orphans: Any = select(copies.c.tenant, copies.c.message, copies.c.recipient).where(
        copies.c.state == "held",
        ~exists().where(messages.c.tenant == copies.c.tenant, messages.c.id == copies.c.message),
    )
    for tenant, message, recipient in connection.execute(orphans):
        yield Fault(f"the copy of {message} for {recipient} (tenant {tenant}) is held, and its message has no row")
    lost: Any = select(blob_uses.c.tenant, blob_uses.c.message).where(
        ~exists().where(blobs.c.tenant == blob_uses.c.tenant, blobs.c.digest == blob_uses.c.digest)
    )
    for tenant, message in connection.execute(lost):
        yield Fault(f"message {message} of tenant {tenant} has an attachment without a row")


def _messages(catalog: Catalog, reader: Reader, here: set[str]) -> Iterator[Fault]:
    """Put each message with attachments together, which looking at single records does not."""
    wanted = select(blob_uses.c.tenant, blob_uses.c.message, messages.c.segment).distinct()
    wanted = wanted.join(messages, (messages.c.tenant == blob_uses.c.tenant) & (messages.c.id == blob_uses.c.message))
    with catalog.read() as connection:
        found = connection.execute(wanted).all()
    for tenant, identifier, segment in found:
        if segment in here and (error := _not_whole(catalog, reader, tenant, identifier)):
            yield Fault(f"message {identifier} of tenant {tenant}: {error}")


def _not_whole(catalog: Catalog, reader: Reader, tenant: str, identifier: str) -> str:
    """Return what is wrong with a message, "" where it is whole or gone."""
    said = ""
    for _ in range(2):  # it may have moved between the look at its row and that at its record
        try:
            with catalog.read() as connection:
                reader.message(connection, tenant, identifier)
        except (DamageError, ForgottenError) as error:
            said = str(error)
        else:
            return ""
    return said


def _outdated(catalog: Catalog, data: Path) -> Iterator[Fault]:
    """Copies of which the event log says more than their rows: a backup of the catalog was put back."""
    try:
        known = fates(told(data, catalog))
    except (StoreError, OSError) as error:
        yield Fault(str(error))
        return
    with catalog.read() as connection:
        for tenant, key, values in outdated(connection, known):
            was = ", ".join(f"{name} {value}" for name, value in values.items())
            yield Fault(
                f"the copy of {key.message} for {key.recipient} (tenant {tenant}): the event log says {was}, and the catalog is older; "
                "stop the gateway and call `mpp store rebuild`"
            )
