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

    __slots__ = ("complete", "give_way", "network", "octets")

    def __init__(self, network: str, give_way: Callable[[], None]) -> None:
        self.network = network
        self.give_way = give_way
        self.octets = 0
        self.complete = False  # all of the message is there and worked at: it no longer gives way


class Budget:
    def __init__(self, octets: int) -> None:
        self.limit = octets
        self.used = 0
        self._by_network: dict[str, int] = {}
        self._arriving: dict[Reservation, None] = {}  # those that may give way, in order of their start

    def grow(self, reservation: Reservation, octets: int, *, exempt: bool) -> bool:
        """Set what `reservation` holds; False where it had to give way itself (it then holds nothing).

        `exempt` clients (trusted, proxies) know no limit by network.
        """
        if octets == reservation.octets:
            return True
        self._hold(reservation, octets - reservation.octets)
        if self.used <= self.limit >> 2:  # then nobody holds too much
            return True
        while reservation.octets and (newest := self._too_much(reservation.network, exempt)) is not None:
            self.release(newest)
            newest.give_way()
        return reservation.octets == octets

    def _too_much(self, network: str, exempt: bool) -> Reservation | None:
        """Return who must give way now, if anybody: the newest of all, or of a network that holds too much."""
        if self.used > self.limit:
            return next(reversed(self._arriving), None)
        if not exempt and self._by_network[network] > self.limit >> 2:
            return next((held for held in reversed(self._arriving) if held.network == network), None)
        return None

    def complete(self, reservation: Reservation) -> None:
        """The message is there: what is being worked at is not thrown away."""
        reservation.complete = True
        self._arriving.pop(reservation, None)

    def release(self, reservation: Reservation) -> None:
        reservation.complete = False
        if reservation.octets:
            self._hold(reservation, -reservation.octets)

    def _hold(self, reservation: Reservation, more: int) -> None:
        reservation.octets += more
        self.used += more
        network = reservation.network
        self._by_network[network] = held = self._by_network.get(network, 0) + more
        if not held:
            del self._by_network[network]
        if not reservation.octets:
            self._arriving.pop(reservation, None)
        elif not reservation.complete:
            self._arriving[reservation] = None  # its place in the order stays that of its start
