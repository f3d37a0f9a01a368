"""/metrics and /healthz: what the node counted (sum over the workers) and whether its workers live.

A small process of its own, so that a slow reader of metrics costs no mail time. It speaks as much HTTP/1.1 as
monitoring needs: one GET or HEAD a connection. A request is hostile: its line and header are limited in size and time,
connections in number. It has no access control; bind it to an address that only monitoring reaches.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from mpp.net.metrics import BOUNDS, COUNTERS, GAUGES, HISTOGRAMS, Gauge
from mpp.net.pool.board import OnBoard, servers_of
from mpp.net.table import NodeTable

MAX_REQUEST = 8192  # octets of request line and header
REQUEST_S = 5.0  # for the request to arrive, and for the answer to be taken
CONNECTIONS = 64
_TEXT = "text/plain; charset=utf-8"
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
Answer = tuple[int, str, bytes]


class TableCollector(Collector):
    """The table as Prometheus sees it."""

    def __init__(self, table: NodeTable) -> None:
        self._table = table

    def collect(self) -> Iterator[Metric]:
        yield from self._counters().values()
        yield GaugeMetricFamily("mpp_connections_open", "Connections at this time", self._table.connections())
        yield GaugeMetricFamily("mpp_workers", "Worker slots", self._table.workers)
        yield from self._gauges().values()
        yield from self._histograms().values()
        yield from _servers(self._table)

    def _counters(self) -> dict[str, CounterMetricFamily]:
        families: dict[str, CounterMetricFamily] = {}
        for counter, described in COUNTERS.items():
            names = list(described.labels)
            family = families.setdefault(
                described.name, CounterMetricFamily(described.name, described.text, labels=names)
            )
            family.add_metric(list(described.labels.values()), self._table.counter(counter))
        return families

    def _gauges(self) -> dict[str, GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for gauge, described in GAUGES.items():
            names, values = list(described.labels), self._table.gauge(gauge)
            family = families.setdefault(
                described.name, GaugeMetricFamily(described.name, described.text, labels=names)
            )
            value = max(values) if gauge is Gauge.LOOP_LAG_MICROSECONDS else sum(values)
            family.add_metric(list(described.labels.values()), value)
        return families

    def _histograms(self) -> dict[str, HistogramMetricFamily]:
        families: dict[str, HistogramMetricFamily] = {}
        for histogram, described in HISTOGRAMS.items():
            buckets, total = self._table.histogram(histogram)
            ends = [*map(str, BOUNDS), "+Inf"]
            counts = [sum(buckets[: number + 1]) for number in range(len(buckets))]
            family = families.setdefault(
                described.name, HistogramMetricFamily(described.name, described.text, labels=list(described.labels))
            )
            family.add_metric(list(described.labels.values()), list(zip(ends, counts, strict=True)), total)
        return families


def _servers(table: NodeTable) -> Iterator[Metric]:
    """The servers of scanners, each by its pool and name."""
    servers, labels = servers_of(table), ["pool", "server"]
    for name, text, value in _OF_SERVERS:
        counts = name.startswith("+")
        family = (CounterMetricFamily if counts else GaugeMetricFamily)(name.lstrip("+"), text, labels=labels)
        for server in servers:
            family.add_metric([server.pool, server.server], value(server))
        yield family
    waiting = GaugeMetricFamily("mpp_scanner_waiting", "Messages that wait for a place in a pool", labels=["pool"])
    for pool, number in {server.pool: server.waiting for server in servers}.items():
        waiting.add_metric([pool], number)
    yield waiting


_OF_SERVERS: tuple[tuple[str, str, Callable[[OnBoard], float]], ...] = (  # "+" before a name: it only grows
    ("mpp_scanner_server_up", "1: takes messages; 0: down, suspect or drained", lambda each: each.state == "up"),
    ("mpp_scanner_server_in_use", "Messages at a server", lambda each: each.in_use),
    ("mpp_scanner_server_places", "Messages that a server can have at a time", lambda each: each.places),
    ("mpp_scanner_server_expected_seconds", "Time expected for 4 KiB", lambda each: (each.expected_ms or 0.0) / 1000),
    ("+mpp_scanner_server_answers", "Answers of a server", lambda each: each.answers),
    ("+mpp_scanner_server_failures", "Failures of a server", lambda each: each.failures),
    ("+mpp_scanner_server_copies", "Copies of stuck messages given to a server", lambda each: each.copies),
)


def answer(request: bytes, table: NodeTable, silence_s: float, now: float) -> Answer:
    """Return status, content type and body for the head of a request."""
    words = request.partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return 400, _TEXT, b"not HTTP/1.1\n"
    if words[0] not in (b"GET", b"HEAD"):
        return 405, _TEXT, b"GET or HEAD only\n"
    path = words[1].partition(b"?")[0]
    if path == b"/metrics":
        registry = CollectorRegistry(auto_describe=False)
        registry.register(TableCollector(table))
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
    if path == b"/healthz":
        return _health(table, silence_s, now)
    return 404, _TEXT, b"/metrics and /healthz are here\n"


def _health(table: NodeTable, silence_s: float, now: float) -> Answer:
    silent = [slot for slot, heard in enumerate(table.heartbeats()) if now - heard > silence_s or not heard]
    if silent:
        return 503, _TEXT, f"silent: {', '.join(f'worker {slot}' for slot in silent)}\n".encode()
    return 200, _TEXT, b"ok\n"


def serve_status(listening: socket.socket, table: NodeTable, silence_s: float) -> None:
    """Answer until SIGTERM ends the process."""
    asyncio.run(_serve(listening, table, silence_s))


async def _serve(listening: socket.socket, table: NodeTable, silence_s: float) -> None:
    places = asyncio.Semaphore(CONNECTIONS)
    server = await asyncio.start_server(
        partial(_connection, table=table, silence_s=silence_s, places=places), sock=listening, limit=MAX_REQUEST
    )
    async with server:
        await server.serve_forever()


async def _connection(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    table: NodeTable,
    silence_s: float,
    places: asyncio.Semaphore,
) -> None:
    """One request; every fault of the client ends its connection and nothing else."""
    try:
        if places.locked():
            return
        async with places, asyncio.timeout(REQUEST_S):
            request = await reader.readuntil(b"\r\n\r\n")
            status, kind, body = answer(request, table, silence_s, time.monotonic())
            head = (
                f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + (b"" if request.startswith(b"HEAD ") else body))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):  # a timeout is an OSError
        pass
    finally:
        writer.transport.abort()
