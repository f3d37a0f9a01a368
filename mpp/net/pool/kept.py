"""Sessions kept open for the next job, for protocols that carry one after another (clamd, ICAP, HTTP).

For the adapters: `take` before a connect, `keep` after an answer. A session that was closed or spoke unasked meanwhile
is not given out; one that nobody takes is closed after a while.
"""

import asyncio
from typing import Generic, Protocol, TypeVar

from mpp.net.connect import Connection, Server

KEEP_S = 5.0  # servers close idle sessions too: clamd after 30 s, most HTTP servers after 5 s to 75 s
MOST = 64  # sessions kept for one server


class Session(Protocol):
    @property
    def connection(self) -> Connection: ...


S = TypeVar("S", bound=Session)


class Kept(Generic[S]):
    """The idle sessions of one adapter, by server; the one last used is given out first."""

    def __init__(self, keep_s: float = KEEP_S) -> None:
        self._keep_s = keep_s
        self._idle: dict[Server, list[tuple[S, float]]] = {}  # and its end, the loop's time; the first at the head
        self._timer: asyncio.TimerHandle | None = None  # one for all: a session comes and goes with each message

    def take(self, server: Server) -> S | None:
        """Return a session that was fit a moment ago; the server may still be closing it, so be ready to begin anew."""
        idle = self._idle.get(server)
        while idle:
            session, _ = idle.pop()
            if not session.connection.readable:
                return session
            session.connection.close()
        return None

    def keep(self, server: Server, session: S) -> None:
        """Keep a session that is between two jobs."""
        idle = self._idle.setdefault(server, [])
        if session.connection.closed or len(idle) >= MOST:
            session.connection.close()
            return
        loop = asyncio.get_running_loop()
        idle.append((session, loop.time() + self._keep_s))
        if self._timer is None:
            self._timer = loop.call_later(self._keep_s, self._expire)

    def _expire(self) -> None:
        """Close what nobody has taken in time, and come back when the next one is due."""
        loop, left = asyncio.get_running_loop(), []
        now = loop.time()
        for server, idle in list(self._idle.items()):
            while idle and idle[0][1] <= now:
                idle.pop(0)[0].connection.close()
            left += idle[:1]
            if not idle:
                del self._idle[server]
        self._timer = loop.call_at(min(until for _, until in left), self._expire) if left else None
