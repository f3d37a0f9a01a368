"""Freeing what is past retention or deleted: sealed segments of which less than half is still kept are written anew, without the rest.

For the background process; one segment a call, so that nobody waits long. A record moves as it is, sealed; its data key is wrapped for
the new segment. The new places go into the catalog in one transaction, and only then the old keys are overwritten and the old files
removed. The new segment bears in the catalog that it is unfinished until then: what a crash left of it is removed by the next call.

The catalog may be an old one that was put back: a record that no row names moves all the same while its key is there, and what bears that it is
unfinished stays where a row needs it. So a rebuild finds all of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Table, delete, insert, select, update

from mpp.store.catalog import Catalog
from mpp.store.errors import KeysError
from mpp.store.files import being_written, records, segments_here
from mpp.store.keyfile import KeyFile, sync_folder
from mpp.store.named import Name, lost, name_of
from mpp.store.reader import Reader
from mpp.store.record import DamagedError
from mpp.store.rows import Place, place_columns, segment_row
from mpp.store.schema import blobs, forgotten, messages, segments
from mpp.store.segment import SLOT_SIZE, Limits, Moved, SegmentWriter, key_path, segment_path
from mpp.store.tenants import read_tenants

LIVELY = 0.5  # part of its octets that is still named: above it a segment stays as it is
SLICE = 32  # records in memory at a time


class Compacted(NamedTuple):
    segment: str
    freed: int  # octets


def compact(catalog: Catalog, data: Path, reader: Reader, node: str, limits: Limits) -> Compacted | None:
    """Free one segment's room; None where there is none worth it. Raises StoreError, OSError: nothing is lost then."""
    _remove_unfinished(catalog, data, reader)
    for segment in segments_here(data):
        if being_written(data, segment):
            continue
        size = segment_path(data, segment).stat().st_size
        with catalog.read() as connection:
            named, going = _named(connection, segment), _going(connection, segment)
        if _length(named) < LIVELY * size and (named or _all_forgotten(data, segment)):
            unnamed = _unnamed(data, segment, going | {place.slot for place in named})
            if (live := _length([*named, *unnamed])) < LIVELY * size:
                if named:
                    places = sorted([*named, *unnamed], key=lambda place: place.position)
                    moved = _written_anew(catalog, reader, SegmentWriter(data, limits), node, places)
                    _rename(catalog, segment, dict(zip(places, moved, strict=True)), set(unnamed))
                _drop(catalog, data, segment)
                return Compacted(segment, size - live)
    return None


def _length(places: Sequence[Place]) -> int:
    return sum(place.length for place in places)


def _named(connection: Connection, segment: str) -> list[Place]:
    """What the catalog names of a segment, in its order."""
    found: list[Place] = []
    for table in (messages, blobs):
        rows = connection.execute(select(*place_columns(table)).where(table.c.segment == segment))
        found += [Place(*row) for row in rows]
    return sorted(found, key=lambda place: place.position)


def _going(connection: Connection, segment: str) -> set[int]:
    """The slots of a segment whose keys are to be overwritten."""
    return set(connection.scalars(select(forgotten.c.slot).where(forgotten.c.segment == segment)))


def _unnamed(data: Path, segment: str, slots: set[int]) -> list[Place]:
    """The records with a key whose slot is none of `slots`: of mail that was answered 452, or the catalog is older than they are."""
    keyed = {slot for slot, content in enumerate(_keys(data, segment)) if isinstance(content, bytes)}
    if keyed <= slots:
        return []
    found = [each for each in records(data, segment) if not isinstance(each, DamagedError)]  # without a torn last one
    return [Place.of(segment, each) for each in found if each.slot in keyed - slots]


def _all_forgotten(data: Path, segment: str) -> bool:
    """True where no record of it can be opened: then nothing is lost by removing what no row names."""
    return all(content is None for content in _keys(data, segment))


def _keys(data: Path, segment: str) -> list[bytes | KeysError | None]:
    keys = KeyFile(key_path(data, segment), SLOT_SIZE, writing=False)
    try:
        return keys.read_all()
    finally:
        keys.close()


