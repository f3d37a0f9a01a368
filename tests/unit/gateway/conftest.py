"""A next hop that does as it is told, in this process."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest

from mpp.gateway.hop import HopSettings
from mpp.gateway.settings import Route
from mpp.gateway.targets import Target
from mpp.settings.values import Endpoint


@dataclass
class FakeHop:
    """Answers commands by their first word; `script` maps a word, or a whole line, to reply lines or to "close"."""

    extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 1000000", "ENHANCEDSTATUSCODES")
    script: dict[str, str] = field(default_factory=dict)
    greeting: str = "220 hop ESMTP"
    lmtp: bool = False
    seen: list[str] = field(default_factory=list)  # every line of every connection
    messages: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        accepted: list[str] = []
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if self.greeting == "close":
                return
            writer.write(self.greeting.encode() + b"\r\n")
            while line := (await reader.readline()).decode().rstrip("\r\n"):
                self.seen.append(line)
                word = line.split(" ")[0].upper()
                answer = self.script.get(line, self.script.get(word, self._default(word)))
                if answer == "close":
                    return
                if answer == "silence":
                    await asyncio.sleep(3600)
                if word == "RCPT" and answer.startswith("2"):
                    accepted.append(line)
                writer.write(answer.encode() + b"\r\n")
                if answer.startswith("354"):
                    data = await reader.readuntil(b"\r\n.\r\n")
                    final = self.script.get(".", "250 2.0.0 queued as 1")
                    if final == "close":
                        return
                    self.messages.append(data[:-3])
                    for each in accepted if self.lmtp else [""]:
                        answer = self.script.get("." + each, final)
                        if answer == "close":
                            return
                        writer.write(answer.encode() + b"\r\n")
                    accepted = []
                if word == "QUIT":
                    return
        writer.close()

    def _default(self, word: str) -> str:
        match word:
            case "EHLO" | "LHLO":
                lines = ["hop", *self.extensions]
                return "\r\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines)
            case "DATA":
                return "354 go"
            case "QUIT":
                return "221 2.0.0 bye"
            case _:
                return "250 2.0.0 ok"


@pytest.fixture
async def hop():
    fake = FakeHop()

    async def serve(reader, writer):
        try:
            await fake.serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 22)
    fake.port = server.sockets[0].getsockname()[1]
    yield fake
    server.close()


@pytest.fixture
def target_of():
    """Make a Target for ports, tried in order; keywords go to the Route."""

    def make(*ports: int, protocol: str = "smtp", **route) -> Target:
        endpoints = tuple(Endpoint(protocol, "127.0.0.1", port) for port in ports)
        settings = Route(domains=("example.org",), hosts=endpoints, **route)
        hosts = tuple(
            HopSettings(endpoint, "none", "127.0.0.1", "mpp.test", 1.0, 2.0, settings.connections)
            for endpoint in endpoints
        )
        return Target(settings, hosts, str(endpoints[0]))

    return make
