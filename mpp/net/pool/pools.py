"""The pools of a worker by name: they outlive a revision of the settings, with all that they have learned."""

from collections.abc import Sequence

from mpp.net.connect import Server
from mpp.net.pool.asking import Probe
from mpp.net.pool.pool import Pool


class Pools:
    """Hands out one pool for each name and list of servers."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, tuple[Server, ...], int], Pool] = {}

    def pool(self, name: str, servers: Sequence[Server], connections: int, probe: Probe) -> Pool:
        """Return the pool of this name. `probe` asks a server that did not answer whether it does again."""
        key = (name, tuple(servers), connections)
        if key not in self._pools:
            self._pools[key] = Pool(servers, connections=connections)
        return self._pools[key]
