"""What the store of a gateway holds, looked at beside it: rows, and messages opened with its keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from mpp.store.opening import open_store_catalog
from mpp.store.reader import Reader, Stored
from mpp.store.schema import copies, messages
from mpp.store.settings import Store


def rows(data: Path, table: Table, settings: Store | None = None) -> Sequence[Any]:
    """Every row of a table, as mappings."""
    catalog = open_store_catalog(data, settings or Store())
    try:
        with catalog.read() as connection:
            return connection.execute(select(table)).mappings().all()
    finally:
        catalog.close()


def opened(data: Path, settings: Store | None = None) -> list[Stored]:
    """Every message in the catalog, read and checked; one that cannot be read raises."""
    settings = settings or Store()
    catalog, reader = open_store_catalog(data, settings), Reader.open(data, settings.master_key)
    try:
        with catalog.read() as connection:
            names = connection.execute(select(messages.c.tenant, messages.c.id).order_by(messages.c.received)).all()
            found = [reader.message(connection, tenant, identifier) for tenant, identifier in names]
            return [each for each in found if each]
    finally:
        reader.close()
        catalog.close()


def held(data: Path, settings: Store | None = None) -> dict[str, list[str]]:
    """The verdicts of what is held, by recipient, oldest first."""
    found: dict[str, list[str]] = {}
    for row in sorted(rows(data, copies, settings), key=lambda row: row["received"]):
        if row["state"] == "held":
            found.setdefault(row["recipient"], []).append(row["verdict"])
    return found
