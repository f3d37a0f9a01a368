"""Requests for release: somebody may ask for a copy that they may not release, and waits for who may. Always of one tenant."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from mpp.store.clock import now_ms
from mpp.store.events import Event, record
from mpp.store.quarantine_query import Key
from mpp.store.schema import requests

_C = requests.c


@dataclass(frozen=True, slots=True)
class Request:
    key: Key
    asked_by: str
    asked_at: int
    reason: str
    state: str  # waiting, granted, refused
    answered_by: str
    answered_at: int
    answer: str


def ask(connection: Connection, tenant: str, key: Key, who: str, reason: str) -> None:
    """Ask for a copy; whoever asks again takes the place of what was asked before."""
    connection.execute(delete(requests).where(*_one(tenant, key)))
    row = {"tenant": tenant, "message": key.message, "recipient": key.recipient, "asked_by": who}
    connection.execute(insert(requests), {**row, "asked_at": now_ms(), "reason": reason, "state": "waiting"})
    record(connection, [Event(who, "requested", tenant, *key, {"reason": reason})])


def answer(connection: Connection, tenant: str, key: Key, who: str, said: str, *, granted: bool) -> bool:
    """Answer what waits; False where nothing does (any more)."""
    state = "granted" if granted else "refused"
    values = {"state": state, "answered_by": who, "answered_at": now_ms(), "answer": said}
    if not connection.execute(
        update(requests).where(*_one(tenant, key), _C.state == "waiting").values(**values)
    ).rowcount:
        return False
    record(connection, [Event(who, f"request-{state}", tenant, *key, {"answer": said})])
    return True


def requests_of(connection: Connection, tenant: str, *, waiting: bool = True, most: int = 1000) -> list[Request]:
    """Return requests, the oldest first."""
    query = select(requests).where(_C.tenant == tenant).order_by(_C.asked_at).limit(most)
    if waiting:
        query = query.where(_C.state == "waiting")
    return [_request(row) for row in connection.execute(query)]


def request_for(connection: Connection, tenant: str, key: Key) -> Request | None:
    row = connection.execute(select(requests).where(*_one(tenant, key))).first()
    return _request(row) if row else None


def _one(tenant: str, key: Key) -> tuple[Any, ...]:
    return (_C.tenant == tenant, _C.message == key.message, _C.recipient == key.recipient)


def _request(row: Any) -> Request:
    return Request(
        Key(row.message, row.recipient), row.asked_by, row.asked_at, row.reason, row.state,
        row.answered_by or "", row.answered_at or 0, row.answer or "",
    )  # fmt: skip
