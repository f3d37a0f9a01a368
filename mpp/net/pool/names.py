"""The addresses behind the names of servers, each of them a server of its own, asked for again as they expire.

For the pool. While a name cannot be resolved its last addresses stay in use.
"""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from mpp.net.connect import Server

Resolve = Callable[[str], Awaitable[tuple[tuple[str, ...], float]]]  # a name's addresses, and for how long they hold
SHORTEST_S, LONGEST_S = 5.0, 60.0
AGAIN_FIRST_S, AGAIN_MOST_S = 0.5, 10.0  # after a failure


def is_name(server: Server) -> bool:
    """True where DNS has to be asked."""
    if server.path or not server.host:
        return False
    try:
        ip_address(server.host)
    except ValueError:
        return True
    return False


def servers_at(server: Server, addresses: tuple[str, ...]) -> tuple[Server, ...]:
    """Return a server for each address, with names that tell them apart."""
    return tuple(server._replace(name=f"{server.name}@{address}", address=address) for address in sorted(addresses))


async def system_resolve(name: str) -> tuple[tuple[str, ...], float]:
    """Ask the system. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=1)
    return tuple({str(address[0]) for *_, address in found}), LONGEST_S / 2


async def follow(server: Server, resolve: Resolve, tell: Callable[[Server, tuple[str, ...], str], None]) -> None:
    """Tell the addresses of a server's name, now and whenever they may have changed; or why there are none."""
    again = AGAIN_FIRST_S
    while True:
        try:
            addresses, ttl = await resolve(server.host)
        except OSError as error:
            tell(server, (), str(error))
            await asyncio.sleep(again)
            again = min(again * 2, AGAIN_MOST_S)
            continue
        tell(server, addresses, "" if addresses else f"{server.host} has no address")
        again = AGAIN_FIRST_S
        await asyncio.sleep(min(max(ttl, SHORTEST_S), LONGEST_S))
