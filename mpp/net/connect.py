"""Outgoing connections: TCP, TLS and unix sockets, opened within a deadline, with TCP_NODELAY.

For next hops (mpp.gateway), which bring a protocol class of their own, and for scanners (mpp.checks.scanners), which
use Connection. Deadlines are the loop's monotonic seconds. Raises OSError, TimeoutError and ssl.SSLError among them.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple, TypeVar, cast

from mpp.mail.escape import printable
from mpp.net.waiter import Waiter
from mpp.settings.values import read_endpoint

UNREAD = 256 << 10  # octets read ahead before the peer is made to wait
PIECE = 256 << 10  # octets handed to the transport in one step

P = TypeVar("P", bound=asyncio.Protocol)
Buffer = bytes | memoryview


class Server(NamedTuple):
    """One server of a pool as its settings write it."""

    name: str  # as written: in logs, metrics and evidence
    host: str  # "" where it is a unix socket
    port: int
    path: str = ""
    tls: bool = False
    address: str = ""  # of the host, where DNS was asked: each address of a name is a server of its own


class UnreachedError(OSError):
    """No connection, no handshake, or a certificate that does not fit: the server has seen nothing of the job."""


def server_of(text: str) -> Server:
    """Return the server of "HOST:PORT", "[IPv6]:PORT", "unix:PATH" or "tls:HOST:PORT". Raises ValueError."""
    rest = text.removeprefix("tls:")
    endpoint = read_endpoint(rest)
    return Server(text, endpoint.host, endpoint.port, endpoint.path, rest != text)


async def connect_protocol(
    factory: Callable[[], P],
    host: str,
    port: int,
    path: str,
    deadline: float,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> P:
    """Open a connection to host and port, or to the unix socket `path` where it is set; return the protocol.

    With `context` the connection is returned after the TLS handshake, which asks for `server_name` where `host` is its
    address. Raises OSError, TimeoutError at the deadline.
    """
    loop = asyncio.get_running_loop()
    if path:
        async with asyncio.timeout_at(deadline):
            _, protocol = await loop.create_unix_connection(factory, path, ssl=context)
            return protocol
    return await _to_any_address(factory, host, port, deadline, context, server_name)


async def _to_any_address(
    factory: Callable[[], P],
    host: str,
    port: int,
    deadline: float,
    context: ssl.SSLContext | None,
    server_name: str | None,
) -> P:
    """Try the addresses of a host in their order, each for its share of the time left: a silent one leaves room for the rest."""
    loop = asyncio.get_running_loop()
    name = (server_name or host) if context is not None else None
    addresses = [host]
    if not _is_address(host):
        async with asyncio.timeout_at(deadline):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for left in range(len(addresses), 1, -1):
        now = loop.time()
        with suppress(OSError):  # a timeout is an OSError
            async with asyncio.timeout_at(now + (deadline - now) / left):
                return await _to_address(factory, addresses[-left], port, context, name)
    async with asyncio.timeout_at(deadline):
        return await _to_address(factory, addresses[-1], port, context, name)


@lru_cache(1024)
def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _to_address(
    factory: Callable[[], P], address: str, port: int, context: ssl.SSLContext | None, name: str | None
) -> P:
    """Both event loops set TCP_NODELAY on what they connect."""
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(factory, address, port, ssl=context, server_hostname=name)
    return protocol


async def connect(
    server: Server, deadline: float, context: ssl.SSLContext | None = None, first: bytes = b""
) -> "Connection":
    """Open a Connection to a server, and say `first` at once; `context` is used where the server is a tls: one.

    Raises UnreachedError; what a server does after it was reached, `read` tells.
    """
    tls = context if server.tls else None
    host, name = server.address or server.host, server.host if tls else None
    try:
        if tls is None and (server.path or (_is_address(host) and "%" not in host)):
            return await _to_socket(server.path or (host, server.port), deadline, first)
        connection = await connect_protocol(Connection, host, server.port, server.path, deadline, tls, name)
    except TimeoutError as error:
        raise UnreachedError("no connection in time") from error
    except OSError as error:
        raise UnreachedError(_why(error) or str(error) or type(error).__name__) from error
    return await _said(connection, first)


async def _to_socket(where: str | tuple[str, int], deadline: float, first: bytes) -> "Connection":
    """Connect and speak before the loop has a turn: at a server near by the first octets leave in the step that calls this."""
    loop = asyncio.get_running_loop()
    if isinstance(where, str):
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        opened = socket.socket(socket.AF_INET6 if ":" in where[0] else socket.AF_INET, socket.SOCK_STREAM)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        opened.setblocking(False)
        if not _reached(opened, where):
            async with asyncio.timeout_at(deadline):
                await loop.sock_connect(opened, where)
        sent = 0
        with suppress(OSError):  # full, or already closed: the transport sees it too
            sent = opened.send(first)
        take = loop.create_unix_connection if isinstance(where, str) else loop.create_connection
        _, connection = await take(Connection, sock=opened)
    except BaseException:
        opened.close()
        raise
    return await _said(connection, memoryview(first)[sent:])


async def _said(connection: "Connection", first: Buffer) -> "Connection":
    """Return a connection on which this was said; who breaks it off leaves none behind."""
    try:
        await connection.write((first,))
    except BaseException:
        connection.close()
        raise
    return connection


def _reached(opened: socket.socket, where: str | tuple[str, int]) -> bool:
    """Connect, and return whether that is done: on one machine it is, though the first answer is "in progress"."""
    code = opened.connect_ex(where)
    if code == errno.EINPROGRESS:
        code = opened.connect_ex(where)
    if code in (0, errno.EISCONN):
        return True
    if code != errno.EALREADY:
        raise OSError(code, os.strerror(code))
    return False


def why_silent(error: Exception, within_s: float) -> str:
    """Return for people why a server that had `within_s` seconds did not answer; cleaned."""
    first = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(first, TimeoutError):
        return str(error) or f"nothing came within {within_s:g} s"
    known = _why(first) if isinstance(first, OSError) else ""
    return known or printable(str(getattr(first, "strerror", None) or first) or type(first).__name__, 200)


def _why(error: OSError) -> str:
    """Return what the system calls an error, "" where it has no word for it. (The loops' own texts repeat the address.)"""
    code = error.errno or 0
    return os.strerror(code) if code > 0 and not isinstance(error, ssl.SSLError) else ""


class Connection(asyncio.Protocol):
    """Octets to and from a peer, with back-pressure both ways. Waits have no deadline: the caller sets one around."""

    def __init__(self) -> None:
        self.closed = False  # no more octets will come, though some may still be unread
        self._transport: asyncio.Transport | None = None
        self._unread: list[bytes] = []
        self._length = 0
        self._reader: Waiter | None = None
        self._writer: asyncio.Future[None] | None = None  # while the transport's buffer is full
        self._full = self._paused = False
        self._error: Exception | None = None

    @property
    def readable(self) -> bool:
        """True where `read` would not wait."""
        return bool(self._unread) or self.closed

    async def read(self) -> bytes:
        """Return what has come, waiting where there is nothing; b"" where the peer has closed. Raises OSError."""
        if not self._unread and not self.closed:
            self._reader = Waiter()
            try:
                await self._reader
            finally:
                self._reader = None
        return self.take()

    def take(self) -> bytes:
        """Return what has come, b"" where there is nothing. Raises OSError where the connection has failed."""
        if not self._unread:
            if self._error is not None:
                raise ConnectionResetError(str(self._error)) from self._error
            return b""
        data = self._unread[0] if len(self._unread) == 1 else b"".join(self._unread)
        self._unread, self._length = [], 0
        if self._paused and self._transport is not None and not self.closed:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffers: Iterable[Buffer]) -> bool:
        """Write buffers, waiting where the peer is slow.

        Stops early and returns False where the peer answers or closes before the end: read what it says. Large buffers
        go in pieces without a copy, so that no step is long.
        """
        for buffer in buffers:
            if len(buffer) > PIECE:
                if not await self.write(_pieces(buffer)):
                    return False
                continue
            if self._unread or self.closed or self._transport is None:
                return False
            self._transport.write(buffer)
            if self._full:
                await self._drained()
        return True

    async def _drained(self) -> None:
        """Wait until the transport takes more, or the peer has something to say."""
        self._writer = asyncio.get_running_loop().create_future()
        try:
            await self._writer
        finally:
            self._writer = None

    def close(self) -> None:
        """Close without waiting; what was not sent is thrown away."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not subclasses

    def data_received(self, data: bytes) -> None:
        self._unread.append(data)
        self._length += len(data)
        if self._length > UNREAD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.closed = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._error = exc
        self._wake()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def _wake(self) -> None:
        """Let both sides look again: a writer too, since a peer that answers early may never read the rest."""
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)
        if self._reader is not None:
            self._reader.tell()


def _pieces(buffer: Buffer) -> Iterator[memoryview]:
    view = memoryview(buffer)
    for start in range(0, len(view), PIECE):
        yield view[start : start + PIECE]
