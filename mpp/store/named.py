"""Whose a record is, by what it holds: for who must not trust the place in a row, since the catalog may be an old one.

Compaction moves records, and the rows of a catalog that is put back from a backup name the places from before.
"""

import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Table, select, tuple_

from mpp.store.content import read_description
from mpp.store.reader import Reader
from mpp.store.record import Kind, Record
from mpp.store.rows import Place, place_columns
from mpp.store.schema import blobs, messages
from mpp.store.tenants import Public

Name = tuple[str, str | bytes]
"""Tenant, and the message's id or the attachment's keyed digest: the primary key of its row."""


def name_of(record: Record, content: bytes, tenants: Mapping[bytes, Public]) -> tuple[Table, Name]:
    """Return the table and the name of a record's row. Raises ValueError where the content is of another version."""
    if record.kind == Kind.MESSAGE:
        described = read_description(content)
        return messages, (described["tenant"], described["id"])
    return blobs, blob_name(tenants[record.tenant], content)


def blob_name(tenant: Public, data: bytes) -> tuple[str, bytes]:
    return tenant.name, hmac.digest(tenant.digests, data, "sha256")


def lost(connection: Connection, table: Table, there: Mapping[Name, Place], reader: Reader) -> Iterator[Name]:
    """Yield those of the records whose row names another place, which does not open."""
    for name, place in _places(connection, table, there):
        if place != there[name] and not reader.opens(place):
            yield name


def is_row(table: Table, name: Name) -> tuple[Any, ...]:
    return tuple(column == value for column, value in zip(table.primary_key, name, strict=True))


def _places(connection: Connection, table: Table, names: Iterable[Name]) -> Iterator[tuple[Name, Place]]:
    key, wanted = list(table.primary_key), list(names)
    for start in range(0, len(wanted), 500):
        rows = select(*key, *place_columns(table)).where(tuple_(*key).in_(wanted[start : start + 500]))
        for tenant, name, *place in connection.execute(rows).all():
            yield (tenant, name if isinstance(name, str) else bytes(name)), Place(*place)
