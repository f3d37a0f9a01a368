"""Questions for addresses of many names, as DNS lists are asked: a cache, one question for many who wait, few at a time.

For mpp.checks.reputation. What is not there is remembered too. Raises DnsError where DNS gave no answer: that is never "not
listed". Made within a running loop.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import aiodns
from pycares import ARecordData, errno

from mpp.net.dns import DnsError
from mpp.net.questions import Questions

MOST = 50_000  # names kept
AT_A_TIME = 200  # questions on their way
LONGEST_S, SHORTEST_S, ABSENT_S = 3600.0, 10.0, 60.0
_NOTHING = (errno.ARES_ENODATA, errno.ARES_ENOTFOUND)

Addresses = tuple[str, ...]


class Lookups:
    """`servers` as "ADDRESS" or "ADDRESS:PORT"; none: those of the system."""

    def __init__(self, servers: Sequence[str] = (), *, timeout_s: float = 2.0) -> None:
        self._questions = Questions(servers, timeout_s)
        self._known: OrderedDict[str, tuple[float, Addresses]] = OrderedDict()  # until when; the oldest first
        self._places = asyncio.Semaphore(AT_A_TIME)

    def known(self, name: str) -> Addresses | None:
        """Return the answer where it is known; () says that there is none."""
        found = self._known.get(name)
        return found[1] if found is not None and found[0] > asyncio.get_running_loop().time() else None

    async def addresses(self, name: str) -> Addresses:
        """Return the IPv4 addresses of a name, none where it does not exist. Raises DnsError."""
        if (found := self.known(name)) is not None:
            return found
        return await self._questions.ask(self._ask, name)

    async def _ask(self, name: str) -> Addresses:
        lifetime = ABSENT_S
        found: Addresses = ()
        try:
            async with self._places:
                answer = (await self._questions.resolver.query_dns(name, "A")).answer
        except aiodns.error.DNSError as error:
            if error.args[0] not in _NOTHING:
                raise DnsError(f"{name}: {error.args[-1]}", temporary=True) from error
        else:
            records = [(record.data.addr, record.ttl) for record in answer if isinstance(record.data, ARecordData)]
            found = tuple(sorted(address for address, _ in records))
            if records:
                lifetime = min(max(min(ttl for _, ttl in records), SHORTEST_S), LONGEST_S)
        self._known[name] = asyncio.get_running_loop().time() + lifetime, found
        self._known.move_to_end(name)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return found
