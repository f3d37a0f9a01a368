"""The memory that messages in work may take in this process (settings: memory.in_flight; design section 3).

Octets are reserved as they arrive. When the budget, or the quarter of it that one client network may hold, is full,
the newest transaction gives way: the oldest always makes progress, so a crowd of large mails cannot starve itself.
Sizes in octets. Used by one event loop: no locks.
"""

from collections.abc import Callable
from ipaddress import ip_address


def client_network(address: str) -> str:
    """Return the /24 or /64 of a client as text, the unit that budgets and host limits count by."""
    if not address:
        return "local"
    if "." in address and ":" not in address:
        return address.rpartition(".")[0]
    return ip_address(address).exploded[:19]


class Reservation:
    """What one transaction holds. `give_way` is called when it must let go; its octets count until `release`."""

    __slots__ = ("give_way", "network", "octets")

    def __init__(self, network: str, give_way: Callable[[], None]) -> None:
        self.network = network
        self.give_way = give_way
        self.octets = 0


class Budget:
    def __init__(self, octets: int) -> None:
        self.limit = octets
        self.used = 0
        self._by_network: dict[str, int] = {}
        self._held: dict[Reservation, None] = {}  # in order of their start

    def grow(self, reservation: Reservation, octets: int, *, exempt: bool) -> bool:
        """Set what `reservation` holds; False where it had to give way itself (it then holds nothing).

        `exempt` clients (trusted, proxies) know no limit by network.
        """
        more = octets - reservation.octets
        self._hold(reservation, more)
        quarter = self.limit >> 2
        while reservation.octets:
            if self.used > self.limit:
                newest = next(reversed(self._held))
            elif not exempt and self._by_network[reservation.network] > quarter:
                newest = next(held for held in reversed(self._held) if held.network == reservation.network)
            else:
                return True
            self.release(newest)
            newest.give_way()
        return octets == 0

    def release(self, reservation: Reservation) -> None:
        if reservation.octets:
            self._hold(reservation, -reservation.octets)

    def _hold(self, reservation: Reservation, more: int) -> None:
        reservation.octets += more
        self.used += more
        network = self._by_network.get(reservation.network, 0) + more
        if network:
            self._by_network[reservation.network] = network
        else:
            self._by_network.pop(reservation.network, None)
        if reservation.octets:
            self._held.setdefault(reservation)
        else:
            self._held.pop(reservation, None)
