"""mpp.gateway.probes: servers that answer, do not, or are somebody else; all on loopback."""

import asyncio
import socket

import pytest

from mpp.gateway.probes import next_hop, probe
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
        ("clamd", b"1: ClamAV 1.4.1\0", ["note: is ClamAV 1.4.1"]),
        ("clamd", b"1: ClamAV 1.4.1/27400/Sun Nov 23 10:00:00 2036\0", ["note: is ClamAV 1.4.1, daily 27400, signatures of 2036-11-23"]),
        ("clamd", b"1: ClamAV 1.4.1/27400/Mon Sep 16 10:00:00 2024\0", ["note: is ClamAV 1.4.1, daily 27400, signatures of 2024-09-16", "warning: has signatures of 2024-09-16, which are "]),
        ("spamd", b"SPAMD/1.1 0 EX_OK\r\nContent-length: 46\r\nSpam: False ; 0.0 / 5.0\r\n\r\nX-Spam-Checker-Version: SpamAssassin 4.0.1 (x)", ["note: is SpamAssassin 4.0.1"]),
        ("rspamd", b"HTTP/1.1 200 OK\r\nServer: rspamd/3.4\r\nContent-Length: 6\r\n\r\npong\r\n", ["note: is rspamd/3.4"]),
        ("rspamd", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ["error: ADDRESS is no rspamd: it answers 404 Not Found"]),
        ("clamd", b"220 mail\r\n\0", ["error: ADDRESS is no clamd: not a reply of clamd: 220 mail"]),
        ("clamd", b"", ["error: ADDRESS is no clamd: closed before its reply"]),
        ("spamd", b"", ["error: ADDRESS is no spamd: closed before its reply"]),
    ],
)  # fmt: skip
async def test_scanners(kind, answer, expected):
    async def serve(reader, writer):
        await reader.read(100)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        scanner = {"name": "s", "kind": kind, "servers": [address]}
        problems = await probe(Settings.model_validate({"scanners": [scanner]}), "localhost")
    told = [f"{each.severity}: {each.what}" for each in problems if each.path == ("scanners", 0, "servers", 0)]
    assert len(told) == len(expected)
    for text, start in zip(told, expected, strict=True):
        assert text.startswith(start.replace("ADDRESS", f'"{address}"'))


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
