"""What the background processes did last and what they miss, as they write it into the catalog: asked by `mpp check`, and by those that come after them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from mpp.gateway.alarms import CURES, Alarm
from mpp.gateway.assembly import hostname_of
from mpp.gateway.settings import Settings
from mpp.gateway.silence import of_task, words
from mpp.mail.escape import printable
from mpp.settings.problem import Problem
from mpp.store.catalog import Catalog
from mpp.store.errors import StoreError
from mpp.store.opening import open_store_catalog
from mpp.store.schema import nodes

GONE_S = 7 * 86400.0  # another node that has said nothing for so long was taken away
_PATH = ("store",)


@dataclass(frozen=True, slots=True)
class Done:
    """One task of one node."""

    name: str
    error: str  # of the last run, "" where that was well
    last_ms: int = 0  # when it was last done well; 0: never


@dataclass(frozen=True, slots=True)
class Work:
    """What the background process of one node says."""

    node: str
    seen_ms: int  # when it last said anything
    done: tuple[Done, ...]
    silent: tuple[Alarm, ...]


def background(settings: Settings, now: float) -> Iterator[Problem]:
    """Tasks that fail, alarms for silence, processes that say nothing; nothing where the gateway has never run here."""
    try:
        catalog = open_store_catalog(settings.node.data, settings.store)
    except (StoreError, OSError):
        return  # what is wrong with the store is told by who looks at the store
    try:
        told = work(catalog)
    except StoreError as error:
        yield Problem(_PATH, f"the catalog cannot be read: {printable(str(error), 300)}", "see that it runs", "warning")
        return
    finally:
        catalog.close()
    for each in told:
        yield from _problems(each, settings, now)


def _problems(told: Work, settings: Settings, now: float) -> Iterator[Problem]:
    node, seen = printable(told.node, 100), told.seen_ms / 1000
    silent = of_task(seen, 0.0, now, settings.silence.background)
    if silent is None:
        for alarm in told.silent:
            what = f"has an alarm of node {node}: {printable(alarm.text, 500)}"
            yield Problem(("silence", alarm.of), what, CURES[alarm.of], "warning")
    elif told.node == hostname_of(settings) or silent.seconds < GONE_S:
        what = f"has an alarm: the background process of node {node} has said nothing for {words(silent.seconds)}"
        yield Problem(("silence", "background"), what, "start the gateway there, or see its log", "warning")
    for each in told.done:
        if each.error:
            what = f"background task {each.name} of node {node} fails: {printable(each.error, 300)}"
            yield Problem(_PATH, what, "mend the cause; it is tried again by itself", "warning")


def work(catalog: Catalog) -> list[Work]:
    """Return what the nodes have written. Raises CatalogError."""
    with catalog.read() as connection:
        rows = connection.execute(select(nodes)).all()
    return [_work(row.name, row.seen, json.loads(row.work)) for row in rows]


def _work(node: str, seen_ms: int, told: dict[str, Any]) -> Work:
    done = tuple(Done(name, about["error"], about.get("last", 0)) for name, about in told.get("tasks", {}).items())
    return Work(node, seen_ms, done, tuple(Alarm(**each) for each in told.get("silent", ())))
