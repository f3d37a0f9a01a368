"""Counters by which whoever keeps a copy of a table sees that it has changed: one for each tenant and name."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from mpp.store.schema import versions


def raise_version(connection: Connection, tenant: str, name: str) -> None:
    """Count a change, in the transaction that makes it."""
    columns = versions.c
    one = update(versions).where(columns.tenant == tenant, columns.name == name).values(number=columns.number + 1)
    if not connection.execute(one).rowcount:
        connection.execute(insert(versions), {"tenant": tenant, "name": name, "number": 1})


def numbers(connection: Connection, tenants: Sequence[str], name: str) -> dict[str, int]:
    """Return the counters of these tenants; one without any change is left out."""
    columns = versions.c
    rows = connection.execute(
        select(columns.tenant, columns.number).where(columns.tenant.in_(tenants), columns.name == name)
    )
    return {row.tenant: row.number for row in rows}
