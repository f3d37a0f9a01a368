"""The open connections to all next hops of this worker: kept, counted, swept; a dead host is known as dead.

Called by mpp.gateway.delivery and mpp.gateway.asking, each with a pool of its own, so that refusals heard while
asking never use up the patience of a delivering connection. Raises HopError when no host of a route answers.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from mpp.gateway.hop import Hop, HopError, HopSettings
from mpp.net.connect import connect_protocol

DEAD_S = 1.0  # a host that could not be reached is left alone so long; then one connection tries it
MOST = 1000  # hosts remembered while there is no connection to them; the oldest go first
_NEARLY_S = 0.05  # timers are so exact
IDLE_S = 10.0  # Postfix under stress closes after 10 s; a connection kept longer would only be found closed


@dataclass(slots=True)
class _Host:
    """The connections to one host, from this worker."""

    idle: list[Hop] = field(default_factory=list)
    open: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    dead_until: float = 0.0
    cause: str = ""
    trying: bool = False
    extensions: dict[str, str] | None = None  # as last seen

    @property
    def dead(self) -> bool:
        """Not to be tried now: not reached a moment ago, or somebody is trying."""
        return bool(self.dead_until) and (self.trying or time.monotonic() < self.dead_until)


class Hops:
    def __init__(self, context_for: Callable[[str], ssl.SSLContext | None], *, most: int | None = None) -> None:
        self.context_for = context_for  # TLS policy -> context, None for "none"; a reload sets another
        self._most = most  # connections to one host; None: as the route says
        self._hosts: dict[HopSettings, _Host] = {}
        self._busy: dict[Hop, _Host] = {}

    def seen_extensions(self, hosts: Sequence[HopSettings]) -> dict[str, str] | None:
        """Return what the first known of the hosts offered in its last EHLO, None where none was ever reached."""
        for settings in hosts:
            host = self._hosts.get(settings)
            if host is not None and host.extensions is not None:
                return host.extensions
        return None

    async def acquire(self, hosts: Sequence[HopSettings], deadline: float, *, fresh: bool = False) -> Hop:
        """Return a ready connection to the first host that can be reached; the caller owes a `release`.

        `fresh`: not one that was kept (the last one was found closed). Raises HopError where no host answers in time.
        """
        hop = None if fresh else self.kept(hosts)
        return hop or await self._open_any(hosts, deadline, fresh)

    def release(self, hop: Hop) -> None:
        """Take a connection back: kept where its conversation is at rest, else closed."""
        host = self._busy[hop]
        if hop.closed or not hop.codec.at_rest:
            hop.quit()
            self._leave(host, hop)
            return
        del self._busy[hop]
        hop.idle_since = time.monotonic()
        host.idle.append(hop)
        if host.waiting:
            self._wake(host)

    def distrust(self, hop: Hop, cause: str) -> None:
        """A fresh connection ended before it took a message: leave the host alone for a moment, others come first."""
        host = self._busy[hop]
        host.cause, host.dead_until = cause, time.monotonic() + DEAD_S

    def kept(self, hosts: Sequence[HopSettings]) -> Hop | None:
        """Return an open connection that waits for work, as `acquire` does; None where one has to be opened."""
        for settings in hosts:
            host = self._hosts.get(settings)
            while host is not None and host.idle:
                hop = host.idle.pop()
                if not hop.closed:
                    self._busy[hop] = host
                    return hop
                host.open -= 1
            if host is None or not host.dead_until:
                return None  # the first host is to be preferred: open a connection to it
        return None

    async def _open_any(self, hosts: Sequence[HopSettings], deadline: float, fresh: bool) -> Hop:
        problem: HopError | None = None
        for settings in hosts:
            host = self._hosts.setdefault(settings, _Host())
            if host.dead:
                problem = problem or HopError(f"{settings.endpoint}: {host.cause} (known as dead)")
                continue
            try:
                return await self._open(settings, host, deadline, fresh)
            except HopError as error:
                problem = HopError(f"{settings.endpoint}: {error}", reply=error.reply)
        raise problem or HopError("the route has no hosts")

    async def _open(self, settings: HopSettings, host: _Host, deadline: float, fresh: bool) -> Hop:
        if (kept := await self._place(host, self._most or settings.connections, deadline, fresh)) is not None:
            self._busy[kept] = host
            return kept
        if host.dead:  # found out while we waited for the place
            host.open -= 1
            self._wake(host)
            raise HopError(f"{host.cause} (known as dead)")
        host.trying = True
        hop = Hop(settings)
        until = min(deadline, time.monotonic() + settings.connect_timeout)
        try:
            await connect_protocol(
                lambda: hop, settings.endpoint.host, settings.endpoint.port, settings.endpoint.path, until
            )
            self._busy[hop] = host  # the sweep watches its deadline while it opens
            await hop.open(self.context_for(settings.tls), until)
        except (OSError, HopError) as error:
            hop.abort()
            cause = str(error) or type(error).__name__
            if until < deadline or time.monotonic() < until - _NEARLY_S:  # else it was our caller who had no time
                host.cause, host.dead_until = cause, time.monotonic() + DEAD_S
            self._leave(host, hop)
            raise error if isinstance(error, HopError) else HopError(cause) from error
        except BaseException:
            hop.abort()
            self._leave(host, hop)
            raise
        finally:
            host.trying = False
        host.dead_until = 0.0
        host.extensions = hop.codec.extensions
        return hop

    async def _place(self, host: _Host, most: int, deadline: float, fresh: bool) -> Hop | None:
        """Wait until this worker may have one more connection to the host; an idle one that came back serves as well."""
        waited = False
        while True:
            while host.idle and (not fresh or host.open >= most):
                hop = host.idle.pop()
                if not (hop.closed or fresh):
                    return hop
                hop.quit()
                host.open -= 1
            if host.open < most:
                host.open += 1
                return None
            await self._turn(host, deadline, first=waited)
            fresh, waited = False, True  # what comes back now has just been of use

    async def _turn(self, host: _Host, deadline: float, *, first: bool) -> None:
        """Wait in the queue; `first`: at its head, since it had its turn and another was quicker."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if first:
            host.waiting.appendleft(future)
        else:
            host.waiting.append(future)
        timer = loop.call_at(deadline, _expire, future)
        try:
            await future
        except TimeoutError:
            raise HopError("no free connection in time") from None
        except asyncio.CancelledError:
            if not future.cancelled():  # it was woken as well: that turn is another's now
                self._wake(host)
            raise
        finally:
            timer.cancel()

    def _leave(self, host: _Host, hop: Hop) -> None:
        self._busy.pop(hop, None)
        host.open -= 1
        self._wake(host)

    def _wake(self, host: _Host) -> None:
        while host.waiting:
            future = host.waiting.popleft()
            if not future.done():
                future.set_result(None)
                return

    def sweep(self, now: float) -> None:
        """Called each half second: end what has waited too long, close what has been idle too long."""
        for hop in [hop for hop in self._busy if hop.deadline and hop.deadline < now]:
            hop.expire()
        for host in self._hosts.values():
            while host.idle and (host.idle[0].closed or host.idle[0].idle_since < now - IDLE_S):
                host.idle.pop(0).quit()
                host.open -= 1
        if len(self._hosts) > MOST:
            self._forget(now)

    def _forget(self, now: float) -> None:
        """Forget the oldest hosts of which nothing is to be remembered but what they offer."""
        resting = (
            settings
            for settings, host in self._hosts.items()
            if not host.open and not host.waiting and host.dead_until < now
        )
        for settings in list(islice(resting, len(self._hosts) - MOST)):
            del self._hosts[settings]

    def close(self) -> None:
        """End the idle connections (at shutdown, or when a route has gone)."""
        for host in self._hosts.values():
            while host.idle:
                host.idle.pop().quit()
                host.open -= 1


def _expire(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
