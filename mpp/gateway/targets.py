"""From a route and a domain to the hosts to connect to, best first (settings: routes).

Fixed hosts are known at once; MX is asked from DNS. Two recipients belong into one transaction where their targets are
equal. Raises DnsError where the domain's servers cannot be found, and OSError at
construction where a table of recipients cannot be read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mpp.gateway.hop import HopSettings
from mpp.gateway.replies import greeting
from mpp.gateway.settings import Route, Settings
from mpp.gateway.tables import RecipientTable
from mpp.net.dns import Resolver
from mpp.settings.values import Endpoint


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Where a recipient's copy goes. Compared by identity: one object a route, or a route and domain."""

    route: Route
    hosts: tuple[HopSettings, ...]
    name: str  # for logs: the first host
    recipients: RecipientTable | None = None  # who exists, asked instead of the hosts


class Targets:
    def __init__(self, settings: Settings, hostname: str, resolver: Resolver) -> None:
        self._hostname, self._instance, self._resolver = hostname, settings.node.instance, resolver
        self._tables = {
            route.recipients: RecipientTable(Path(route.recipients.removeprefix("file:")))
            for route in settings.routes
            if route.recipients
        }
        self._fixed = {id(route): self._target(route, route.hosts) for route in settings.routes if not route.mx}
        self._by_domain: dict[tuple[int, tuple[str, ...]], Target] = {}

    def fixed(self, route: Route) -> Target | None:
        """Return the target of a route with hosts; None where DNS has to be asked."""
        return self._fixed.get(id(route))

    async def by_mx(self, route: Route, domain: str) -> Target:
        """Return the target of a domain by its MX; an address literal is its own host."""
        hosts: tuple[str, ...]
        if domain.startswith("["):
            hosts = (domain.strip("[]").removeprefix("ipv6:"),)
        else:
            hosts = await self._resolver.mail_hosts(domain)
        target = self._by_domain.get((id(route), hosts))
        if target is None:
            if len(self._by_domain) > 10_000:
                self._by_domain.clear()
            target = self._target(route, tuple(Endpoint("smtp", host, 25) for host in hosts))
            self._by_domain[id(route), hosts] = target
        return target

    def all_fixed(self) -> list[Target]:
        return list(self._fixed.values())

    def _target(self, route: Route, endpoints: tuple[Endpoint, ...]) -> Target:
        hosts = tuple(self._host(route, endpoint) for endpoint in endpoints)
        return Target(route, hosts, str(endpoints[0]) if endpoints else "", self._tables.get(route.recipients))

    def _host(self, route: Route, endpoint: Endpoint) -> HopSettings:
        tls: Literal["none", "may", "must", "verify"] = "none" if endpoint.path else route.tls
        return HopSettings(
            endpoint,
            tls,
            endpoint.host,
            self._hostname,
            route.connect_timeout,
            route.timeout,
            route.connections,
            greeting(self._hostname, self._instance, lmtp=endpoint.protocol == "lmtp"),
        )