def _written_anew(
    catalog: Catalog, reader: Reader, writer: SegmentWriter, node: str, places: Sequence[Place]
) -> list[Place]:
    """Move records into a segment of their own, unfinished; return their new places in the same order."""
    try:
        with catalog.write() as connection:
            connection.execute(insert(segments), segment_row(writer.begin(), node, unfinished=True))
        slices = (places[start : start + SLICE] for start in range(0, len(places), SLICE))
        return [place for each in slices for place in writer.move(_read(reader, each))]
    finally:
        writer.close()


def _drop(catalog: Catalog, data: Path, segment: str) -> None:
    with catalog.write() as connection:
        connection.execute(update(segments).where(segments.c.id == segment).values(unfinished=True))
    _remove(data, segment)
    _forget(catalog, segment)


def _read(reader: Reader, places: Sequence[Place]) -> list[Moved]:
    return [reader.sealed(place) for place in places]


def _rename(catalog: Catalog, segment: str, moved: dict[Place, Place], unnamed: set[Place]) -> None:
    """Point the rows at the new places; where a row went meanwhile, the key of its new place goes too."""
    target = next(iter(moved.values())).segment
    with catalog.write() as connection:
        for old, new in moved.items():
            if old not in unnamed and not any(_changed(connection, table, old, new) for table in (messages, blobs)):
                connection.execute(insert(forgotten), {"tenant": "", "segment": new.segment, "slot": new.slot})
        connection.execute(update(segments).where(segments.c.id == target).values(unfinished=False))
        connection.execute(update(segments).where(segments.c.id == segment).values(unfinished=True))


def _changed(connection: Connection, table: Table, old: Place, new: Place) -> bool:
    c = table.c
    where = (c.segment == old.segment, c.position == old.position, c.slot == old.slot)
    return connection.execute(update(table).where(*where).values(**new._asdict())).rowcount == 1


def _remove_unfinished(catalog: Catalog, data: Path, reader: Reader) -> None:
    """What a compaction that was interrupted left: no row needs it, unless the catalog is from the midst of that one."""
    with catalog.read() as connection:
        names = list(connection.scalars(select(segments.c.id).where(segments.c.unfinished)))
    for segment in names:
        if segment_path(data, segment).exists() and not being_written(data, segment):
            if _needed(catalog, data, reader, segment):
                with catalog.write() as connection:
                    connection.execute(update(segments).where(segments.c.id == segment).values(unfinished=False))
            else:
                _remove(data, segment)
                _forget(catalog, segment)


def _needed(catalog: Catalog, data: Path, reader: Reader, segment: str) -> bool:
    """True where a row names the segment, or names for one of its records another place, which does not open."""
    tenants = {each.mark: each for each in read_tenants(data).values()}
    there: dict[Table, dict[Name, Place]] = {messages: {}, blobs: {}}
    for record in records(data, segment):
        if not isinstance(record, DamagedError) and reader.opens(place := Place.of(segment, record)):
            try:
                table, name = name_of(record, reader.opened(segment, record), tenants)
            except ValueError:  # whose it is a later version knows
                return True
            there[table][name] = place
    with catalog.read() as connection:
        return bool(_named(connection, segment)) or any(
            any(lost(connection, table, places, reader)) for table, places in there.items()
        )


def _forget(catalog: Catalog, segment: str) -> None:
    with catalog.write() as connection:
        connection.execute(delete(segments).where(segments.c.id == segment))
        connection.execute(delete(forgotten).where(forgotten.c.segment == segment))


def _remove(data: Path, segment: str) -> None:
    """Overwrite all keys of a segment, then remove its files."""
    path = key_path(data, segment)
    keys = KeyFile(path, SLOT_SIZE, writing=True)
    try:
        keys.forget(range(len(keys.read_all())))
    finally:
        keys.close()
    segment_path(data, segment).unlink(missing_ok=True)
    path.unlink()
    sync_folder(path.parent)
