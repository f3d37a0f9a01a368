"""A next hop that does as it is told: SMTP or LMTP in a thread with a loop of its own, every message kept with its envelope.

`script` says what it answers. A key is a verb ("MAIL"), a verb with an address ("RCPT bob@example.org", "MAIL " for the
null reverse-path), "." for the end of data, in LMTP also ". bob@example.org"; "" is the greeting. A value is a reply
("550 5.1.1 Unknown", lines of a multi-line one with "\n") or one of

    close    close the connection orderly        reset    close it with a TCP reset
    silence  never answer                        after    do the usual thing, then close

or a list of such values, used one after the other, the last one for good. `delays` has seconds before the answer, by the
same keys. Both may be changed at any time. Only CRLF ends a command and only CRLF.CRLF ends data, so that what a
gateway lets through is seen as strict servers see it.
"""

import asyncio
import hashlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from mpp.cli.programs import free_port

USUAL = ("PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
_ADDRESS = re.compile(r"(?:FROM|TO):\s*<([^>]*)>\s*(.*)", re.IGNORECASE | re.DOTALL)
_LINE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Arrived:
    """One transaction that came to its end of data. `recipients` are those that were accepted."""

    reverse_path: str
    recipients: tuple[str, ...]
    data: bytes  # dots removed; b"" where the sink keeps digests only
    digest: str  # SHA-256
    size: int
    parameters: str  # of MAIL, as they came
    helo: str
    forwarded: Mapping[str, str]  # XFORWARD or XCLIENT attributes in force
    tls: bool
    connection: int  # number of the connection, from 1
    replies: tuple[str, ...]  # what was answered after the dot; nothing where no answer was sent
    at: float  # monotonic seconds

    @property
    def accepted(self) -> bool:
        """True where a 2xx was answered to the end of data."""
        return any(reply.startswith("2") for reply in self.replies)


class _ClosedError(Exception):
    """This connection is over."""


class Sink:
    """Listens from construction on; `stop` ends it. As a context it is stopped at the end."""

    def __init__(
        self,
        *,
        lmtp: bool = False,
        extensions: tuple[str, ...] = USUAL,
        script: dict[str, str | list[str]] | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        keep_data: bool = True,
    ) -> None:
        self.lmtp, self.extensions, self.tls = lmtp, extensions, tls
        self.script: dict[str, str | list[str]] = script or {}
        self.delays: dict[str, float] = {}
        self.read_pause = 0.0  # seconds between reads of data: a slow host
        self.host, self.port = host, port or free_port(host)
        self.keep_data = keep_data
        self.messages: list[Arrived] = []
        self.seen: list[tuple[int, str]] = []  # connection number and command line, of every connection
        self.connections = 0  # so far
        self.open = 0  # now
        self.pipelined = 0  # commands read while the one before was not answered
        self._arrival = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"sink-{self.port}", daemon=True)
        self._thread.start()
        self.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Where it listens, as `--next-hop` and a route's `hosts` take it."""
        return f"{'lmtp:' if self.lmtp else ''}{self.host}:{self.port}"

    @property
    def accepted(self) -> list[Arrived]:
        """The messages that were answered with 2xx."""
        return [message for message in list(self.messages) if message.accepted]

    def commands(self, verb: str = "") -> list[str]:
        """The command lines seen so far, of one verb or all."""
        return [line for _, line in list(self.seen) if line.upper().startswith(verb.upper())]

    def clear(self) -> None:
        """Forget what was seen."""
        self.messages, self.seen, self.connections, self.pipelined = [], [], self.open, 0

    def wait(self, count: int = 1, timeout_s: float = 10.0) -> list[Arrived]:
        """Return the messages once there are `count` of them; AssertionError where they do not come."""
        self.wait_for(lambda: len(self.messages) >= count, f"{count} messages", timeout_s)
        return self.messages

    def wait_for(self, holds: Callable[[], bool], what: str = "it", timeout_s: float = 10.0) -> None:
        """Return once `holds`, looked at after each command and message; AssertionError where it never does."""
        with self._arrival:
            if not self._arrival.wait_for(holds, timeout_s):
                raise AssertionError(
                    f"waited {timeout_s} s for {what}; messages {len(self.messages)}, last seen {self.seen[-8:]}"
                )

    def listen(self) -> None:
        """Accept connections on the port (again)."""

        async def begin() -> asyncio.Server:
            return await asyncio.start_server(self._serve, self.host, self.port, limit=1 << 20, backlog=1024)

        self._server = asyncio.run_coroutine_threadsafe(begin(), self._loop).result(10)

    def refuse(self) -> None:
        """Go down: close the port and every connection."""

        async def end() -> None:
            if self._server:
                self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)

    def stop(self) -> None:
        """End for good."""
        if not self._thread.is_alive():
            return
        self.refuse()

        async def cancel() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(cancel(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self._writers.add(writer)
        connection = _Connection(self, self.connections, reader, writer)
        try:
            await connection.run()
        except (_ClosedError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()
            self.notice()

    def notice(self) -> None:
        """Wake those who wait for something to have happened."""
        with self._arrival:
            self._arrival.notify_all()

    def scripted(self, *keys: str) -> str | None:
        """The scripted answer by the first of the keys that has one."""
        for key in keys:
            value = self.script.get(key)
            if isinstance(value, list):
                return value.pop(0) if len(value) > 1 else value[0]
            if value is not None:
                return value
        return None

    def delay(self, *keys: str) -> float:
        """Seconds before the answer."""
        return next((self.delays[key] for key in keys if key in self.delays), 0.0)


@dataclass(slots=True)
class _Connection:
    sink: Sink
    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    buffer: bytearray = field(default_factory=bytearray)
    reverse_path: str | None = None
    recipients: list[str] = field(default_factory=list)
    parameters: str = ""
    helo: str = ""
    forwarded: dict[str, str] = field(default_factory=dict)
    secured: bool = False
    held: bytes | None = None  # replies that wait until their message is kept

    async def run(self) -> None:
        greeting = "220 sink.example " + ("LMTP" if self.sink.lmtp else "ESMTP")
        await self._answer(greeting, "")
        while True:
            line = await self._line()
            self.sink.seen.append((self.number, line))
            self.sink.pipelined += bool(self.buffer)
            verb, _, rest = line.partition(" ")
            await self._command(verb.upper(), rest)
            self.sink.notice()

    async def _command(self, verb: str, rest: str) -> None:
        match verb:
            case "EHLO" | "LHLO" | "HELO":
                await self._hello(verb, rest)
            case "MAIL" | "RCPT":
                await self._address(verb, rest)
            case "DATA":
                await self._data()
            case "STARTTLS" if self.sink.tls and not self.secured:
                await self._answer("220 2.0.0 Go on", verb)
                await self.writer.start_tls(self.sink.tls)
                self.buffer.clear()
                self.secured = True
                self._reset()
            case "XFORWARD" | "XCLIENT":
                self.forwarded |= dict(pair.split("=", 1) for pair in rest.split())
                await self._answer("250 2.0.0 Ok" if verb == "XFORWARD" else "220 sink.example again", verb)
            case "RSET" | "NOOP":
                if verb == "RSET":
                    self._reset()
                await self._answer("250 2.0.0 Ok", verb)
            case "QUIT":
                await self._answer("221 2.0.0 Bye", verb)
                raise _ClosedError
            case _:
                await self._answer("502 5.5.1 Not known here", verb)

    async def _hello(self, verb: str, name: str) -> None:
        self._reset()
        self.helo = name
        offered = list(self.sink.extensions)
        if self.sink.tls and not self.secured:
            offered.append("STARTTLS")
        lines = ["sink.example", *offered] if verb != "HELO" else ["sink.example"]
        await self._answer("250 " + "\n".join(lines), verb)

    async def _address(self, verb: str, rest: str) -> None:
        match = _ADDRESS.match(rest)
        if not match:
            await self._answer("501 5.5.4 Syntax", verb)
            return
        address, parameters = match[1], match[2]
        if verb == "RCPT" and self.reverse_path is None:
            await self._answer("503 5.5.1 MAIL first", verb)
            return
        reply = await self._answer("250 2.1.0 Ok", f"{verb} {address}", verb)
        if reply.startswith("2") and verb == "MAIL":
            self.reverse_path, self.parameters = address, parameters
        elif reply.startswith("2"):
            self.recipients.append(address)

    async def _data(self) -> None:
        if not self.recipients:
            await self._answer("554 5.5.1 No valid recipients", "DATA")
            return
        reply = await self._answer("354 Go on", "DATA")
        if not reply.startswith("354"):
            return
        content = await self._content()
        answered: list[str] = []
        self.held = b""
        try:
            for recipient in self.recipients if self.sink.lmtp else [""]:
                keys = (f". {recipient}", ".") if recipient else (".",)
                answered.append(await self._answer("250 2.0.0 Ok: queued as 1", *keys))
        except _ClosedError as closed:
            answered += closed.args
            raise
        finally:
            # Kept before the reply leaves, so that whoever has heard the reply finds the message.
            self._keep(content, answered)
            self._let_go()
            self._reset()

    def _keep(self, content: bytes, answered: list[str]) -> None:
        arrived = Arrived(
            reverse_path=self.reverse_path or "",
            recipients=tuple(self.recipients),
            data=content if self.sink.keep_data else b"",
            digest=hashlib.sha256(content).hexdigest(),
            size=len(content),
            parameters=self.parameters,
            helo=self.helo,
            forwarded=dict(self.forwarded),
            tls=self.secured,
            connection=self.number,
            replies=tuple(answered),
            at=time.monotonic(),
        )
        self.sink.messages.append(arrived)
        self.sink.notice()

    async def _content(self) -> bytes:
        self.buffer[:0] = b"\r\n"  # the CRLF that ended DATA may be the first of CRLF.CRLF
        searched = 0
        while (end := self.buffer.find(b"\r\n.\r\n", searched)) < 0:
            searched = max(0, len(self.buffer) - 4)
            await self._more(1 << 20)
            if self.sink.read_pause:
                await asyncio.sleep(self.sink.read_pause)
        content = bytes(self.buffer[: end + 2]).replace(b"\r\n.", b"\r\n")[2:]
        del self.buffer[: end + 5]
        return content

    async def _line(self) -> str:
        while (end := self.buffer.find(b"\r\n")) < 0:
            if len(self.buffer) > _LINE_LIMIT:
                raise _ClosedError
            await self._more(1 << 16)
        line = self.buffer[:end].decode("utf-8", "surrogateescape")
        del self.buffer[: end + 2]
        return line

    async def _more(self, size: int) -> None:
        data = await self.reader.read(size)
        if not data:
            raise _ClosedError
        self.buffer += data

    async def _answer(self, usual: str, *keys: str) -> str:
        """Send the scripted answer, else the usual one, and return it."""
        delay = self.sink.delay(*keys)
        if delay:
            self._let_go(hold=True)
            await asyncio.sleep(delay)
        reply = self.sink.scripted(*keys)
        match reply:
            case "close":
                raise _ClosedError
            case "reset":
                linger = struct.pack("ii", 1, 0)
                self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.writer.transport.abort()
                raise _ClosedError
            case "silence":
                self._let_go(hold=True)
                await self.reader.read()  # until the other side has had enough
                raise _ClosedError
            case "after":
                await self._send(usual)
                raise _ClosedError(usual)
        await self._send(reply or usual)
        return reply or usual

    async def _send(self, reply: str) -> None:
        code, text = reply[:3], reply[4:].split("\n")
        lines = [f"{code}-{line}" for line in text[:-1]] + [f"{code} {text[-1]}"]
        wire = "".join(f"{line}\r\n" for line in lines).encode()
        if self.held is not None:
            self.held += wire
            return
        self.writer.write(wire)
        await self.writer.drain()

    def _let_go(self, *, hold: bool = False) -> None:
        """Write the replies that were held back; `hold`: and hold back those that come."""
        if self.held is not None:
            if self.held:
                self.writer.write(self.held)
            self.held = b"" if hold else None

    def _reset(self) -> None:
        self.reverse_path, self.recipients, self.parameters = None, [], ""
