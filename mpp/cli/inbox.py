"""The inbox of `mpp demo`: a next hop in a thread of its own that keeps what arrives in memory.

It holds example.org: everybody there has a mailbox but `nobody` (550 5.1.1), and the one of `full` is full (452 4.2.2).
Made for a demonstration on loopback: no limits, no TLS.
"""

import asyncio
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Self

from mpp.protocols.errors import NEED_DATA
from mpp.protocols.smtp.reply import Reply
from mpp.protocols.smtp.server import Content, Data, Fatal, Hello, Invalid, Mail, Quit, Rcpt, Reset, ServerCodec

_NAME = "inbox.example.org"
_EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
_GREETING = Reply(220, "", f"{_NAME} ESMTP")
_OK = Reply(250, "2.0.0", "Ok")
_KEPT = Reply(250, "2.0.0", "Ok, in the inbox")
_GO_ON = Reply(354, "", "Go on")
_BYE = Reply(221, "2.0.0", "Bye")
_UNKNOWN = Reply(502, "5.5.1", "Not known here")
_REFUSED = {
    "nobody": Reply(550, "5.1.1", "No such mailbox"),
    "full": Reply(452, "4.2.2", "Mailbox full, try again later"),
}


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as it came from the gateway."""

    reverse_path: str
    recipients: tuple[str, ...]
    raw: bytes


class Inbox:
    """Listens within `with`. `arrivals` has every message, each before the gateway gets its 250."""

    def __init__(self) -> None:
        self.arrivals: queue.SimpleQueue[Arrived] = queue.SimpleQueue()
        self.port = 0
        self._listening: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="inbox", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._listening.result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        connections: set[asyncio.Transport] = set()
        server = await self._loop.create_server(lambda: _Connection(self.arrivals, connections), "127.0.0.1", 0)
        self._listening.set_result(server.sockets[0].getsockname()[1])
        await self._end.wait()
        server.close()
        for transport in connections:
            transport.abort()


@dataclass(slots=True)
class _Connection(asyncio.Protocol):
    arrivals: queue.SimpleQueue[Arrived]
    connections: set[asyncio.Transport]  # all that are open
    codec: ServerCodec = field(default_factory=lambda: ServerCodec(max_size=0, extensions=_EXTENSIONS))
    reverse_path: str = ""
    recipients: list[str] = field(default_factory=list)
    transport: asyncio.Transport = field(init=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.connections.add(transport)
        transport.write(_GREETING.wire)

    def connection_lost(self, _error: Exception | None) -> None:
        self.connections.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.codec.receive_data(data)
        answers = []
        while (event := self.codec.next_event()) is not NEED_DATA:
            answers.append(self.codec.send(self._reply(event)))
            if isinstance(event, Quit | Fatal):
                self.transport.write(b"".join(answers))
                self.transport.close()
                return
        self.transport.write(b"".join(answers))

    def _reply(self, event: object) -> Reply:
        match event:
            case Hello():
                return self.codec.hello_reply(_NAME)
            case Mail(reverse_path=path):
                self.reverse_path, self.recipients = path, []
            case Rcpt(address=address):
                refused = _REFUSED.get(address.partition("@")[0])
                if refused:
                    return refused
                self.recipients.append(address)
            case Data():
                return _GO_ON
            case Content(data=data):
                self.arrivals.put(Arrived(self.reverse_path, tuple(self.recipients), data))
                return _KEPT
            case Quit():
                return _BYE
            case Invalid(reply=reply) | Fatal(reply=reply):
                return reply
            case Reset():
                self.recipients = []
            case _:
                return _UNKNOWN
        return _OK
