"""Events: who did what to which message (released, viewed, downloaded, deleted, changed settings). Append-only.

`record` writes them in the transaction of what they tell, so that neither is there without the other. Numbers of a tenant have
no gaps; each event becomes a leaf of the Merkle log soon after (mpp.store.evidence). Raises what the connection raises.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, tuple_

from mpp.settings.tenants import DEFAULT_TENANT
from mpp.store.catalog import add_rows
from mpp.store.clock import now_ms
from mpp.store.rows import text
from mpp.store.schema import events

BATCH = 5000  # rows in one statement
_KEYS = 500  # of messages in one statement


@dataclass(frozen=True, slots=True)
class Event:
    """Who did what. `actor` is "command:root", "user:anna@example.org", "background"; `action` a word such as "released"."""

    actor: str
    action: str
    tenant: str = DEFAULT_TENANT
    message: str = ""  # id of the stored message, "" where it is about none
    recipient: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)  # must be JSON
    at_ms: int = 0  # set by `record`
    number: int = 0  # set by `record`


def record(connection: Connection, told: Sequence[Event]) -> None:
    """Append events, within a transaction that writes."""
    at = now_ms()
    for tenant, group in groupby(sorted(told, key=_tenant), key=_tenant):
        if connection.dialect.name == "postgresql":  # SQLite's write lock is held already
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"mpp events {tenant}", 0))))
        last = last_number(connection, tenant)
        rows = [_row(event, last + number, at) for number, event in enumerate(group, 1)]
        for start in range(0, len(rows), BATCH):
            add_rows(connection, events, rows[start : start + BATCH])


def last_number(connection: Connection, tenant: str) -> int:
    """Return the number of a tenant's newest event, 0 where it has none."""
    own = select(events.c.number).where(events.c.tenant == tenant)
    # Not by max(): PostgreSQL goes through all of them for it as long as it knows of few.
    return connection.scalar(own.order_by(events.c.number.desc()).limit(1)) or 0


def _tenant(event: Event) -> str:
    return event.tenant


def _row(event: Event, number: int, at: int) -> dict[str, Any]:
    return {
        "tenant": event.tenant,
        "number": number,
        "at": at,
        "actor": text(event.actor),
        "action": event.action,
        "message": event.message,
        "recipient": text(event.recipient),
        "detail": json.dumps(event.detail, separators=(",", ":"), sort_keys=True),
    }


def about(connection: Connection, tenant: str, message: str, recipient: str = "") -> list[Event]:
    """Return what happened to a message, oldest first; with `recipient` only what is about this copy or about all."""
    found = about_each(connection, [(tenant, message)])
    return [event for event in found if not recipient or event.recipient in ("", recipient)]


def about_each(connection: Connection, keys: Sequence[tuple[str, str]]) -> list[Event]:
    """Return what happened to messages, named by tenant and id, by tenant and then oldest first."""
    found: list[Event] = []
    for start in range(0, len(keys), _KEYS):
        asked = tuple_(events.c.tenant, events.c.message).in_(keys[start : start + _KEYS])
        found += map(_event, connection.execute(select(events).where(asked)).mappings())
    return sorted(found, key=lambda event: (event.tenant, event.number))


def all_events(connection: Connection, tenant: str | None = None) -> Iterator[Event]:
    """Yield all events of a tenant, or of all where None, in their order."""
    query = select(events).order_by(events.c.tenant, events.c.number)
    if tenant is not None:
        query = query.where(events.c.tenant == tenant)
    for row in connection.execution_options(yield_per=1000).execute(query).mappings():
        yield _event(row)


def _event(row: RowMapping) -> Event:
    return Event(
        row["actor"], row["action"], row["tenant"], row["message"], row["recipient"], json.loads(row["detail"]), row["at"], row["number"]
    )  # fmt: skip


def as_object(event: Event) -> dict[str, Any]:
    """Return an event as JSON has it."""
    return {
        "at": event.at_ms,
        "number": event.number,
        "actor": event.actor,
        "action": event.action,
        "message": event.message,
        "recipient": event.recipient,
        "detail": dict(event.detail),
    }
