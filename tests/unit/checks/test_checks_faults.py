"""Every kind of scanner that is a server, against servers that are silent, die, lie or flood: a failure, never a verdict."""

import asyncio
import time
from collections.abc import Callable

import pytest

from mpp.checks.scanners.build import scanners
from mpp.checks.scanners.scanner import Tools
from mpp.gateway.settings import Settings
from mpp.mail.message import Message
from mpp.verdict.finding import SCANNER_FAILED, OnFailure
from servers.scripted import Handler, Serve
from servers.transactions import a_transaction

RAW = b"Subject: hi\r\n\r\nhello\r\n"
HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
FINDINGS = b'{"findings": []}'
RSPAMD = b'{"score": 1.5, "action": "no action", "symbols": {"A": {"score": 1.5}}}'

# What a server of each kind would say to RAW, and what it says when it answers somebody else.
ANSWERS = {
    "spamd": b"SPAMD/1.1 0 EX_OK\r\nContent-length: 2\r\nSpam: False ; 0.1 / 5.0\r\n\r\nxx",
    "clamd": b"1: stream: OK\0",
    "rspamd": HTTP % (len(RSPAMD), RSPAMD),
    "http": HTTP % (len(FINDINGS), FINDINGS),
    "icap": b"ICAP/1.0 204 Unmodified\r\nEncapsulated: null-body=0\r\n\r\n",
}
FOREIGN = {
    "spamd": b"SPAMD/1.1 0 PONG\r\n\r\n",
    "clamd": b"2: stream: OK\0",
    "rspamd": 2 * ANSWERS["rspamd"],
    "icap": 2 * ANSWERS["icap"],
    "http": HTTP % (29, b'{"id": "other", "findings":[]}'[:29]),
}
ENDLESS = {
    "spamd": b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0.1 / 5.0\r\n\r\n",
    "clamd": b"1: stream: ",
    "rspamd": b"HTTP/1.1 200 OK\r\n\r\n",
    "http": b"HTTP/1.1 200 OK\r\n\r\n",
    "icap": b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n6400000\r\n",
}


async def shown(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return when RAW was shown; an ICAP service is asked for its options before."""
    seen = b""
    while b"hello\r\n" not in seen:
        seen += (piece := await reader.read(4096))
        if not piece:
            raise ConnectionResetError
        if seen.startswith(b"OPTIONS"):
            writer.write(b"ICAP/1.0 200 OK\r\nEncapsulated: null-body=0\r\n\r\n")
            seen = b""


def saying(*octets: bytes, hang: bool = False) -> Handler:
    """Waits for the end of RAW, speaks, and closes or hangs."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shown(reader, writer)
        for piece in octets:
            writer.write(piece)
            await writer.drain()
        if hang:
            await reader.read()

    return handler


async def flooding(start: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """100 MiB, or until the other side has had enough."""
    await shown(reader, writer)
    writer.write(start)
    for _ in range(1600):
        writer.write(b"x" * 65536)
        await writer.drain()


WAYS: dict[str, Callable[[str], Handler]] = {
    "accepts and says nothing": lambda kind: saying(hang=True),
    "closes": lambda kind: saying(),
    "closes in mid-answer": lambda kind: saying(ANSWERS[kind][: len(ANSWERS[kind]) // 2]),
    "hangs in mid-answer": lambda kind: saying(ANSWERS[kind][: len(ANSWERS[kind]) // 2], hang=True),
    "answers for another request": lambda kind: saying(FOREIGN[kind]),
    "answers 100 MiB": lambda kind: lambda reader, writer: flooding(ENDLESS[kind], reader, writer),
    "speaks another protocol": lambda kind: saying(b"220 mx.example.org ESMTP\r\n", b"\x16\x03\x01\0\xff\r\n\r\n\0", hang=True),
}  # fmt: skip


MORE = {"icap": {"service": "/av"}}


def settings(kind: str, address: str) -> dict[str, object]:
    return MORE.get(kind, {}) | {
        "name": "x",
        "kind": kind,
        "servers": [address],
        "timeout": 0.3,
        "connect_timeout": 0.3,
    }


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("way", WAYS)
async def test_a_faulty_server_is_a_failure_with_its_name_and_cause(serve: Serve, kind: str, way: str) -> None:
    served = await serve(WAYS[way](kind))
    (pool,) = Settings.model_validate({"scanners": [settings(kind, served.address) | {"on_failure": "defer"}]}).scanners
    (check,) = scanners([pool], Tools())
    started = time.monotonic()
    (finding,) = await check.examine(Message(RAW), a_transaction())
    assert time.monotonic() - started < 10
    assert served.connections >= 1
    assert (finding.symbol, finding.failure, finding.verdict) == (SCANNER_FAILED, OnFailure.DEFER, None)
    server, _, cause = finding.evidence.partition(": ")
    assert server == served.address
    assert cause
    assert cause.isprintable()
    assert len(cause) < 500


@pytest.mark.parametrize("kind", ANSWERS)
async def test_the_same_answers_whole_are_answers(serve: Serve, kind: str) -> None:
    """So that the failures above have the fault for their cause."""
    served = await serve(saying(ANSWERS[kind]))
    (pool,) = Settings.model_validate({"scanners": [settings(kind, served.address)]}).scanners
    (check,) = scanners([pool], Tools())
    findings = await check.examine(Message(RAW), a_transaction())
    assert SCANNER_FAILED not in {finding.symbol for finding in findings}
