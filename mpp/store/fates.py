"""What the event log says became of each copy, and which rows of a catalog do not know it: that is an old copy of itself, put back after a loss.

Every change of a copy is one transaction with its event, so a row that says something else than the last event about it is older than that.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from mpp.store.journal import Told
from mpp.store.quarantine_query import Key
from mpp.store.schema import copies, events

# What an event makes of a copy.
STATES = {"released": "released", "release-unknown": "unknown", "deleted": "deleted", "expired": "expired"}
# What is so is never released again. A process may still be told to have been lost over it, by whoever went on with an old catalog.
FINAL = frozenset({"released", "deleted", "expired"})
HOLDS = {"hold": True, "hold-released": False}


@dataclass(slots=True)
class Fate:
    """The values of a copy's row that events made, the number of the last of these, and when its state was made."""

    values: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    ended: int = 0


Fates = Mapping[tuple[str, str], Mapping[str, Fate]]  # by recipient, by tenant and message


def fates(told: Iterable[Told]) -> Fates:
    """Return what became of each copy of which events tell, given in their order."""
    found: dict[tuple[str, str], dict[str, Fate]] = {}
    for event in told:
        if event.action in STATES or event.action in HOLDS:
            fate = found.setdefault((event.tenant, event.message), {}).setdefault(event.recipient, Fate())
            fate.number = event.number
            if event.action in HOLDS:
                fate.values["on_hold"] = HOLDS[event.action]
            elif event.action != "release-unknown" or fate.values.get("state") not in FINAL:
                fate.values["state"] = STATES[event.action]
                fate.ended = event.at
    return found


def outdated(connection: Connection, known: Fates) -> Iterator[tuple[str, Key, dict[str, Any]]]:
    """Yield tenant, copy and right values of each row that is older than the last event about it."""
    if not known:
        return
    c = copies.c
    every = select(c.tenant, c.message, c.recipient, c.state, c.on_hold, c.changed)
    rows = connection.execute(every.execution_options(yield_per=1000))
    wrong = [
        (row.tenant, Key(row.message, row.recipient), fate.number, values)
        for row in rows
        if (fate := known.get((row.tenant, row.message), {}).get(row.recipient)) and (values := _other(row, fate))
    ]
    for tenant, key, number, values in wrong:
        if not _told_since(connection, tenant, key, number):
            yield tenant, key, values


def _other(row: Any, fate: Fate) -> dict[str, Any]:
    """Return the values that events made otherwise than the row has them. Of a release that began after them the event is still to come."""
    goes_on = row.state == "releasing" and fate.ended < row.changed
    return {
        name: value
        for name, value in fate.values.items()
        if getattr(row, name) != value and not (name == "state" and goes_on)
    }


def _told_since(connection: Connection, tenant: str, key: Key, number: int) -> bool:
    """True where a gateway that runs has changed the copy since `known` was read."""
    e = events.c
    newer = select(e.number).where(e.tenant == tenant, e.message == key.message, e.recipient == key.recipient)
    return connection.scalar(newer.where(e.number > number, e.action.in_([*STATES, *HOLDS])).limit(1)) is not None
