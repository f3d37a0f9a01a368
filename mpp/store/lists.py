"""Allow and block lists in the catalog: entries of one tenant, or of all (GLOBAL), and what a worker knows of them.

A change raises the version "lists" of its tenant in the same transaction. Workers look at the versions every few seconds and read
again where one has changed; what they know last lies in a file too, so that a worker which starts while the catalog is down
still knows it. Nothing here waits for mail.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from mpp.settings.tenants import DEFAULT_TENANT
from mpp.settings.values import read_network
from mpp.store.catalog import Catalog
from mpp.store.clock import now_ms
from mpp.store.errors import CatalogError
from mpp.store.revisions import NAME as REVISIONS
from mpp.store.schema import list_entries, versions
from mpp.store.versions import numbers, raise_version
from mpp.verdict.lists import Entry, Level, Lists

GLOBAL = ""  # in place of a tenant: entries for all of them
GOOD = "lists.good.json"
_NAME = "lists"


def put(connection: Connection, tenant: str, entry: Entry, who: str) -> None:
    """Add an entry, or replace the one of the same list for the same pattern."""
    where = _where(tenant, entry.level)
    remove(connection, tenant, entry.level, entry.owner, entry.pattern)
    row = {
        "tenant": where,
        "scope": entry.level.name.lower(),
        "owner": entry.owner,
        "pattern": entry.pattern,
        "action": entry.action,
        "networks": " ".join(map(str, entry.networks)),
        "override": entry.override,
        "expires": int(entry.expires * 1000) if entry.expires else None,
        "note": entry.note,
        "who": who,
        "at": now_ms(),
    }
    connection.execute(insert(list_entries), row)
    raise_version(connection, where, _NAME)


def remove(connection: Connection, tenant: str, level: Level, owner: str, pattern: str) -> bool:
    """Take an entry out; False where there is none."""
    where = _where(tenant, level)
    columns = list_entries.c
    one = delete(list_entries).where(
        columns.tenant == where,
        columns.scope == level.name.lower(),
        columns.owner == owner,
        columns.pattern == pattern,
    )
    if not connection.execute(one).rowcount:
        return False
    raise_version(connection, where, _NAME)
    return True


def entries(connection: Connection, tenant: str) -> list[tuple[Entry, Mapping[str, Any]]]:
    """Return a tenant's own entries (GLOBAL: those for all), each with `who` and `at`, in the order of the key."""
    columns = list_entries.c
    rows = connection.execute(
        select(list_entries).where(columns.tenant == tenant).order_by(columns.scope, columns.owner, columns.pattern)
    )
    found: list[dict[str, Any]] = [dict(row) for row in rows.mappings()]
    return [(_entry(row), {"who": row["who"], "at": row["at"]}) for row in found]


def lists_of(connection: Connection, tenants: Iterable[str]) -> Lists:
    """Return the lists of these tenants and those for all, ready to be asked."""
    return Lists(
        (tenant, entry) for tenant in dict.fromkeys((*tenants, GLOBAL)) for entry, _ in entries(connection, tenant)
    )


def put_back(connection: Connection, data: Path) -> int:
    """Add to a catalog that never had any lists those that a worker of this node knew last. Returns how many entries that were.

    Raises OSError; ValueError, KeyError and TypeError where the file holds something else.
    """
    file = data / GOOD
    if not file.exists() or connection.execute(select(versions.c.tenant).where(versions.c.name == _NAME)).first():
        return 0
    columns = list_entries.columns.keys()
    rows = [{name: row[name] for name in columns} for _, row in json.loads(file.read_text("utf-8"))]
    if rows:
        connection.execute(insert(list_entries), rows)
    for tenant in dict.fromkeys(row["tenant"] for row in rows):
        raise_version(connection, tenant, _NAME)
    return len(rows)


class KnownLists:
    """What one worker knows. `current` is read by the loop; `refresh` runs in a thread, one call at a time."""

    def __init__(self, open_catalog: Callable[[], Catalog], data: Path) -> None:
        self.current = Lists()
        self._open_catalog, self._file = open_catalog, data / GOOD
        self._catalog: Catalog | None = None
        self._seen: dict[str, int] | None = None  # as of the last look; the file may be of a catalog that was lost
        self.revision = -1  # number of all revisions of the settings, as of the last look; -1: not yet known

    def begin(self) -> None:
        """Take what was known last. Raises OSError and ValueError where the file is there and cannot be read."""
        try:
            text = self._file.read_text("utf-8")
        except FileNotFoundError:
            return
        self.current = Lists((tenant, _entry(row)) for tenant, row in json.loads(text))

    def refresh(self, tenants: Iterable[str]) -> bool:
        """Read again what has changed, the first time all; True where it did. Raises CatalogError and OSError: what was known stays."""
        wanted = list(dict.fromkeys((*tenants, GLOBAL)))
        try:
            catalog = self._catalog = self._catalog or self._open_catalog()
            with catalog.read() as connection:
                seen = numbers(connection, wanted, _NAME)
                self.revision = sum(numbers(connection, [DEFAULT_TENANT, *wanted], REVISIONS).values())
                if seen == self._seen:
                    return False
                rows = [
                    (tenant, dict(row))
                    for tenant in wanted
                    for row in connection.execute(
                        select(list_entries).where(list_entries.c.tenant == tenant)
                    ).mappings()
                ]
        except CatalogError:
            self.close()
            raise
        self.current = Lists((tenant, _entry(row)) for tenant, row in rows)
        if seen:  # a catalog that never had any was made anew perhaps, and the file is all that is left (`put_back`)
            self._keep(rows)
        self._seen = seen
        return True

    def close(self) -> None:
        catalog, self._catalog = self._catalog, None
        if catalog:
            catalog.close()

    def _keep(self, rows: list[tuple[str, dict[str, Any]]]) -> None:
        fresh = self._file.with_suffix(f".{os.getpid()}")  # each worker writes the same
        fresh.write_text(json.dumps(rows), "utf-8")
        fresh.replace(self._file)


def _where(tenant: str, level: Level) -> str:
    return GLOBAL if level is Level.GLOBAL else tenant


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        action=row["action"],
        level=Level[row["scope"].upper()],
        owner=row["owner"],
        pattern=row["pattern"],
        networks=tuple(map(read_network, row["networks"].split())),
        override=row["override"],
        expires=(row["expires"] or 0) / 1000,
        note=row["note"],
    )
