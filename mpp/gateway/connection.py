"""The socket side of one client: octets to the codec, events to the session, replies back, deadlines, TLS.

One class between asyncio and the session; a group of pipelined commands is answered in one write. The owner
(mpp.gateway.doors) sweeps deadlines once a second instead of a timer for every command.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

from mpp.gateway.log import event as log
from mpp.gateway.replies import TROUBLE
from mpp.gateway.session import Session
from mpp.gateway.settings import Limits
from mpp.net.metrics import Counter
from mpp.net.table import SlotWriter
from mpp.protocols.errors import NEED_DATA
from mpp.protocols.smtp.reply import Reply
from mpp.protocols.smtp.server import Content

TIMED_OUT = Reply(421, "4.4.2", "Timeout, closing connection").wire
SHUTDOWN = Reply(421, "4.3.2", "Service shutting down, please try again").wire
SLOW = Reply(421, "4.4.2", "Data come too slowly, closing connection").wire
GRACE_S = 30.0  # after which data must keep to the least rate
BACKLOG = 256 << 10  # octets read ahead while a reply is being worked at
BULK = 128 << 10  # octets of one read after which others have their turn: uvloop would read on, 32 times in a row
LINGER_S = 10.0  # for the last reply to leave, then the connection is cut


class Connection(asyncio.Protocol):
    def __init__(
        self,
        session: Session,
        limits: Limits,
        table: SlotWriter,
        context: ssl.SSLContext | None,
        closed: Callable[["Connection"], None],
    ) -> None:
        self.session = session
        self.deadline = 0.0  # monotonic; the sweep ends the connection after it
        self.busy = False  # a reply is being worked at
        self._codec = session.codec
        self._limits, self._table, self._context, self._closed = limits, table, context, closed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._paused = self._full = self._ended = False
        self._stopping = False  # the worker ends: no further command is answered
        self._began = 0.0  # of the data now coming in
        self._work: asyncio.Task[None] | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not subclasses
        self.deadline = self._loop.time() + self._limits.command_timeout

    def data_received(self, data: bytes) -> None:
        self._codec.receive_data(data)
        if not self.busy:
            self._pump()
        if self.busy and self._codec.unread > BACKLOG:
            self._pause()
        elif len(data) >= BULK and not self._paused:
            self._pause()
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        """Read, unless octets wait that are not worked at or replies that are not taken."""
        if not self._full and not (self.busy and self._codec.unread > BACKLOG):
            self._resume()

    def eof_received(self) -> bool:
        """The client closed its side: what it waits for is still answered, but nothing more is delivered."""
        self.session.gone = True
        if not self.busy:
            self._close()
        return self.busy and not self.session.secured

    def connection_lost(self, exc: Exception | None) -> None:
        self.session.gone = True
        self._transport = None
        self.deadline = 0.0
        if not self.busy:
            self._leave()

    def _leave(self) -> None:
        """The client has gone and nothing is worked at for it any more."""
        self.session.abandon()
        self._closed(self)

    def pause_writing(self) -> None:
        """The client does not take its replies: nothing more is read from it until it does."""
        self._full = True
        self._pause()

    def resume_writing(self) -> None:
        self._full = False
        if not self.busy and self._transport is not None:
            self._resume()
            self._pump()

    # the work

    def _pump(self) -> None:
        """Answer all events that are there, in one write, until one needs work, a client's octets, or room to write."""
        session, codec = self.session, self._codec
        if self._stopping and not (
            codec.receiving or session.closing
        ):  # only content that is on its way is still answered
            self._end(SHUTDOWN)
            return
        out = b""
        while not (session.closing or self._full) and (event := codec.next_event()) is not NEED_DATA:
            try:
                answer = session.handle(event)
            except Exception as error:  # noqa: BLE001 the edge of a command: the client hears of it and may go on
                answer = self._fault(error)
            if not isinstance(answer, Reply):
                self.busy = True
                self._work = self._loop.create_task(self._finish(event, answer))
                break
            out += codec.send(answer)
        if out and self._transport is not None:
            self._transport.write(out)
        if session.wants_tls:
            self.busy = True
            self._work = self._loop.create_task(self._upgrade())
        elif session.closing:
            self._close()
        elif not self.busy:
            self._rest(answered=bool(out))

    def _rest(self, *, answered: bool) -> None:
        """Wait for the client: account for what is held, set the deadline.

        A command that comes octet by octet has its time from the last reply on; data must keep to the least rate.
        """
        now, codec = self._loop.time(), self._codec
        if codec.receiving or codec.held:  # between two chunks as well
            held = codec.held
            if held or self._began:
                self.session.hold(held)
            self._began = self._began or now
            self.deadline = now + self._limits.data_timeout
        else:
            self._began = 0.0
            if answered or not self.deadline:
                self.deadline = now + self._limits.command_timeout

    async def _finish(self, event: object, answer: Awaitable[Reply] | Awaitable[Reply | list[Reply]]) -> None:
        """Await one answer, give it, and go on with what came meanwhile. The edge of a task: whatever fails is a 451."""
        codec = self._codec
        self.deadline = 0.0
        try:
            reply = await answer
        except Exception as error:  # noqa: BLE001 the edge of the task: the client keeps the message
            reply = self._fault(error)
            if self.session.lmtp and isinstance(event, Content):
                reply = [TROUBLE] * codec.accepted
        self._write(codec.send_each(reply) if isinstance(reply, list) else codec.send(reply))
        self.busy = False
        if self._transport is None:
            self._leave()
            return
        if self.session.gone:
            self._close()
            return
        if codec.ahead or self.session.closing or self._stopping:
            self._pump()
        else:
            self._rest(answered=True)
        if self._paused:
            self._read_on()

    def _fault(self, error: Exception) -> Reply:
        """Something of ours failed: the operator hears what, the client that it should try again."""
        log("error", "fault", client=self.session.client.address, cause=f"{type(error).__name__}: {error}")
        self._table.add(Counter.FAULTS)
        return TROUBLE

    def _pause(self) -> None:
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()

    async def _upgrade(self) -> None:
        """STARTTLS was answered: nothing that came before the handshake survives it."""
        assert self._transport is not None
        assert self._context is not None
        self.deadline = 0.0  # the handshake has its own
        try:
            transport = await self._loop.start_tls(
                self._transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=self._limits.handshake_timeout,
            )
        except (OSError, asyncio.CancelledError) as error:
            log("info", "tls-failed", client=self.session.client.address, cause=str(error))
            transport = None
        finally:
            self.busy = False
        if transport is None:
            # The loop tells the end of a connection to whoever had it in the handshake, and not always to us.
            if self._transport is not None:
                self._transport.abort()
            self.connection_lost(None)
            return
        self._transport = transport
        self._paused = self._full = False
        self.session.secured_by(cipher_of(transport))
        self._pump()

    def _write(self, octets: bytes) -> None:
        if self._transport is not None:
            self._transport.write(octets)

    def _close(self) -> None:
        """Close when what was written has left; the sweep cuts off a client that does not take it."""
        if self._transport is not None:
            if not self._ended:
                self._ended = True
                self.deadline = self._loop.time() + LINGER_S
            self._transport.close()

    # the owner's calls

    def sweep(self, now: float) -> None:
        """End the connection where it has waited too long or sends too slowly."""
        if self.deadline and now > self.deadline:
            if not self._ended:
                self._end(TIMED_OUT)
            elif self._transport is not None:
                self._transport.abort()
        elif (
            self._began
            and not self._ended
            and now - self._began > GRACE_S
            and self._codec.received < self._limits.min_rate * (now - self._began)
        ):
            self._end(SLOW)

    def shut_down(self) -> None:
        """The worker ends: idle clients are told at once, others after the reply that they wait for."""
        self._stopping = True
        if not (self.busy or self._codec.receiving or self._ended):
            self._end(SHUTDOWN)

    def _end(self, reply: bytes) -> None:
        self.session.closing = True
        self._write(reply)
        self._close()


def cipher_of(transport: asyncio.BaseTransport) -> str:
    """Return protocol and cipher of a TLS transport, "" of another."""
    connection = transport.get_extra_info("ssl_object")
    return f"{connection.version()} {connection.cipher()[0]}" if connection is not None else ""
