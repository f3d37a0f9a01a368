"""One connection to a next hop, SMTP or LMTP: greeting, EHLO, STARTTLS by policy, then groups of commands.

Called by mpp.gateway.hops. The codec does the protocol; here are the socket, the deadline and the order of the
opening. Raises HopError, which says whether the hop is to be blamed (down) and whether octets of a message may have
been taken (`unknown`). RFC 5321, 2033, 3207, 2920.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from mpp.protocols.errors import NEED_DATA, ProtocolError
from mpp.protocols.smtp.client import (
    SLICE,
    Answer,
    ClientCodec,
    Command,
    Hello,
    Quit,
    ServerReply,
    StartTls,
    Xclient,
    attribute_groups,
)
from mpp.settings.values import Endpoint


class HopError(Exception):
    """The next hop gave no usable answer. The text is the private cause; it names hosts and never goes to a client."""

    def __init__(self, cause: str, *, reply: ServerReply | None = None, answers: Sequence[Answer] = ()) -> None:
        super().__init__(cause)
        self.reply = reply
        self.answers = answers  # what it had said of the group until then


@dataclass(frozen=True, slots=True)
class HopSettings:
    """What opening a connection depends on; hops with equal settings share their connections."""

    endpoint: Endpoint
    tls: str  # none, may, must, verify
    name: str  # the name that the certificate is verified for
    hostname: str  # ours, in EHLO
    connect_timeout: float
    timeout: float
    connections: int  # at most so many from this worker
    own_greeting: str = ""  # what it would greet with if it were ourselves
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.endpoint, self.tls, self.hostname, self.connections)))

    def __hash__(self) -> int:
        return self._hash  # asked for with each message: worth keeping


class Hop(asyncio.Protocol):
    """An open connection. One conversation at a time; `deadline` is watched by the sweep of the pool."""

    def __init__(self, settings: HopSettings) -> None:
        self.settings = settings
        self.name = str(settings.endpoint)  # for logs
        self.codec = ClientCodec(lmtp=settings.endpoint.protocol == "lmtp")
        self.deadline = 0.0  # monotonic; 0: nothing is awaited
        self.idle_since = 0.0
        self.transactions = self.refusals = 0
        self.closed = False
        self.unasked: ServerReply | None = None  # a 421 between conversations
        self.tls = ""
        self._transport: asyncio.Transport | None = None
        self._answers: list[Answer] = []
        self._wanted = 0
        self._waiter: asyncio.Future[list[Answer]] | None = None
        self._writable: asyncio.Future[None] | None = None  # while the transport's buffer is full
        self.body_sent = False
        self._error = ""
        self._loop = asyncio.get_running_loop()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not subclasses

    def data_received(self, data: bytes) -> None:
        self.codec.receive_data(data)
        self._read()

    def eof_received(self) -> bool:
        self.codec.receive_data(b"")
        self._read()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"connection lost: {exc}" if exc else "connection closed by the next hop")

    # the conversation

    def ask(self, *commands: Command, deadline: float) -> Awaitable[list[Answer]]:
        """Send a pipelined group; the future gives its answers. Both raise HopError when the connection has ended, the
        future also when `deadline` passes.
        """
        assert self._transport is not None
        if self.closed:
            raise HopError(self._error)
        self._transport.write(self.codec.send(*commands))
        return self._collect(len(commands), deadline)

    def send_body(
        self, buffers: Sequence[bytes | memoryview], answers: int, deadline: float
    ) -> Awaitable[list[Answer]]:
        """Send the content; the future gives the final answers (LMTP: one for each accepted recipient).

        `body_sent` is True from the moment when the end of data may have reached the hop.
        """
        transport = self._transport
        assert transport is not None
        if self.closed:
            raise HopError(self._error)
        if sum(map(len, buffers)) <= SLICE:
            self.body_sent = True
            transport.write(self.codec.send_body(buffers))
            return self._collect(answers, deadline)
        return self._send_slices(transport, buffers, answers, deadline)

    async def _send_slices(
        self, transport: asyncio.Transport, buffers: Sequence[bytes | memoryview], answers: int, deadline: float
    ) -> list[Answer]:
        last: bytes | memoryview = b""
        for piece in self.codec.body_slices(buffers):
            transport.write(last)
            await self._drained(deadline)
            if self._answers and (early := self._early(answers)):
                return early
            if self.closed:
                raise HopError(self._error)
            last = piece
        self.body_sent = True
        transport.write(last)
        return await self._collect(answers, deadline)

    async def _drained(self, deadline: float) -> None:
        """Wait until the transport takes more, and give other work its turn between two slices."""
        if self._writable is None:
            await asyncio.sleep(0)
        else:
            self.deadline = min(deadline, self._loop.time() + self.settings.timeout)
            await self._writable

    def _early(self, wanted: int) -> list[Answer]:
        """Return the refusals that came before the end of data, [] while some are to come: nothing more is sent then.

        Raises HopError where the hop accepts what it has not got.
        """
        if any(answer.reply.positive for answer in self._answers):
            self._fail("accepted before the end of data")
            raise HopError(self._error)
        if len(self._answers) < wanted:
            return []
        answers, self._answers = self._answers, []
        self._fail("refused before the end of data")
        return answers

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _collect(self, count: int, deadline: float) -> asyncio.Future[list[Answer]]:
        """Return the future of the next answers. (A future and no coroutine: there is one layer less to wake.)"""
        waiter = self._waiter = self._loop.create_future()
        self._wanted, self.deadline = count, min(deadline, self._loop.time() + self.settings.timeout)
        if len(self._answers) >= count:
            self._hand_over(waiter)
        elif self.closed:
            self._fail(self._error)
        return waiter

    def _hand_over(self, waiter: asyncio.Future[list[Answer]]) -> None:
        answers, self._answers = self._answers, []
        self._waiter, self.deadline = None, 0.0
        if not waiter.done():  # whoever waited may have been cancelled
            waiter.set_result(answers)

    def _read(self) -> None:
        """Take all answers that are there. Those asked for hold, whatever the hop says behind them."""
        broken, next_event, answers = "", self.codec.next_event, self._answers
        try:
            while (event := next_event()) is not NEED_DATA:
                command, reply = event
                if command is None:
                    self.unasked = reply
                    broken = f"unasked reply {reply.code}"
                    break
                answers.append(event)
        except ProtocolError as error:
            broken = str(error)
        if len(answers) >= self._wanted and self._waiter is not None:
            self._hand_over(self._waiter)
        if broken:
            self._fail(broken)

    def _fail(self, cause: str) -> None:
        """End the connection; whoever waits gets HopError with what the hop had said until then."""
        if not self.closed:
            self.closed = True
            self._error = cause
            if self._transport is not None:
                self._transport.abort()
        self.resume_writing()
        self.deadline = 0.0
        if self._waiter is not None and not self._waiter.done():
            last = self._answers[-1].reply if self._answers else self.unasked
            self._waiter.set_exception(HopError(cause, reply=last, answers=tuple(self._answers)))

    def expire(self) -> None:
        """The deadline has passed."""
        self._fail("no answer in time")

    def abort(self) -> None:
        """Close at once: a conversation was broken off."""
        self._fail("broken off by us")

    def quit(self) -> None:
        """Close politely, without waiting for the answer."""
        if not self.closed and self._transport is not None:
            self.closed = True
            self._error = "closed by us"
            if self.codec.at_rest:
                self._transport.write(self.codec.send(Quit()))
            self._transport.close()

    # the opening

    async def open(self, context: ssl.SSLContext | None, deadline: float) -> None:
        """Take the greeting, say EHLO, and STARTTLS as the policy wants. Raises HopError; the connection is then closed."""
        try:
            (greeting,) = await self._collect(1, deadline)
            if greeting.reply.code != 220:
                raise HopError(f"greeting {greeting.reply.code}", reply=greeting.reply)
            if greeting.reply.text == self.settings.own_greeting:
                raise HopError("the route leads to a listener of our own")
            await self._hello(deadline)
            if context is not None and self.settings.tls != "none":
                if "STARTTLS" in self.codec.extensions:
                    await self._start_tls(context, deadline)
                elif self.settings.tls != "may":
                    raise HopError("STARTTLS is demanded by the route and not offered")
        except BaseException:
            self._fail("opening failed")
            raise

    async def _hello(self, deadline: float) -> None:
        (answer,) = await self.ask(Hello(self.settings.hostname), deadline=deadline)
        if answer.reply.permanent and not self.codec.lmtp:
            (answer,) = await self.ask(Hello(self.settings.hostname, "HELO"), deadline=deadline)
        if not answer.reply.positive:
            raise HopError(f"EHLO answered {answer.reply.code}", reply=answer.reply)

    async def _start_tls(self, context: ssl.SSLContext, deadline: float) -> None:
        assert self._transport is not None
        (answer,) = await self.ask(StartTls(), deadline=deadline)
        if not answer.reply.positive:
            if self.settings.tls == "may":
                return
            raise HopError(f"STARTTLS answered {answer.reply.code}", reply=answer.reply)
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=self.settings.name or None,
                ssl_handshake_timeout=max(1.0, deadline - loop.time()),
            )
        except OSError as error:  # ssl.SSLError and its time-out are OSErrors
            raise HopError(f"TLS: {error}") from error
        if transport is None:
            raise HopError("TLS: connection lost in the handshake")
        self._transport = transport
        connection = transport.get_extra_info("ssl_object")
        self.tls = f"{connection.version()} {connection.cipher()[0]}"
        await self._hello(deadline)

    async def introduce(self, attributes: Mapping[str, str], deadline: float) -> None:
        """Tell the hop by XCLIENT who the client was; the session begins anew. Raises HopError where it is refused."""
        for group in attribute_groups(attributes, self.codec.extensions.get("XCLIENT", "")):
            (answer,) = await self.ask(Xclient(group), deadline=deadline)
            if not answer.reply.positive:
                raise HopError(f"XCLIENT answered {answer.reply.code}", reply=answer.reply)
            await self._hello(deadline)
