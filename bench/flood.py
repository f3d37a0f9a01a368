"""Many clients that each send one large message at the same time. `python -m bench.flood PORT CLIENTS OCTETS`.

Each comes from a network of its own, and tries again after any 4xx (as a sending MTA would, only sooner, with growing pauses)
until its message has been taken. Prints one JSON line, after 150 seconds at the latest.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator

import uvloop

from bench.bombs import attachment

_PATIENCE_S = 150.0


async def flood(port: int, clients: int, octets: int) -> dict[str, object]:
    body = attachment(octets) + b".\r\n"
    draw = random.Random(port)
    refusals: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    began = loop.time()
    tasks = [asyncio.create_task(_client(port, number, body, refusals, draw)) for number in range(clients)]
    _, late = await asyncio.wait(tasks, timeout=_PATIENCE_S)
    for task in late:
        task.cancel()
    return {"taken": clients - len(late), "refusals": dict(refusals), "seconds": loop.time() - began}


async def _client(port: int, number: int, body: bytes, refusals: Counter[str], draw: random.Random) -> None:
    attempt = 0
    while True:
        attempt += 1
        answer = await _attempt(port, f"127.3.{number % 250}.1", number, body)
        if answer.startswith("250"):
            return
        if answer[:1] == "5":
            raise SystemExit(f"client {number + 1}: {answer}")
        refusals[answer[:9]] += 1
        await asyncio.sleep(draw.uniform(0.5, 1.0) * min(16.0, 2.0**attempt))


async def _attempt(port: int, source: str, number: int, body: bytes) -> str:
    """Return the last answer of one attempt; "lost" where the connection broke."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    except OSError:
        return "lost"
    try:
        answer = await _answer(reader)
        for step in _steps(number, body):
            if answer[:1] not in "23":
                break
            writer.write(step)
            await writer.drain()
            answer = await _answer(reader)
        return answer
    except (OSError, asyncio.IncompleteReadError):
        return "lost"
    finally:
        writer.close()


def _steps(number: int, body: bytes) -> Iterator[bytes]:
    yield b"EHLO client.example.com\r\n"
    yield b"MAIL FROM:<anna.field@example.com> SIZE=%d\r\n" % (len(body) - 3)
    yield b"RCPT TO:<reader%d@example.org>\r\n" % number
    yield b"DATA\r\n"
    yield body


async def _answer(reader: asyncio.StreamReader) -> str:
    while True:
        line = await reader.readuntil(b"\r\n")
        if line[3:4] != b"-":
            return line.decode("ascii", "backslashreplace")


if __name__ == "__main__":
    print(json.dumps(uvloop.run(flood(*map(int, sys.argv[1:4])))))
