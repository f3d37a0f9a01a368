"""The status page: what it answers, and what hostile clients get."""

import asyncio
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mpp.gateway import status
from mpp.gateway.status import CONNECTIONS, MAX_REQUEST, answer
from mpp.net.metrics import BOUNDS, COUNTERS, Counter, Gauge, Histogram
from mpp.net.table import NodeTable


@pytest.fixture
def table():
    table = NodeTable.create(2)
    for slot in range(2):
        table.writer(slot).beat(100.0)
    return table


def get(table, path="/metrics", now=101.0, method="GET"):
    return answer(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), table, 10.0, now)


def test_metrics_are_the_sum_over_the_workers(table):
    for slot in range(2):
        writer = table.writer(slot)
        writer.add(Counter.MESSAGES_TAGGED, 3)
        writer.set(Gauge.MEMORY_IN_FLIGHT, 1000)
        writer.set(Gauge.LOOP_LAG_MICROSECONDS, 50 + slot)
        writer.connection_opened("192.0.2.1")
        writer.observe(Histogram.CLAMD, 0.003)
        writer.observe(Histogram.CLAMD, 1000.0)
    code, kind, body = get(table)
    assert code == 200
    assert kind.startswith("text/plain; version=")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert samples["mpp_messages_total", ("disposition", "tag")] == 6
    assert samples["mpp_messages_total", ("disposition", "reject")] == 0
    assert samples["mpp_memory_in_flight_bytes",] == 2000
    assert samples["mpp_loop_lag_microseconds",] == 51
    assert samples["mpp_connections_open",] == 2
    assert samples["mpp_scanner_seconds_bucket", ("le", "0.0025"), ("scanner", "clamd")] == 0
    assert samples["mpp_scanner_seconds_bucket", ("le", "0.005"), ("scanner", "clamd")] == 2
    assert samples["mpp_scanner_seconds_bucket", ("le", str(BOUNDS[-1])), ("scanner", "clamd")] == 2
    assert samples["mpp_scanner_seconds_bucket", ("le", "+Inf"), ("scanner", "clamd")] == 4
    assert samples["mpp_scanner_seconds_sum", ("scanner", "clamd")] == pytest.approx(2000.006)
    for described in COUNTERS.values():
        assert (f"{described.name}_total", *sorted(described.labels.items())) in samples


def test_health(table):
    assert get(table, "/healthz") == (200, "text/plain; charset=utf-8", b"ok\n")
    assert get(table, "/healthz", now=110.0)[0] == 200
    table.writer(0).beat(110.0)
    assert get(table, "/healthz", now=110.1)[::2] == (503, b"silent: worker 1\n")
    table.clear(0, 111.0)
    assert get(table, "/healthz", now=111.0)[::2] == (503, b"silent: worker 0, worker 1\n")


@pytest.mark.parametrize(
    ("request_line", "code"),
    [
        ("GET /metrics HTTP/1.0", 200),
        ("HEAD /metrics?x=1 HTTP/1.1", 200),
        ("GET / HTTP/1.1", 404),
        ("GET /../../etc/passwd HTTP/1.1", 404),
        ("POST /metrics HTTP/1.1", 405),
        ("get /metrics HTTP/1.1", 405),
        ("GET /metrics", 400),
        ("EHLO x", 400),
        ("", 400),
        ("\x00\xff", 400),
    ],
)
def test_requests(table, request_line, code):
    assert answer(request_line.encode("latin-1") + b"\r\n\r\n", table, 10.0, 101.0)[0] == code


@pytest.fixture
async def port(table, monkeypatch):
    monkeypatch.setattr(status, "REQUEST_S", 0.2)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(status._serve(listening, table, 1e9))
    yield listening.getsockname()[1]
    serving.cancel()


async def talk(port, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_an_answer_is_whole_and_ends_the_connection(port):
    said = await talk(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.endswith(b"\r\nContent-Length: 3\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nok\n")


async def test_head_has_no_body(port):
    said = await talk(port, b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert b"Content-Length: 3\r\n" in said
    assert said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "request_", [b"GET /" + b"x" * 3 * MAX_REQUEST, b"GET / HTTP/1.1\r\nX: " + b"y" * 3 * MAX_REQUEST, b"GET /metrics"]
)
async def test_endless_and_unfinished_requests_get_nothing(port, request_):
    assert await talk(port, request_) == b""


async def test_idle_clients_hold_no_place_for_long(port):
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    while not (said := await talk(port, b"GET /healthz HTTP/1.1\r\n\r\n")):  # all places are taken
        await asyncio.sleep(0.02)
    assert said.endswith(b"ok\n")
    for _, writer in idle:
        writer.close()
