"""DNS questions with a cache that honours TTLs, one question for many who wait (RFC 1035, 5321 section 5.1, 7505).

Called by the gateway's targets and by pools of scanners. Raises DnsError: `temporary` says whether asking again later may help.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import aiodns
from pycares import MXRecordData, errno

from mpp.net.questions import Questions

MOST = 20_000  # names kept
LONGEST_S, SHORTEST_S = 3600.0, 5.0
_NOTHING = {errno.ARES_ENODATA, errno.ARES_ENOTFOUND}


class DnsError(OSError):
    def __init__(self, cause: str, *, temporary: bool) -> None:
        super().__init__(cause)
        self.temporary = temporary


@dataclass(frozen=True, slots=True)
class _Known:
    expires: float
    hosts: tuple[str, ...]


class Resolver:
    """`servers` as "ADDRESS" or "ADDRESS:PORT"; none: those of the system. Made within a running loop."""

    def __init__(self, servers: Sequence[str] = (), *, timeout_s: float = 5.0) -> None:
        self._questions = Questions(servers, timeout_s)
        self._known: dict[str, _Known] = {}

    async def mail_hosts(self, domain: str) -> tuple[str, ...]:
        """Return the hosts that take mail for a domain, best first: its MX, or the domain itself where it has none.

        Raises DnsError: temporary where DNS failed; permanent where the domain does not exist or wants no mail (null MX).
        """
        known = self._known.get(domain)
        if known is not None and known.expires > asyncio.get_running_loop().time():
            return known.hosts
        return await self._questions.ask(self._ask, domain)

    async def addresses(self, name: str) -> tuple[tuple[str, ...], float]:
        """Return the addresses of a host, by the system's table of hosts or DNS, and for how many seconds they hold.

        Not cached: who asks asks again when they expire. Raises DnsError.
        """
        return await self._questions.ask(self._addresses, name)

    async def _addresses(self, name: str) -> tuple[tuple[str, ...], float]:
        try:
            nodes = (await self._questions.resolver.getaddrinfo(name)).nodes
        except aiodns.error.DNSError as error:
            gone = error.args[0] in _NOTHING
            raise DnsError(
                f"{name} does not exist" if gone else f"{name}: {error.args[-1]}", temporary=not gone
            ) from error
        found = {node.addr[0].decode() for node in nodes}
        return tuple(sorted(found)), float(min((node.ttl for node in nodes), default=0))

    async def _ask(self, domain: str) -> tuple[str, ...]:
        ttl = LONGEST_S
        try:
            answer = (await self._questions.resolver.query_dns(domain, "MX")).answer
            records = [(record.data, record.ttl) for record in answer if isinstance(record.data, MXRecordData)]
            ttl = min((float(ttl) for _, ttl in records), default=LONGEST_S)
            records.sort(key=lambda record: record[0].priority)
            hosts = tuple(data.exchange.rstrip(".") for data, _ in records)
        except aiodns.error.DNSError as error:
            if error.args[0] == errno.ARES_ENODATA:
                hosts = ()
            elif error.args[0] in _NOTHING:
                raise DnsError(f"{domain} does not exist", temporary=False) from None
            else:
                raise DnsError(f"{domain}: {error.args[-1]}", temporary=True) from error
        if hosts == ("",):
            raise DnsError(f"{domain} accepts no mail (null MX)", temporary=False)
        hosts = hosts or (domain,)  # RFC 5321, 5.1: the implicit MX
        if len(self._known) >= MOST:
            self._known.clear()
        lifetime = min(max(ttl, SHORTEST_S), LONGEST_S)
        self._known[domain] = _Known(asyncio.get_running_loop().time() + lifetime, hosts)
        return hosts
