"""A connection to a scanner's server with its codec, kept for the next message where the protocol carries many.

For the adapters, through `Sessions.speak`. A server may close a kept session at any time; where it did so before it
said a word, the same is said again in a fresh one.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

from mpp.net.connect import Connection, Server
from mpp.net.pool.asking import Job
from mpp.net.pool.kept import Kept
from mpp.protocols.errors import NEED_DATA, NeedData, RemoteProtocolError

E_co = TypeVar("E_co", covariant=True)


class Codec(Protocol[E_co]):
    """What is asked of a codec: events out of octets, and whether a further request may follow."""

    @property
    def reusable(self) -> bool: ...

    def receive_data(self, data: bytes) -> None: ...

    def next_event(self) -> E_co | NeedData: ...


C = TypeVar("C", bound=Codec[object])
R = TypeVar("R")


class Session(Generic[C]):
    """One connection with its codec. `whole` is for the talk to unset where not all was sent before the answer."""

    def __init__(self, server: Server, connection: Connection, codec: C) -> None:
        self.server = server
        self.connection = connection
        self.codec = codec
        self.silent = True  # nothing was heard since the talk began
        self.whole = True

    async def heard(self, event: Callable[[], R | NeedData]) -> R:
        """Return the next event of the codec. Raises OSError and RemoteProtocolError."""
        while (found := event()) is NEED_DATA:
            octets = await self.connection.read()
            self.silent = self.silent and not octets
            self.codec.receive_data(octets)
        return found

    async def answer(self, event: Callable[[], R | NeedData]) -> R:
        """Return the event that ends the talk. Raises as `heard`, and where more was said than one answer."""
        found = await self.heard(event)
        self.settle()
        return found

    def settle(self) -> None:
        """Raises RemoteProtocolError where something came behind the answer.

        A server that says "OK" and "FOUND" to one message is not to be believed either way.
        """
        if self.connection.readable:
            self.codec.receive_data(self.connection.take())
        elif self.codec.reusable:
            return
        if self.codec.next_event() is not NEED_DATA:
            raise RemoteProtocolError("more than one answer to one request")


Connect = Callable[[Server, float], Awaitable[Connection]]


class Sessions(Generic[C]):
    """Those of one adapter: talks with servers, each in a session of its own."""

    def __init__(self, connect: Connect, codec: Callable[[], C]) -> None:
        self._connect = connect
        self._codec = codec
        self._kept: Kept[Session[C]] = Kept()

    async def speak(self, server: Server, deadline: float, talk: Callable[[Session[C]], Awaitable[R]]) -> R:
        """Return what `talk` makes of a session. Raises OSError and RemoteProtocolError."""
        while session := self._kept.take(server):
            session.silent = True
            try:
                return await self._talk(session, talk)
            except (ConnectionError, RemoteProtocolError):
                if not session.silent:
                    raise
        return await self._talk(Session(server, await self._connect(server, deadline), self._codec()), talk)

    def job(self, talk: Callable[[Session[C]], Awaitable[R]]) -> Job[R]:
        """Return the job for a pool that is such a talk."""
        return partial(self.speak, talk=talk)

    async def _talk(self, session: Session[C], talk: Callable[[Session[C]], Awaitable[R]]) -> R:
        fit = False
        try:
            result = await talk(session)
            fit = session.whole and session.codec.reusable
        finally:
            if fit:
                self._kept.keep(session.server, session)
            else:
                session.connection.close()
        return result
