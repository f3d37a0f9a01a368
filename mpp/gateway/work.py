"""What the background processes did last, as they write it into the catalog: asked by `mpp check`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from mpp.gateway.settings import Settings
from mpp.mail.escape import printable
from mpp.settings.problem import Problem
from mpp.store.catalog import Catalog
from mpp.store.errors import StoreError
from mpp.store.opening import open_store_catalog
from mpp.store.schema import nodes

LATE_S = 900.0  # a task that has not run for so long while its process lives
_PATH = ("store",)


@dataclass(frozen=True, slots=True)
class Done:
    """One task of one node."""

    node: str
    seen_ms: int  # when its process last said anything
    task: str
    last_ms: int  # when it last was done well; 0: never
    error: str  # of the last run, "" where that was well


def background(settings: Settings, now: float) -> Iterator[Problem]:
    """Tasks that fail, and those that are not done; nothing where the gateway has never run here."""
    try:
        catalog = open_store_catalog(settings.node.data, settings.store)
    except (StoreError, OSError):
        return  # what is wrong with the store is told by who looks at the store
    try:
        done = work(catalog)
    except StoreError as error:
        yield Problem(_PATH, f"the catalog cannot be read: {printable(str(error), 300)}", "see that it runs", "warning")
        return
    finally:
        catalog.close()
    for each in done:
        whose = f"background task {each.task} of node {printable(each.node, 100)}"
        if each.error:
            what = f"{whose} fails: {printable(each.error, 300)}"
            yield Problem(_PATH, what, "mend the cause; it is tried again by itself", "warning")
        elif each.seen_ms / 1000 > now - LATE_S > each.last_ms / 1000 > 0:
            yield Problem(
                _PATH, f"{whose} was last done {now - each.last_ms / 1000:.0f} s ago", "see its log", "warning"
            )


def work(catalog: Catalog) -> list[Done]:
    """Return what the nodes have written. Raises CatalogError."""
    with catalog.read() as connection:
        rows = connection.execute(select(nodes)).all()
    return [
        Done(row.name, row.seen, task, about["last"], about["error"])
        for row in rows
        for task, about in json.loads(row.work).items()
    ]
