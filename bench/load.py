"""A closed loop of SMTP clients: each connection has one message on its way, and the next follows its answer.

`python -m bench.load PORT SHAPE CONNECTIONS MESSAGES [pipelined] [distinct]` prints one JSON line. Without `pipelined`
each command waits for its answer, as smtp-source -d does it, so that every peer is asked alike; with it MAIL, RCPT and
DATA go out in one write, as MTAs do it. `distinct`: every message goes to a recipient of its own.
Latency is from MAIL to the answer after the dot.
"""

import asyncio
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from bench.messages import shapes

_MAIL = b"MAIL FROM:<anna.field@example.com>\r\n"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the loop saw. Times in seconds of the monotonic clock, latencies in milliseconds."""

    sent: int
    refused: int
    first_refusal: str
    started: float
    ended: float
    p50_ms: float
    p99_ms: float
    cpu_s: float


class Work:
    """What is still to be sent, and what became of the rest."""

    def __init__(self, shape: str, messages: int, distinct: bool) -> None:
        self._shape = shapes()[shape]
        self._run = random.getrandbits(36)
        self._left = iter(range(messages))
        self._distinct = distinct
        self.latencies: list[float] = []
        self.refusals: list[str] = []

    def next(self) -> tuple[bytes, bytes] | None:
        """Return the RCPT command and the data with its end, or None when all are on their way."""
        number = next(self._left, None)
        if number is None:
            return None
        token = b"%09x%07x" % (self._run, number)
        recipient = b"reader-" + token if self._distinct else b"reader"
        return b"RCPT TO:<" + recipient + b"@example.org>\r\n", self._shape.with_token(token) + b".\r\n"


class Client(asyncio.Protocol):
    """One connection. Its dialogue is a generator: it yields octets and how many replies they are owed."""

    def __init__(self, work: Work, pipelined: bool, ended: Callable[[], None]) -> None:
        self._work = work
        self._pipelined = pipelined
        self._ended = ended
        self._replies: list[bytes] = []
        self._rest = b""
        self._owed = 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._dialogue = self._speak()
        next(self._dialogue)

    def connection_lost(self, error: Exception | None) -> None:
        self._dialogue.close()
        self._ended()

    def data_received(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\r\n")
        self._rest = lines.pop()
        self._replies += [line for line in lines if line[3:4] != b"-"]
        if len(self._replies) < self._owed:
            return
        try:
            octets, self._owed = self._dialogue.send(self._replies)
        except StopIteration:
            self._transport.close()
            return
        self._replies = []
        self._transport.write(octets)

    def _speak(self) -> Generator[tuple[bytes, int], list[bytes], None]:
        replies = yield b"", 1
        replies = yield b"EHLO client.example.com\r\n", 1
        while (message := self._work.next()) is not None:
            rcpt, body = message
            began = time.perf_counter()
            if self._pipelined:
                steps: tuple[tuple[bytes, int], ...] = ((_MAIL + rcpt + b"DATA\r\n", 3), (body, 1))
            else:
                steps = ((_MAIL, 1), (rcpt, 1), (b"DATA\r\n", 1), (body, 1))
            for step in steps:
                replies = yield step
                refusal = next((reply for reply in replies if reply[:1] > b"3"), None)
                if refusal is not None:
                    self._work.refusals.append(refusal.decode("ascii", "backslashreplace"))
                    yield b"RSET\r\n", 1
                    break
            else:
                self._work.latencies.append(time.perf_counter() - began)
        yield b"QUIT\r\n", 1


async def run(port: int, shape: str, connections: int, messages: int, pipelined: bool, distinct: bool) -> Outcome:
    work = Work(shape, messages, distinct)
    began, cpu = time.monotonic(), _cpu_s()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_connection(port, work, pipelined))
    latencies = sorted(work.latencies) or [0.0]
    unsent = messages - len(work.latencies) - len(work.refusals)
    return Outcome(
        sent=len(work.latencies),
        refused=len(work.refusals) + unsent,
        first_refusal=next(iter(work.refusals), "connection lost" if unsent else ""),
        started=began,
        ended=time.monotonic(),
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
        cpu_s=_cpu_s() - cpu,
    )


async def _connection(port: int, work: Work, pipelined: bool) -> None:
    ended = asyncio.Event()
    await asyncio.get_running_loop().create_connection(lambda: Client(work, pipelined, ended.set), "127.0.0.1", port)
    await ended.wait()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    port, shape, connections, messages, *how = sys.argv[1:]
    outcome = uvloop.run(run(int(port), shape, int(connections), int(messages), "pipelined" in how, "distinct" in how))
    print(json.dumps(asdict(outcome)))
