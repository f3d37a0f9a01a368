"""The pools of a worker by name: they outlive a revision of the settings, with all that they have learned."""

import asyncio
import os
from collections.abc import Callable, Collection

from mpp.net.pool.asking import Probe
from mpp.net.pool.member import Member
from mpp.net.pool.names import Resolve, system_resolve
from mpp.net.pool.node import SharedNode
from mpp.net.pool.places import LocalNode
from mpp.net.pool.pool import Pool, PoolSettings
from mpp.net.table import SlotWriter

Tell = Callable[[str, Member], None]


class Pools:
    """Hands out one pool for each name. `table` makes them share places and news with the other workers of the node."""

    def __init__(
        self,
        table: SlotWriter | None = None,
        resolve: Resolve = system_resolve,
        tell: Tell = lambda pool, member: None,
    ) -> None:
        self._table, self._resolve, self._tell = table, resolve, tell
        self._pools: dict[str, Pool] = {}

    def pool(self, name: str, settings: PoolSettings, probe: Probe) -> Pool:
        """Return the pool of this name. `probe` asks a server that did not answer whether it does again."""
        pool = self._pools.get(name)
        if pool is not None:
            pool.configure(settings, probe)
            return pool
        node = SharedNode(self._table, name) if self._table else LocalNode()
        pool = Pool(settings, probe, node, resolve=self._resolve, tell=lambda member: self._tell(name, member))
        self._pools[name] = pool
        return pool

    def keep(self, names: Collection[str]) -> None:
        """Close the pools that a new revision no longer has."""
        for name in self._pools.keys() - set(names):
            self._pools.pop(name).close()

    def listen(self) -> None:
        """Hear the other workers ring. To be called within the running loop."""
        if self._table:
            bell = self._table.table.exclusive.bells[self._table.slot]
            asyncio.get_running_loop().add_reader(bell, self._rung, bell)

    def _rung(self, bell: int) -> None:
        try:
            os.eventfd_read(bell)
        except BlockingIOError:
            return
        for pool in self._pools.values():
            pool.look()
