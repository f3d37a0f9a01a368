"""Stand-ins for spamd: several servers in one process, their service times slept and not burnt. `python -m bench.spamds CONFIG`.

CONFIG is JSON: {"times": [seconds...], "servers": [{"host", "port", "children", "speed", "stall": [every, length, offset]}]}. A mail
with `X-Bench-Number: N` takes times[N % len] at speed 1, wherever it lands. As with spamd, a server works on as many requests as it has
children, a PING needs a free one, and a request whose client has gone costs its time all the same. Commands come by lines on stdin, each
answered by a JSON line: `epoch` (the clock of stalls and the count begin anew), `kill N`, `start N`, `hang N` (takes all, answers nothing, until `start N`),
`stats` (requests seen, answered).
"""

import asyncio
import heapq
import json
import re
import socket
import struct
import sys
from typing import Any

_NUMBER = re.compile(rb"^X-Bench-Number: (\d+)", re.MULTILINE)
_LENGTH = re.compile(rb"^Content-length: *(\d+)", re.MULTILINE | re.IGNORECASE)
_REPORT = b" pts rule name              description\n---- ---------------------- ------------------------------\n 0.1 BENCH                  stand-in\n"
_ANSWER = b"SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: False ; 0.1 / 5.0\r\n\r\n%b" % (len(_REPORT), _REPORT)
_RESET = struct.pack("ii", 1, 0)


class Spamd:
    """One server."""

    def __init__(self, number: int, config: dict[str, Any], times: list[float]) -> None:
        self.number, self.times = number, times
        self.address = config["host"], config["port"]
        self.children, self.speed = config.get("children", 2), config.get("speed", 1.0)
        self.stall = config.get("stall")
        self.listening: asyncio.Server | None = None
        self.peers: set[asyncio.StreamWriter] = set()
        self.hangs = False
        self.epoch()

    def epoch(self) -> None:
        self.zero = asyncio.get_running_loop().time()
        self.free = [self.zero] * self.children  # when each child will be
        self.seen: list[tuple[float, int]] = []
        self.answered: set[int] = set()

    async def start(self) -> None:
        self.hangs = False
        if self.listening is None:
            self.free = [asyncio.get_running_loop().time()] * self.children
            self.listening = await asyncio.start_server(self.serve, *self.address, backlog=4096, limit=1 << 26)

    def kill(self) -> None:
        if self.listening is not None:
            self.listening.close()
            self.listening = None
        for peer in list(self.peers):
            peer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            peer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            await self.work(head, body, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.peers.discard(writer)
            writer.close()

    async def work(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        """Wait for a child and for its work, and answer."""
        loop = asyncio.get_running_loop()
        found = _NUMBER.search(body)
        number = int(found[1]) if found else -1
        ping = head.startswith(b"PING")
        if found:  # and no question of its version
            self.seen.append((loop.time() - self.zero, number))
        work = 0.0 if ping else self.times[number % len(self.times)] / self.speed
        begins = max(loop.time(), heapq.heappop(self.free))
        ends = self.zero + ends_at(begins - self.zero, work, self.stall)
        heapq.heappush(self.free, ends)
        await asyncio.sleep(ends - loop.time())
        while self.hangs:
            await asyncio.sleep(0.01)
        if not writer.is_closing():
            writer.write(b"SPAMD/1.5 0 PONG\r\n" if ping else _ANSWER)
            self.answered.add(number)


def ends_at(begins: float, work: float, stall: list[float] | None) -> float:
    """Return when work is done at a server that stands still for `length` seconds every `every`, from `offset` on."""
    if not stall:
        return begins + work
    every, length, offset = stall
    now = begins
    while True:
        since = (now - offset) % every if now >= offset else -1.0
        if 0 <= since < length:
            now += length - since
            since = length
        until = now + every - since if since >= 0 else offset
        if now + work <= until:
            return now + work
        work -= until - now
        now = until


async def main(config: dict[str, Any]) -> None:
    servers = [Spamd(number, each, config["times"]) for number, each in enumerate(config["servers"])]
    for server in servers:
        await server.start()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps("ready"), flush=True)
    while line := (await reader.readline()).decode().split():
        answer: Any = "ok"
        match line:
            case ["epoch"]:
                for server in servers:
                    server.epoch()
            case ["kill", number]:
                servers[int(number)].kill()
            case ["start", number]:
                await servers[int(number)].start()
            case ["hang", number]:
                servers[int(number)].hangs = True
            case ["stats"]:
                answer = [{"seen": each.seen, "answered": sorted(each.answered)} for each in servers]
            case _:
                answer = "unknown"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
