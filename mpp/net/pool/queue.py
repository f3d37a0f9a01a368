"""Who waits for a place: what must go first, then a fair turn for each tenant.

For the dispatcher. A ticket given back or copied goes before all others; among the rest the tenants take turns, each in
the order of arrival, so that a flood for one does not starve another.
"""

from collections import deque
from collections.abc import Iterator

from mpp.net.pool.ticket import Ticket


class FairQueue:
    def __init__(self) -> None:
        self._first: deque[Ticket] = deque()
        self._turns: dict[str, deque[Ticket]] = {}  # in the order of whose turn it is; no tenant without a ticket
        self._arrivals: dict[Ticket, None] = {}  # all who wait, the one that came first at the head

    def __len__(self) -> int:
        return len(self._arrivals)

    def __iter__(self) -> Iterator[Ticket]:
        return iter(list(self._arrivals))

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket in self._arrivals

    def push(self, ticket: Ticket, *, first: bool = False) -> None:
        self._arrivals[ticket] = None
        if first:
            self._first.append(ticket)
        else:
            self._turns.setdefault(ticket.asking.tenant, deque()).append(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Take a ticket out: it has its place, or no longer wants one."""
        if ticket not in self._arrivals:
            return
        del self._arrivals[ticket]
        if ticket in self._first:
            self._first.remove(ticket)
            return
        tenant = ticket.asking.tenant
        tickets = self._turns.pop(tenant)  # it has had its turn
        tickets.remove(ticket)
        if tickets:
            self._turns[tenant] = tickets

    def oldest(self) -> float | None:
        """Return when the one at the head of all arrived, None where nobody waits."""
        return next(iter(self._arrivals)).arrived if self._arrivals else None

    def first(self) -> list[Ticket]:
        """Return what goes before the turns, in order; each may be barred from some servers."""
        return list(self._first)

    def next(self) -> Ticket | None:
        """Return the one whose turn it is."""
        return next(iter(self._turns.values()))[0] if self._turns else None
