"""What a worker keeps from the catalog: the allow and block lists, looked at every few seconds in a thread of its own turn.

Mail never waits for it. Where the catalog is away the lists known last hold on; that is logged once, and when it is over.
"""

import asyncio
from collections.abc import Callable, Sequence

from mpp.gateway.log import event as log
from mpp.gateway.settings import Settings
from mpp.store.errors import StoreError
from mpp.store.lists import KnownLists
from mpp.store.opening import open_store_catalog

EVERY_S = 2.0


def known_lists(settings: Settings) -> KnownLists:
    """Return the lists as they were known last on this node."""
    data, store = settings.node.data, settings.store
    lists = KnownLists(lambda: open_store_catalog(data, store), data)
    try:
        lists.begin()
    except (OSError, ValueError, KeyError, TypeError) as error:
        log(
            "error",
            "lists.unread",
            cause=f"{type(error).__name__}: {error}",
            cure="they are read from the catalog again",
        )
    return lists


async def watch(lists: KnownLists, tenants: Callable[[], Sequence[str]], revised: Callable[[], object]) -> None:
    """Keep them up to date, until cancelled; `revised` is called where there is a new revision of the settings."""
    away, revision = False, -1
    try:
        while True:
            try:
                if await asyncio.to_thread(lists.refresh, tenants()):
                    log("info", "lists.taken")
                if lists.revision != revision >= 0:
                    revised()
                revision = lists.revision
                if away:
                    log("info", "lists.back")
                away = False
            except (StoreError, OSError, ValueError) as error:
                if not away:
                    log("warning", "lists.away", cause=str(error), cure="the lists known last hold on")
                away = True
            await asyncio.sleep(EVERY_S)
    finally:
        lists.close()
