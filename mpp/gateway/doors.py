"""The doors of a worker: accepting, the limits at connect, PROXY and TLS before the first command, the sweep.

The greeting is written in the same step that accepts, so that a crash between the two cannot reset a client that has
waited in the socket's queue (design section 5). Limits are judged by the address that PROXY names.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from mpp.gateway import replies
from mpp.gateway.assembly import Assembly
from mpp.gateway.budget import Budget
from mpp.gateway.connection import Connection, cipher_of
from mpp.gateway.hosts import refusal_of
from mpp.gateway.log import event as log
from mpp.gateway.report import Reporter
from mpp.gateway.session import Session
from mpp.gateway.settings import Listener
from mpp.mail.envelope import Client
from mpp.net.metrics import Counter
from mpp.net.table import SlotWriter
from mpp.protocols.errors import NEED_DATA, ProtocolError
from mpp.protocols.proxy import ProxyCodec
from mpp.protocols.smtp.reply import Reply

AT_ONCE = 32  # connections accepted in one step, before others have their turn
PAUSE_S = 0.2  # without descriptors, until accepting is tried again
OUT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Doors:
    """All listening sockets of a worker and the connections that came through them."""

    def __init__(
        self,
        assembly: Callable[[], Assembly],
        budget: Budget,
        table: SlotWriter,
        context: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self._assembly, self._budget, self._table, self._context = assembly, budget, table, context
        self._reporter = Reporter(table)
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._opening: set[asyncio.Task[None]] = set()
        self.connections: set[Connection] = set()

    def open(self, listener: Listener, listening: socket.socket) -> None:
        listening.setblocking(False)
        self._sockets.append(listening)
        self._loop.add_reader(listening.fileno(), self._accept, listener, listening)

    def close(self) -> None:
        """Accept no more; what waits in the queues is for the next worker of this slot."""
        for listening in self._sockets:
            self._loop.remove_reader(listening.fileno())
        self._sockets.clear()

    def sweep(self, now: float) -> None:
        for connection in list(self.connections):
            connection.sweep(now)

    @property
    def idle(self) -> bool:
        return not self.connections and not self._opening and not self._reporter.busy

    def _accept(self, listener: Listener, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                peer, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in OUT_OF_FILES:
                    log("error", "accept-failed", cause=str(error))
                    self._loop.remove_reader(listening.fileno())
                    self._loop.call_later(PAUSE_S, self._go_on, listener, listening)
                    return
                continue  # the client left while it waited
            peer.setblocking(False)
            self._welcome(listener, peer, address)

    def _go_on(self, listener: Listener, listening: socket.socket) -> None:
        if listening in self._sockets:  # else the door was closed meanwhile
            self._loop.add_reader(listening.fileno(), self._accept, listener, listening)

    def _welcome(self, listener: Listener, peer: socket.socket, address: object) -> None:
        host, port = (str(address[0]), int(address[1])) if isinstance(address, tuple) else ("", 0)
        client = Client(host.removeprefix("::ffff:"), port)
        if listener.proxy_protocol or listener.tls == "wrapped":
            self._start(self._prepare(listener, peer, client))
            return
        session = self._admit(listener, client, peer)
        if session is not None:
            try:
                peer.send(session.greeting())
            except OSError:
                self._left(session, peer)
                return
            self._start(self._connect(session, peer))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _admit(self, listener: Listener, client: Client, peer: socket.socket) -> Session | None:
        """Judge the limits; return the session, or None where the client was turned away."""
        parts, table = self._assembly(), self._table
        host = client.address
        if table.connections() >= parts.settings.limits.connections:
            refusal: tuple[Reply, Counter] | None = (replies.FULL, Counter.REFUSED_TOTAL_LIMIT)
        else:
            refusal = refusal_of(parts, host, self._loop.time())
        if refusal:
            table.add(refusal[1])
            _say(peer, refusal[0].wire)
            peer.close()
            return None
        table.add(Counter.CONNECTIONS)
        table.connection_opened(host)
        return Session(listener, client, self._assembly, self._budget, self._reporter, self._loop.time)

    def _left(self, session: Session, peer: socket.socket) -> None:
        self._table.connection_closed(session.admitted)
        peer.close()

    async def _connect(self, session: Session, peer: socket.socket, context: ssl.SSLContext | None = None) -> None:
        """Hand the socket to asyncio; the greeting has been sent, or goes out over the TLS that begins it."""
        parts = self._assembly()
        limits = parts.settings.limits
        connection = Connection(session, limits, self._table, self._context(), self._closed)
        self.connections.add(connection)
        try:
            if context is None:
                await self._loop.connect_accepted_socket(lambda: connection, peer)
            else:
                transport, _ = await self._loop.connect_accepted_socket(
                    lambda: connection, peer, ssl=context, ssl_handshake_timeout=limits.handshake_timeout
                )
                session.secured_by(cipher_of(transport))
                transport.write(session.greeting())
        except OSError as error:
            log("info", "connect-failed", client=session.client.address, cause=str(error))
            self._closed(connection)
            peer.close()

    def _closed(self, connection: Connection) -> None:
        """Count a connection out, once: a handshake that fails may say so twice."""
        if connection in self.connections:
            self.connections.remove(connection)
            self._table.connection_closed(connection.session.admitted)

    async def _prepare(self, listener: Listener, peer: socket.socket, client: Client) -> None:
        """Read the PROXY header where the listener demands one, admit, and begin with TLS where it is wrapped."""
        parts = self._assembly()
        rest = b""
        if listener.proxy_protocol:
            if not parts.proxies(client.address):
                log("info", "proxy-refused", client=client.address)
                peer.close()
                return
            try:
                async with asyncio.timeout(parts.settings.limits.handshake_timeout):
                    client, rest = await self._read_proxy(peer, client)
            except (OSError, ProtocolError) as error:
                log("info", "proxy-failed", client=client.address, cause=str(error))
                peer.close()
                return
        session = self._admit(listener, client, peer)
        if session is None:
            return
        wrapped = listener.tls == "wrapped"
        if not wrapped:
            _say(peer, session.greeting())
            session.codec.receive_data(rest)
        await self._connect(session, peer, self._context() if wrapped else None)

    async def _read_proxy(self, peer: socket.socket, client: Client) -> tuple[Client, bytes]:
        """Return the client that the header names. Raises ProtocolError for anything but one whole header."""
        codec = ProxyCodec()
        while (found := codec.next_event()) is NEED_DATA:
            # Peeked and then taken exactly: what follows the header (TLS, or nothing before our greeting) is not ours.
            ahead = await self._loop.sock_recv(peer, 1)
            codec.receive_data(ahead)
        if found.address:
            client = replace(client, address=found.address, port=found.port)
        return client, b""


def _say(peer: socket.socket, octets: bytes) -> None:
    """Write a first line to a fresh socket; a client that has left does not hear it."""
    try:
        peer.send(octets)
    except OSError:
        return
