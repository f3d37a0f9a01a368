"""Where a recipient's mail goes and which policy holds: all of RCPT's answer that the settings alone decide.

Relay control, route and policy (design section 3). Pure over one settings value, so answers are kept: a gateway sees the
same few addresses all day. What changes from one message to the next (the memo, whether the recipient exists, who came
before in the transaction) is for mpp.gateway.recipients.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from mpp.gateway import replies
from mpp.gateway.routes import RouteTable
from mpp.gateway.settings import Route
from mpp.gateway.targets import Target, Targets
from mpp.mail.address import AddressError, parse_address
from mpp.protocols.smtp.reply import Reply
from mpp.verdict.policy import Policy
from mpp.verdict.select import PolicySelector

Direction = Literal["inbound", "outbound", "internal"]

_KEPT = 4096  # answers; a flood of made-up addresses must not grow the table


def direction_of(trusted: bool, route: Route) -> Direction:
    """Return the way of a mail from such a client by such a route."""
    if not trusted:
        return "inbound"
    return "internal" if route.ours else "outbound"


@dataclass(frozen=True, slots=True, eq=False)
class Destination:
    """One recipient, as far as the settings know it."""

    address: str  # as the next hop is told it
    domain: str  # as the DNS has it
    route: Route
    target: Target | None  # None: MX has to be asked for
    policy: tuple[str, Policy]
    certain: bool  # postmaster of a domain of ours: taken without a question


class Destinations:
    def __init__(self, routes: RouteTable, targets: Targets, policies: PolicySelector, *, relay_all: bool) -> None:
        self._routes, self._targets, self._policies, self._relay_all = routes, targets, policies, relay_all
        self.find = lru_cache(_KEPT)(self._find)

    def _find(self, text: str, listener: str, trusted: bool) -> Destination | Reply:
        """Return the destination of an address, or the refusal of a client that may not send there."""
        try:
            address = parse_address(text)
        except AddressError:
            return replies.BAD_ADDRESS
        route = self._routes.find(address)
        if route is None and not address.domain:
            return replies.NO_RECIPIENT  # postmaster alone, and no domain of ours to be the postmaster of
        if not (trusted or self._relay_all) and (route is None or not route.ours or address.routed):
            return replies.RELAY
        if route is None:
            return replies.NO_ROUTE
        deliverable = self._routes.deliverable(address)
        return Destination(
            address=deliverable,
            domain=address.ascii_domain,
            route=route,
            target=self._targets.fixed(route),
            policy=self._policies.choose(listener, deliverable, direction_of(trusted, route)),
            certain=route.ours and address.local.lower() == "postmaster",
        )
