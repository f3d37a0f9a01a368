"""From when the signatures of scanners' servers were, as they told: the last times of each, which say what is usual."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from mpp.store.catalog import inserting
from mpp.store.schema import engine_updates

KEPT = 30  # times of a server
_C = engine_updates.c


def note(connection: Connection, engine: str, at_ms: int) -> None:
    """Write down what a server told; what it told before changes nothing. The oldest beyond KEPT goes."""
    row = {"engine": engine, "at": at_ms}
    connection.execute(inserting(connection.dialect, engine_updates).on_conflict_do_nothing(), row)
    oldest = select(_C.at).where(_C.engine == engine).order_by(_C.at.desc()).offset(KEPT - 1).limit(1)
    if (since := connection.execute(oldest).scalar()) is not None:
        connection.execute(delete(engine_updates).where(_C.engine == engine, _C.at < since))


def times(connection: Connection) -> Mapping[str, list[int]]:
    """Return the times of each server, in milliseconds since 1970, oldest first."""
    found: dict[str, list[int]] = {}
    for engine, at in connection.execute(select(_C.engine, _C.at).order_by(_C.engine, _C.at)):
        found.setdefault(engine, []).append(at)
    return found
