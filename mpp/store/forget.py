"""Deleting for good: the row goes, and the data key is overwritten, so that nobody opens the record any more (design section 6).

In two steps that survive a crash between them: with the rows' deletion it is noted which slots are to be overwritten (`drop`, within
the caller's transaction, so that it goes with the event and the copies' new states), and afterwards that is done (`overwrite`). The
background process does what a crash left. Segments of other nodes are left to theirs.
"""

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection, delete, exists, insert, select, tuple_

from mpp.store import blobs
from mpp.store.catalog import Catalog
from mpp.store.schema import copies, forgotten, messages
from mpp.store.segment import forget_slots, key_path

# A copy that is done with; while a message has another one, or is archived, its octets stay.
GONE = ("deleted", "expired", "released")

MOST_SEGMENTS = 500  # at a time


def drop(connection: Connection, tenant: str, identifiers: Iterable[str], *, now_ms: int) -> list[str]:
    """Take out those messages that nothing keeps any more: no copy but those in GONE, no hold, no archive copy.

    The copies' rows stay, for what became of them is still asked for. Returns the ids; `overwrite` is to be called once the transaction
    is committed.
    """
    wanted = list(identifiers)
    kept = exists().where(  # whose they are is said twice: PostgreSQL goes through all copies where it guesses that few are kept
        copies.c.tenant == tenant,
        copies.c.message.in_(wanted),
        copies.c.message == messages.c.id,
        copies.c.state.not_in(GONE) | copies.c.on_hold,
    )
    unneeded = delete(messages).where(
        messages.c.tenant == tenant,
        messages.c.id.in_(wanted),
        messages.c.archived_until.is_(None) | (messages.c.archived_until <= now_ms),
        ~kept,
    )
    gone = connection.execute(unneeded.returning(messages.c.id, messages.c.segment, messages.c.slot)).all()
    slots = [(segment, slot) for _, segment, slot in gone]
    for identifier in blobs.users(connection, tenant, [identifier for identifier, _, _ in gone]):
        slots += blobs.release(connection, tenant, identifier)
    if slots:
        connection.execute(
            insert(forgotten), [{"tenant": tenant, "segment": segment, "slot": slot} for segment, slot in slots]
        )
    return [identifier for identifier, _, _ in gone]


def overwrite(catalog: Catalog, data: Path, most: int = 10_000) -> int:
    """Overwrite what is noted, of the segments on this node's disk. Returns how many. Raises CatalogError, OSError, KeysError."""
    c = forgotten.c
    with catalog.read() as connection:
        noted = connection.scalars(select(c.segment).distinct())
        here = [segment for segment in noted if key_path(data, segment).exists()][:MOST_SEGMENTS]
        rows = connection.execute(select(c.segment, c.tenant, c.slot).where(c.segment.in_(here)).limit(most)).all()
    by_segment: dict[str, list[tuple[str, str, int]]] = {}
    for segment, tenant, slot in rows:
        by_segment.setdefault(segment, []).append((segment, tenant, slot))
    for segment, each in by_segment.items():
        forget_slots(data, segment, [slot for _, _, slot in each])
    done = [row for each in by_segment.values() for row in each]
    for start in range(0, len(done), 500):
        key = tuple_(forgotten.c.segment, forgotten.c.tenant, forgotten.c.slot)
        with catalog.write() as connection:
            connection.execute(delete(forgotten).where(key.in_(done[start : start + 500])))
    return len(done)
