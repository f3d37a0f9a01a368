"""`python -m bench.standin KIND`: a scanner that answers at once, so that what the gateway's side costs can be measured alone.

Prints its port. Speaks as much of its protocol as the adapters use, and keeps connections open where they would be.
"""

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable

RSPAMD = json.dumps(
    {
        "score": 3.5,
        "action": "no action",
        "symbols": {f"SYMBOL_{n}": {"score": 0.5, "description": "A rule", "options": ["one"]} for n in range(7)},
    }
).encode()
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def clamd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\0")
    number = 0
    while await reader.readuntil(b"\0"):
        number += 1
        while length := int.from_bytes(await reader.readexactly(4), "big"):
            await reader.readexactly(length)
        writer.write(b"%d: stream: OK\0" % number)


async def rspamd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await reader.readuntil(b"\r\n\r\n"):
        match = _LENGTH.search(head)
        await reader.readexactly(int(match[1]) if match else 0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(RSPAMD), RSPAMD))


async def icap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await reader.readuntil(b"\r\n\r\n"):
        if head.startswith(b"OPTIONS"):
            told = b"Methods: RESPMOD\r\nPreview: 1024\r\nAllow: 204\r\nEncapsulated: null-body=0"
            writer.write(b"ICAP/1.0 200 OK\r\n%b\r\n\r\n" % told)
            continue
        await reader.readexactly(int(head.rpartition(b"-body=")[2]))
        if await _chunks(reader) and b"\r\nPreview: " in head:
            writer.write(b"ICAP/1.0 100 Continue\r\n\r\n")
            await _chunks(reader)
        writer.write(b"ICAP/1.0 204 Unmodified\r\n\r\n")


async def _chunks(reader: asyncio.StreamReader) -> bool:
    """Read to the last chunk; True where it does not say that a preview was all there is."""
    while True:
        line = (await reader.readuntil(b"\r\n")).strip()
        size = int(line.partition(b";")[0], 16)
        await reader.readexactly(size + 2)
        if not size:
            return b"ieof" not in line


SPEAK: dict[str, Speak] = {"clamd": clamd, "rspamd": rspamd, "icap": icap}


async def _serve(kind: str) -> None:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await SPEAK[kind](reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
