"""Is a client's address in a list of networks? Asked for every connection; answers are cached."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address

from mpp.settings.values import Network


def matcher(networks: Sequence[Network]) -> Callable[[str], bool]:
    """Return a function that says whether an address ("" for a unix socket: never) lies in one of the networks."""

    @lru_cache(4096)
    def matches(address: str) -> bool:
        if not address:
            return False
        ip = ip_address(address)
        mapped = getattr(ip, "ipv4_mapped", None)
        return any(candidate in network for network in networks for candidate in (ip, mapped) if candidate is not None)

    return matches
