"""Memory of a worker, at rest and under large mail, and what idle connections cost the active ones."""

from statistics import median

from bench.peers import Sink, start_mpp
from bench.results import Row, at_least, at_most, short
from bench.stand import BenchError, Program, Stand, forget_peak, memory_mib
from bench.timed import Load, fitting_count, timed

_MIB = 1 << 20
_IN_FLIGHT = 256  # MiB: the default budget of a worker
_SETTINGS = """\
[node]
data = "{data}"
workers = 1

[[listeners]]
name = "bench"
address = "127.0.0.1:{port}"

[limits]
connections = 5000
commands = 1000000

[[routes]]
domains = ["example.org"]
hosts = ["127.0.0.1:{sink}"]
"""


def start_roomy(stand: Stand, sink: Sink) -> Program:
    """MPP with room for thousands of connections, and no limit on commands."""
    return start_mpp(stand, sink, settings=_SETTINGS)


def rest(stand: Stand) -> list[Row]:
    """A worker after its first thousand messages, with nothing to do."""
    sink = Sink(stand)
    mpp = start_mpp(stand, sink)
    Load("2k")(stand, mpp.port, 1000)
    sink.settle()
    worker = mpp.worker()
    resident, share = memory_mib(worker, "VmRSS"), memory_mib(worker, "Pss")
    row = at_most("memory of a worker at rest", resident, 90, "MiB", share=share)
    return [Row(row.name, f"{row.measured} (its share {short(share)})", row.target, row.met, row.values)]


def large(stand: Stand) -> list[Row]:
    """Clients that send 20 MiB each at the same time: bounded memory, and all arrive in the end."""
    clients = 40 if stand.quick else 200
    sink = Sink(stand)
    mpp = start_roomy(stand, sink)
    worker = mpp.worker()
    forget_peak(worker)
    answer = stand.ask_module("bench.flood", mpp.port, clients, 20 * _MIB, timeout_s=200)
    arrived = sink.settle()
    if mpp.worker() != worker:
        raise BenchError("the worker died of it")
    peak = memory_mib(worker, "VmHWM")
    row = at_most(f"memory with {clients} clients, 20 MiB each", peak, _IN_FLIGHT + 100, "MiB", **answer)
    return [row, _arrivals(clients, arrived, answer)]


def _arrivals(clients: int, arrived: int, answer: dict[str, object]) -> Row:
    refusals = answer["refusals"]
    assert isinstance(refusals, dict)
    told = ", ".join(f"{times} x {reply}" for reply, times in sorted(refusals.items())) or "none"
    measured = f"{arrived} in {float(str(answer['seconds'])):.0f} s (put off: {told})"
    return Row("of them arrived, each once", measured, str(clients), arrived == clients, {"arrived": arrived})


def idle(stand: Stand) -> list[Row]:
    """The rate and the cost of 8 active connections without and with 2,000 idle ones, in turn."""
    idlers, load = 2000, Load("2k")
    sink = Sink(stand)
    mpp = start_roomy(stand, sink)
    count = fitting_count(stand, mpp, sink, load)
    rates, costs, memory = [], [], 0.0
    for _ in range(stand.repetitions):
        alone = timed(stand, mpp, sink, load, count)
        before = memory_mib(mpp.worker(), "VmRSS")
        holder = stand.converse("bench.hold", mpp.port, idlers)
        assert holder.stdout
        if holder.stdout.readline() != "held\n":
            raise BenchError(f"{idlers} idle connections were not taken")
        memory = max(memory, memory_mib(mpp.worker(), "VmRSS") - before)
        crowded = timed(stand, mpp, sink, load, count)
        holder.communicate()
        rates.append(crowded.rate / alone.rate)
        costs.append(crowded.cpu_us / alone.cpu_us)
    row = at_least(f"rate with {idlers} idle connections", rates, 0.9, "of that without", costs=costs)
    measured = f"{row.measured}, CPU {short(median(costs))} x"
    held = Row(f"memory of {idlers} idle connections", f"{short(memory)} MiB more", "<= 80 MiB more", memory <= 80)
    return [Row(row.name, measured, row.target, row.met, row.values), held]
