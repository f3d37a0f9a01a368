"""Scanners of the test's own, in its own event loop: they answer as told, hang, die, lie or come late."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REPORT = (
    b"Content preview:  ---- ---------------------- ------------------------------\r\n 99 FAKE of the message\r\n\r\n"
    b" pts rule name              description\r\n"
    b"---- ---------------------- --------------------------------------------------\r\n"
    b" 2.7 MISSING_DATE           Missing Date: header\r\n"
    b"-0.1 WRAPPED                A description that is\r\n"
    b"                            wrapped [URIs: x.example]\r\n"
    b"\r\n"
    b" 50 AFTER_THE_TABLE         not of it\r\n"
)


class Served:
    """A server on a free port: `handler` speaks on each connection; what becomes of its connections is counted."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.connections = 0
        self.address = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._handler(reader, writer)
        writer.close()


class Serve(Protocol):
    async def __call__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> Served: ...


async def read_spamd(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    return head, await reader.readexactly(int(fields["Content-length"]))


def spamd_answer(score: str = "2.6", report: bytes = REPORT) -> bytes:
    head = f"SPAMD/1.1 0 EX_OK\r\nContent-length: {len(report)}\r\nSpam: False ; {score} / 5.0\r\n\r\n"
    return head.encode() + report


def answering(wire: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_spamd(reader)
        writer.write(wire)

    return handler


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until the other side has enough


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"\xff\x1b[2J\r\n\0" * 3000)


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"SPAMD/1.1 0 EX_OK\r\nContent-length: 500\r\nSpam: True ; 1.0 / 5.0\r\n\r\nhalf")


async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"S")
        await writer.drain()
        await asyncio.sleep(0.01)
