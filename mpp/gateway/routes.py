"""Which route serves a recipient's domain, and who may relay there (settings: routes; design section 3, relay control).

Pure lookups over one settings value; answers are cached because domains repeat. The most specific route wins:
the domain itself, then ".parent" of the nearest parent, then "*".
"""

from mpp.gateway.settings import Route, Settings
from mpp.mail.address import Address

_CACHED = 4096  # domains; a flood of made-up ones must not grow the table


class RouteTable:
    def __init__(self, settings: Settings) -> None:
        self._exact: dict[str, Route] = {}
        for route in settings.routes:
            for domain in route.domains:
                self._exact.setdefault(domain.lower(), route)
        self._cache: dict[str, Route | None] = {}
        self._first = next(
            (
                domain
                for route in settings.routes
                if route.ours
                for domain in route.domains
                if domain != "*" and not domain.startswith(".")
            ),
            "",
        )

    def find(self, address: Address) -> Route | None:
        """Return the route of an address; `<postmaster>` without a domain goes to the first domain of ours.

        That is one written as it is, since ".example.org" names no domain; where there is none, nobody takes it.
        """
        domain = address.ascii_domain or self._first
        if not domain:
            return None
        try:
            return self._cache[domain]
        except KeyError:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            return self._cache.setdefault(domain, self._search(domain))

    def _search(self, domain: str) -> Route | None:
        if domain in self._exact:
            return self._exact[domain]
        parent = domain
        while parent and not domain.startswith("["):
            _, _, parent = parent.partition(".")
            if parent and "." + parent in self._exact:
                return self._exact["." + parent]
        return self._exact.get("*")

    def deliverable(self, address: Address) -> str:
        """Return the address as the next hop is told it: `postmaster` alone gets the first domain of ours."""
        return address.text if address.domain or not self._first else f"{address.text}@{self._first}"
