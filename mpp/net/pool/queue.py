"""Who waits for a place: what must go first, then a fair turn for each tenant.

For the dispatcher. A ticket given back or copied goes before all others; among the rest the tenants take turns, each in
the order of arrival, so that a flood for one does not starve another.
"""

from collections import deque
from collections.abc import Iterator

from mpp.net.pool.ticket import Ticket


class FairQueue(dict[Ticket, None]):
    """The keys are all who wait, the one that came first at the head."""

    def __init__(self) -> None:
        super().__init__()
        self._first: deque[Ticket] = deque()
        self._turns: dict[str, deque[Ticket]] = {}  # in the order of whose turn it is; no tenant without a ticket

    def push(self, ticket: Ticket, *, first: bool = False) -> None:
        self[ticket] = None
        if first:
            self._first.append(ticket)
        else:
            self._turns.setdefault(ticket.asking.tenant, deque()).append(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Take a ticket out: it has its place, or no longer wants one."""
        if ticket not in self:
            return
        del self[ticket]
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
        return next(iter(self)).arrived if self else None

    def first(self) -> list[Ticket]:
        """Return what goes before the turns, in order; each may be barred from some servers."""
        return list(self._first)

    def in_order(self) -> Iterator[Ticket]:
        """Yield who is to go, each once, while tickets are taken out."""
        yield from self.first()
        while (turn := self.next()) is not None:
            yield turn
            if turn in self:
                return  # it was not taken, so nobody behind it is

    def next(self) -> Ticket | None:
        """Return the one whose turn it is."""
        return next(iter(self._turns.values()))[0] if self._turns else None
