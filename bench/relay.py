"""Relay beside the peers: parsing, decision and marks, no scanner, one pinned worker, the recipient known.

The targets are those of the spine, so they are judged without traces, which no peer keeps; beside them stands MPP as it comes.
"""

import sys
from statistics import median

from bench.peers import Sink, start_amavisd, start_mpp, start_postfix, start_proxy
from bench.results import Row, at_least, at_most, short
from bench.stand import MissingError, Program, Stand
from bench.timed import Load, Run, in_turn, middle

_PEERS = {"Postfix alone": start_postfix, "amavisd-new, checks bypassed": start_amavisd, "aiosmtpd proxy": start_proxy}
_CONNECTIONS = {"amavisd-new, checks bypassed": 2}  # it has two children
# How many times the CPU of MPP a peer must need, by shape; and what MPP may need itself, with a client that pipelines.
_RATIOS = {
    "2k": {"Postfix alone": 10.0, "amavisd-new, checks bypassed": 25.0, "aiosmtpd proxy": 4.0},
    "20k": {},
    "300k": {"amavisd-new, checks bypassed": 4.0},
}
_BUDGET_US = {"2k": 182.0, "20k": 357.0, "300k": 1960.0}
_MPP, _SPINE = "MPP", "MPP without traces"
_PIPELINED = ", pipelined"


def relay_2k(stand: Stand) -> list[Row]:
    return _relay(stand, "2k")


def relay_20k(stand: Stand) -> list[Row]:
    return _relay(stand, "20k")


def relay_300k(stand: Stand) -> list[Row]:
    return _relay(stand, "300k")


def _relay(stand: Stand, shape: str) -> list[Row]:
    sink = Sink(stand)
    subjects: dict[str, tuple[Program, Load]] = {}
    for name, module in ((_MPP, "mpp"), (_SPINE, "bench.untraced")):
        ours = start_mpp(stand, sink, name=module, module=module)
        subjects[name] = (ours, Load(shape))
        subjects[name + _PIPELINED] = (ours, Load(shape, pipelined=True))
    rows: list[Row] = []
    for name, start in _PEERS.items():
        try:
            peer: Program = start(stand, sink)
        except MissingError as missing:
            rows.append(left_out(f"{name}, {shape}", missing))
            continue
        subjects[name] = (peer, Load(shape, _CONNECTIONS.get(name, 8)))
    runs = in_turn(stand, sink, subjects)
    lean, whole = (middle(runs[name + _PIPELINED], "cpu_us") for name in (_SPINE, _MPP))
    budget = at_most(f"CPU a message, {shape}, pipelined, without traces", lean, _BUDGET_US[shape], "us", traced=whole)
    own = [_own(name, runs[name], runs[name + _PIPELINED], shape) for name in (_SPINE, _MPP)]
    rows = [*own, budget, *rows]
    for name in _PEERS:
        if name in runs:
            rows.append(
                _beside(
                    runs[_SPINE], runs[name], f"{name}, {shape}, beside MPP without traces", _RATIOS[shape].get(name)
                )
            )
            rows.append(_beside(runs[_MPP], runs[name], f"{name}, {shape}, beside MPP as it comes", None))
    return rows


def _own(name: str, runs: list[Run], pipelined: list[Run], shape: str) -> Row:
    """What MPP needs with the load that the peers get; shown, not judged."""
    cpu, rate, foreign = (middle(runs, field) for field in ("cpu_us", "rate", "foreign"))
    latency = f"p50 {short(middle(runs, 'p50_ms'))} p99 {short(middle(runs, 'p99_ms'))} ms"
    lean = middle(pipelined, "cpu_us")
    values: dict[str, object] = {"cpu_us": cpu, "pipelined_us": lean, "rate": rate, "foreign": foreign}
    measured = f"{short(cpu)} us, pipelined {short(lean)}, {rate:.0f}/s, {latency}"
    return Row(f"CPU a message of {name}, {shape}", measured, values=values)


def _beside(mine: list[Run], theirs: list[Run], name: str, target: float | None) -> Row:
    pairs = [their.cpu_us / my.cpu_us for my, their in zip(mine, theirs, strict=True)]
    rates = median(my.rate / their.rate for my, their in zip(mine, theirs, strict=True))
    cpu = middle(theirs, "cpu_us")
    values: dict[str, object] = {"peer_cpu_us": cpu, "peer_rate": middle(theirs, "rate"), "rates": rates}
    row = at_least(f"CPU of {name}", pairs, target or 0.0, "x ours", **values)
    measured = f"{row.measured}, {short(cpu)} us, {middle(theirs, 'rate'):.0f}/s"
    return Row(row.name, measured, row.target if target else "", row.met if target else None, row.values)


def asking(stand: Stand) -> list[Row]:
    """What it costs to ask the next hop about every recipient: none comes twice, so its cache has none of them."""
    sink = Sink(stand)
    mpp = start_mpp(stand, sink)
    runs = in_turn(stand, sink, {"known": (mpp, Load("2k")), "asked": (mpp, Load("2k", distinct=True))})
    known, asked = (middle(runs[name], "cpu_us") for name in ("known", "asked"))
    measured = f"{short(asked)} us, {short(asked - known)} more; p99 {short(middle(runs['asked'], 'p99_ms'))} ms"
    return [Row("CPU a message, 2k, asking each time", measured, values={"asked_us": asked, "known_us": known})]


def latency(stand: Stand) -> list[Row]:
    """What the way through MPP adds to the latency of the next hop itself, at 8 connections."""
    sink = Sink(stand)
    mpp = start_mpp(stand, sink)
    runs = in_turn(stand, sink, {"direct": (sink.program, Load("2k")), "through": (mpp, Load("2k"))})
    direct, through = (middle(runs[name], "p99_ms") for name in ("direct", "through"))
    return [
        at_most("p99 latency added, 2k, 8 connections", through - direct, 3.0, "ms", direct=direct, through=through)
    ]


def left_out(name: str, missing: MissingError) -> Row:
    print(f"LEFT OUT: {name}: {missing}", file=sys.stderr)
    return Row(name, f"left out: {missing}")
