"""Large attachments in the catalog: stored once a tenant, counted by their uses (design section 6).

Called by mpp.store.writer within its transaction, and by mpp.store.forget, which lets the key go with the last use.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, tuple_, update

from mpp.store.catalog import inserting
from mpp.store.errors import StoreError
from mpp.store.rows import Place, place_columns
from mpp.store.schema import blob_uses, blobs

Name = tuple[str, bytes]
"""Tenant and keyed digest."""


class BlobGoneError(StoreError):
    """Its last use went between our look and our transaction. The sender comes again, and it is stored anew."""


def known(connection: Connection, names: Iterable[Name]) -> set[Name]:
    """Return those that are stored already."""
    wanted = select(blobs.c.tenant, blobs.c.digest).where(tuple_(blobs.c.tenant, blobs.c.digest).in_(list(names)))
    return {(tenant, bytes(digest)) for tenant, digest in connection.execute(wanted)}


def use(connection: Connection, uses: Sequence[Mapping[str, Any]], stored: Mapping[Name, tuple[int, Place]]) -> None:
    """Note the uses of one or more messages; `stored` are the blobs written for them, by size and place.

    Another process may have stored the same one meanwhile: then that one is used, and `superfluous` tells ours.
    """
    one_more = {"used": blobs.c.used + 1}
    upsert = inserting(connection.dialect, blobs).on_conflict_do_update(
        index_elements=["tenant", "digest"], set_=one_more
    )
    for row in uses:
        name = (row["tenant"], row["digest"])
        if name in stored:
            size, place = stored[name]
            values = {"tenant": name[0], "digest": name[1], "size": size, "used": 1, **place._asdict()}
            connection.execute(upsert.values(values))
        elif connection.execute(update(blobs).where(_is(name)).values(one_more)).rowcount != 1:
            raise BlobGoneError("an attachment was deleted while it was to be used again")
    connection.execute(insert(blob_uses), list(uses))


def superfluous(connection: Connection, stored: Mapping[Name, tuple[int, Place]]) -> list[Place]:
    """Return the places of blobs that were written and are not the ones in the catalog."""
    found = []
    for name, (_, place) in stored.items():
        row = connection.execute(select(blobs.c.segment, blobs.c.slot).where(_is(name))).one_or_none()
        if row is None or tuple(row) != (place.segment, place.slot):
            found.append(place)
    return found


def users(connection: Connection, tenant: str, identifiers: Sequence[str]) -> list[str]:
    """Return those of the messages that use a blob; most have none."""
    using = select(blob_uses.c.message).where(blob_uses.c.tenant == tenant, blob_uses.c.message.in_(identifiers))
    return list(dict.fromkeys(connection.execute(using).scalars()))


def release(connection: Connection, tenant: str, message: str) -> list[tuple[str, int]]:
    """End a message's uses; return segment and slot of the blobs that nobody uses any more, which are gone then."""
    mine = and_(blob_uses.c.tenant == tenant, blob_uses.c.message == message)
    digests = [bytes(digest) for (digest,) in connection.execute(select(blob_uses.c.digest).where(mine))]
    connection.execute(delete(blob_uses).where(mine))
    gone: list[tuple[str, int]] = []
    for digest in digests:
        name = (tenant, digest)
        connection.execute(update(blobs).where(_is(name)).values(used=blobs.c.used - 1))
        unused = delete(blobs).where(and_(_is(name), blobs.c.used <= 0)).returning(blobs.c.segment, blobs.c.slot)
        gone += [(segment, slot) for segment, slot in connection.execute(unused)]
    return gone


def place_of(connection: Connection, name: Name) -> Place | None:
    row = connection.execute(select(*place_columns(blobs)).where(_is(name))).one_or_none()
    return Place(*row) if row else None


def _is(name: Name) -> ColumnElement[bool]:
    return and_(blobs.c.tenant == name[0], blobs.c.digest == name[1])
