"""mpp.gateway.probes: servers that answer, do not, or are somebody else; all on loopback."""

import asyncio
import socket

import pytest

from mpp.gateway.probes import next_hop, ping, probe
from mpp.gateway.settings import Settings

PATH = ("routes", 0, "hosts", 0)


def settings_for(port, **more):
    route = {"domains": ["example.org"], "hosts": [f"127.0.0.1:{port}"], "tls": "may", **more}
    return Settings.model_validate({"routes": [route]})


async def ask(settings):
    route = settings.routes[0]
    problem = await next_hop(PATH, route, route.hosts[0], settings, "mx.example.org")
    return problem.what if problem else None


@pytest.fixture
def refusing():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


async def test_a_next_hop_that_answers(hop):
    assert await ask(settings_for(hop.port)) is None
    assert hop.seen[0] == "EHLO mx.example.org"
    assert not any(line.startswith(("MAIL", "RCPT", "DATA")) for line in hop.seen)


async def test_a_next_hop_that_is_down(refusing):
    assert await ask(settings_for(refusing)) == f'"127.0.0.1:{refusing}" does not answer: Connection refused'


async def test_a_next_hop_that_refuses(hop):
    hop.greeting = "554 no"
    assert await ask(settings_for(hop.port)) == f'"127.0.0.1:{hop.port}" answers, but: greeting 554'


async def test_a_next_hop_without_the_tls_that_the_route_demands(hop):
    assert "STARTTLS is demanded by the route and not offered" in await ask(settings_for(hop.port, tls="must"))


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
async def test_a_next_hop_that_is_our_own_listener(address):
    settings = Settings.model_validate(
        {
            "listeners": [{"name": "in", "address": f"{address}:2525"}],
            "routes": [{"domains": ["example.org"], "hosts": ["localhost:2525"]}],
        }
    )
    assert await ask(settings) == '"localhost:2525" is our own listener "in", so mail would go round in circles'


@pytest.mark.parametrize(
    ("kind", "answer", "expected"),
    [
        ("clamd", b"PONG\0", None),
        ("spamd", b"SPAMD/1.5 0 PONG\r\n", None),
        ("clamd", b"220 mail\r\n", "is no clamd: it answers 220 mail\\x0d\\x0a"),
        ("spamd", b"", "is no spamd: it answers nothing"),
    ],
)
async def test_scanners(kind, answer, expected):
    async def serve(reader, writer):
        await reader.read(100)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        scanner = {"name": "s", "kind": kind, "servers": [address]}
        pool = Settings.model_validate({"scanners": [scanner]}).scanners[0]
        problem = await ping(("scanners", 0), pool, address)
    assert (problem.what if problem else None) == (f'"{address}" {expected}' if expected else None)


async def test_all_of_them_are_asked(refusing):
    settings = Settings.model_validate(
        {
            "scanners": [{"name": "s", "kind": "clamd", "servers": [f"127.0.0.1:{refusing}", "unix:/nowhere"]}],
            "routes": [{"domains": ["example.org"], "hosts": [f"127.0.0.1:{refusing}"]}],
        }
    )
    assert [problem.path for problem in await probe(settings, "localhost")] == [
        ("scanners", 0, "servers", 0),
        ("scanners", 0, "servers", 1),
        ("routes", 0, "hosts", 0),
        ("node", "hostname"),
    ]
