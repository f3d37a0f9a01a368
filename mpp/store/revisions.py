"""Revisions of the settings in the catalog: appended, never changed. Always of one tenant."""

from typing import Any

from sqlalchemy import Connection, insert, select

from mpp.settings.revisions import Revision, digest
from mpp.store.clock import now_ms
from mpp.store.errors import StoreError
from mpp.store.events import Event, record
from mpp.store.schema import revisions
from mpp.store.versions import raise_version

NAME = "revisions"  # of the version that a change raises
_C = revisions.c


class MovedError(StoreError):
    """Somebody else has made a revision meanwhile."""


def newest(connection: Connection, tenant: str) -> Revision | None:
    """Return the revision that holds, None where there is none yet."""
    row = connection.execute(select(revisions).where(_C.tenant == tenant).order_by(_C.number.desc()).limit(1)).first()
    return _revision(row) if row else None


def numbered(connection: Connection, tenant: str, number: int) -> Revision | None:
    row = connection.execute(select(revisions).where(_C.tenant == tenant, _C.number == number)).first()
    return _revision(row) if row else None


def history(connection: Connection, tenant: str, most: int = 100) -> list[Revision]:
    """Return the last revisions, the newest first."""
    rows = connection.execute(select(revisions).where(_C.tenant == tenant).order_by(_C.number.desc()).limit(most))
    return [_revision(row) for row in rows]


def append(connection: Connection, tenant: str, body: str, *, who: str, why: str, file: bytes, after: int) -> Revision:
    """Make the revision that follows number `after` (0: the first). Raises MovedError where that is not the newest any more."""
    last = newest(connection, tenant)
    if (last.number if last else 0) != after:
        raise MovedError(f"revision {last.number if last else 0} was made meanwhile; look at it: mpp settings history")
    made = Revision(after + 1, now_ms(), who, why, body, file)
    row = {"tenant": tenant, "number": made.number, "at": made.at_ms, "who": who, "why": why}
    connection.execute(insert(revisions), {**row, "digest": digest(body), "file": file, "body": body})
    raise_version(connection, tenant, NAME)
    record(connection, [Event(who, "settings-applied", tenant, detail={"revision": made.number, "why": why})])
    return made


def _revision(row: Any) -> Revision:
    return Revision(row.number, row.at, row.who, row.why, row.body, row.file)
