"""Sessions kept open for the next job, for protocols that carry one after another (clamd, ICAP, HTTP).

For the adapters: `take` before a connect, `keep` after an answer. A session that was closed or spoke unasked meanwhile
is not given out; one that nobody takes is closed after a while.
"""

import asyncio
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mpp.net.connect import Connection, Server

KEEP_S = 5.0  # servers close idle sessions too: clamd after 30 s, most HTTP servers after 5 s to 75 s
MOST = 64  # sessions kept for one server


class Session(Protocol):
    @property
    def connection(self) -> Connection: ...


S = TypeVar("S", bound=Session)


@dataclass(slots=True, eq=False)
class _Idle(Generic[S]):
    session: S
    timer: asyncio.TimerHandle | None = None


class Kept(Generic[S]):
    """The idle sessions of one adapter, by server; the one last used is given out first."""

    def __init__(self, keep_s: float = KEEP_S) -> None:
        self._keep_s = keep_s
        self._idle: dict[Server, list[_Idle[S]]] = {}

    def take(self, server: Server) -> S | None:
        """Return a session that was fit a moment ago; the server may still be closing it, so be ready to begin anew."""
        idle = self._idle.get(server, [])
        while idle:
            entry = idle.pop()
            if entry.timer is not None:
                entry.timer.cancel()
            if not entry.session.connection.readable:
                return entry.session
            entry.session.connection.close()
        return None

    def keep(self, server: Server, session: S) -> None:
        """Keep a session that is between two jobs."""
        idle = self._idle.setdefault(server, [])
        if session.connection.closed or len(idle) >= MOST:
            session.connection.close()
            return
        entry = _Idle(session)
        entry.timer = asyncio.get_running_loop().call_later(self._keep_s, self._expire, server, entry)
        idle.append(entry)

    def _expire(self, server: Server, entry: _Idle[S]) -> None:
        idle = self._idle[server]
        idle.remove(entry)
        entry.session.connection.close()
        if not idle:
            del self._idle[server]
