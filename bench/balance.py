"""Balancing over four spamd of two children each, stand-ins of ours, by MPP and by what a user would put there instead.

Each way meets the same mail and the same mishaps, one after the other. Service times come from a seeded distribution like that of real spamd,
or from the file times.json of the folder that MPP_BALANCER names. The clock runs faster by CLOCK (MPP_BALANCER_CLOCK), for
whoever has times in its settings too. All times shown are in units of the mean service time. The targets are 15 % above what a dispatcher without any cost reaches.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

from bench.peers import Sink, start_haproxy, start_mpp
from bench.relay import left_out
from bench.results import Row, short
from bench.stand import HOST, MissingError, Program, Stand, free_port

CLOCK = float(os.environ.get("MPP_BALANCER_CLOCK", "2"))
CHILDREN = 2
LIMIT_S = 30.0  # after which a message is lost
SECONDS = 30.0
WAYS = ("MPP", "HAProxy leastconn", "HAProxy tuned", "spamc -H", "rspamd-like")

SETTINGS = """
[node]
data = "{{data}}"
hostname = "mpp.example.org"
[[listeners]]
name = "edge"
address = "127.0.0.1:{{port}}"
[limits]
connections_by_host = 8000
connections = 16000
[[routes]]
domains = ["example.org"]
hosts = ["127.0.0.1:{{sink}}"]
ask = false
[[scanners]]
name = "spamd"
kind = "spamd"
servers = {servers}
connections = {children}
on_failure = "defer"
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One scenario at one load, which is a share of the capacity; times in seconds of the slow clock."""

    name: str
    load: float
    target: float | None  # of MPP's p99; None: that a failure is known
    speeds: tuple[float, ...] = (1, 1, 1, 1)
    stall: tuple[float, float, float] | None = None  # of the last server: every, length, offset
    killed: tuple[float, float] | None = None  # the last server: from, until
    all_dead: bool = False
    capacity: float | None = None  # where the load is a share of another one, in servers

    def servers(self) -> float:
        """Return the capacity in servers of speed 1."""
        if self.capacity is not None:
            return self.capacity
        lost = self.speeds[-1] * self.stall[1] / self.stall[0] if self.stall else 0.0
        return sum(self.speeds) - lost


CELLS = (
    Cell("equal at 70 %", 0.7, 5.5),
    Cell("equal at 90 %", 0.9, 6.5),
    Cell("speeds 1,1,2,4 at 70 %", 0.7, 2.5, speeds=(1, 1, 2, 4)),
    Cell("speeds 1,1,2,4 at 90 %", 0.9, 4.0, speeds=(1, 1, 2, 4)),
    Cell("stall 5 s of 20 at 70 %", 0.7, 6.0, stall=(20, 5, 5)),
    Cell("stall 5 s of 20 at 90 %", 0.9, 13.0, stall=(20, 5, 5)),
    Cell("one 10x slower at 70 %", 0.7, 5.5, speeds=(1, 1, 1, 0.1)),
    Cell("one 10x slower at 90 %", 0.9, 7.5, speeds=(1, 1, 1, 0.1)),
    Cell("one killed 10 s at 70 %", 0.7, 7.0, killed=(10, 20)),
    Cell("one killed 10 s at 90 %", 0.9, 26.0, killed=(10, 20)),
    Cell("overload at 110 %", 1.1, 43.0),
    Cell("overload 1,1,2,4 at 110 %", 1.1, 44.0, speeds=(1, 1, 2, 4)),
    Cell("all dead", 0.7, None, all_dead=True),
)
QUICK = ("equal at 70 %", "one killed 10 s at 70 %", "all dead")


def balance(stand: Stand) -> list[Row]:
    times = service_times()
    rows: list[Row] = []
    for cell in CELLS:
        if not stand.quick or cell.name in QUICK:
            for way in WAYS:
                try:
                    rows.append(run(stand, cell, way, times))
                except MissingError as missing:
                    rows.append(left_out(f"{cell.name}, {way}", missing))
    return rows


def service_times() -> list[float]:
    """Return seconds for each of some hundred mails."""
    if folder := os.environ.get("MPP_BALANCER"):
        recorded: list[float] = json.loads((Path(folder) / "times.json").read_text())["seconds"]
        return recorded
    draw = random.Random(20)
    return [min(draw.lognormvariate(-2.62, 0.6), 0.52) for _ in range(300)]


def run(stand: Stand, cell: Cell, way: str, times: list[float]) -> Row:
    """Measure one way in one scenario."""
    mean = sum(times) / len(times) / CLOCK
    order = random.Random(cell.name).sample(times, len(times))
    ports = [free_port() for _ in cell.speeds]
    with (
        spamds(stand, cell, ports, [each / CLOCK for each in order]) as tell,
        front(stand, way, ports) as (kind, address),
    ):
        if cell.all_dead:
            for number in range(len(ports)):
                tell(f"kill {number}")
        time.sleep(4 / CLOCK)  # it has found out who is there
        tell("epoch")
        timers = [Timer(at / CLOCK, tell, (order,)) for at, order in mishaps(cell)]
        for timer in timers:
            timer.start()
        rate = cell.load * cell.servers() * CHILDREN / mean
        seconds = (10 if cell.all_dead else SECONDS) / CLOCK
        numbers = (rate, seconds, 1, LIMIT_S / CLOCK, CLOCK)
        found = stand.ask_module("bench.balance_load", kind, address, *numbers, timeout_s=300)
        for timer in timers:
            timer.join()
    return judged(cell, way, found, mean, rate / cell.load * seconds)


def mishaps(cell: Cell) -> list[tuple[float, str]]:
    last = len(cell.speeds) - 1
    return [(cell.killed[0], f"kill {last}"), (cell.killed[1], f"start {last}")] if cell.killed else []


def judged(cell: Cell, way: str, found: dict[str, Any], mean: float, room: float) -> Row:
    """Return the row: p50, p95, p99 and the longest wait in units, what was done in time, what was lost."""
    marks = found["marks"]
    waits = sorted(wait / mean for _, wait in marks if wait is not None)
    lost = 100 * (1 - len(waits) / len(marks))
    ends = (10 if cell.all_dead else SECONDS) / CLOCK
    done = 100 * sum(1 for due, wait in marks if wait is not None and due + wait <= ends) / room
    values: dict[str, object] = {"lost_%": lost, "done_%": done, "late_p99": found["late_p99"] / mean}
    shown = "all lost"
    if waits:
        values |= {name: waits[int(len(waits) * share)] for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        values["max"] = waits[-1]
        shown = (
            "/".join(short(float(str(values[name]))) for name in ("p50", "p95", "p99")) + f", max {short(waits[-1])}"
        )
    shown += f", done {done:.0f} %, lost {lost:.1f} %"
    if way != "MPP":
        return Row(f"{cell.name}, {way}", shown, values=values)
    if cell.target is None:
        return Row(f"{cell.name}, MPP", shown, "all lost", not waits, values)
    met = bool(waits) and waits[int(len(waits) * 0.99)] <= cell.target and (not lost or cell.load > 1)
    return Row(f"{cell.name}, MPP", shown, f"p99 <= {cell.target:g}", met, values)


@contextmanager
def spamds(stand: Stand, cell: Cell, ports: list[int], times: list[float]) -> Iterator[Callable[[str], None]]:
    """The stand-ins; yields what tells them something."""
    servers: list[dict[str, Any]] = [
        {"host": HOST, "port": port, "children": CHILDREN, "speed": speed}
        for port, speed in zip(ports, cell.speeds, strict=True)
    ]
    if cell.stall:
        servers[-1]["stall"] = [each / CLOCK for each in cell.stall]
    process = stand.converse("bench.spamds", json.dumps({"times": times, "servers": servers}))
    assert process.stdin
    assert process.stdout
    process.stdout.readline()
    writing, reading = process.stdin, process.stdout

    def tell(order: str) -> None:
        writing.write(order + "\n")
        writing.flush()
        reading.readline()

    try:
        yield tell
    finally:
        process.kill()
        process.wait()


@contextmanager
def front(stand: Stand, way: str, ports: list[int]) -> Iterator[tuple[str, str]]:
    """Start what stands before the servers; yields the way to load it and the address."""
    servers = [f"{HOST}:{port}" for port in ports]
    programs: list[Program] = []
    try:
        match way:
            case "MPP":
                sink = Sink(stand)
                programs.append(sink.program)
                programs.append(
                    start_mpp(stand, sink, settings=SETTINGS.format(servers=json.dumps(servers), children=CHILDREN))
                )
                yield "smtp", f"{HOST}:{programs[-1].port}"
            case "HAProxy leastconn" | "HAProxy tuned":
                programs.append(start_haproxy(stand, servers, CHILDREN, CLOCK, tuned=way == "HAProxy tuned"))
                yield "direct", f"{HOST}:{programs[-1].port}"
            case "spamc -H":
                yield "spamc-H", ",".join(servers)
            case _:
                yield "rspamd", ",".join(servers)
    finally:
        for program in programs:
            program.stop()
