"""One timed load, and loads on several programs in turn so that what the machine does meanwhile hits all alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from bench.load import Outcome
from bench.peers import Sink
from bench.stand import BenchError, Program, Stand, machine_busy_s


@dataclass(frozen=True, slots=True)
class Run:
    """What one load on one program came to."""

    messages: int
    cpu_us: float  # of the program's processes, a message
    rate: float  # messages a second, until the next hop had the last
    p50_ms: float
    p99_ms: float
    load_cpu_us: float  # of the load, a message; near 1e6/rate it is the load that is measured
    foreign: float  # part of the machine that others used meanwhile


@dataclass(frozen=True, slots=True)
class Load:
    shape: str
    connections: int = 8
    pipelined: bool = False
    distinct: bool = False

    def __call__(self, stand: Stand, port: int, messages: int) -> Outcome:
        how = [word for word in ("pipelined", "distinct") if getattr(self, word)]
        answer = stand.ask_module("bench.load", port, self.shape, self.connections, messages, *how)
        outcome = Outcome(**answer)
        if outcome.refused:
            raise BenchError(f"{outcome.refused} of {messages} messages refused: {outcome.first_refusal}")
        return outcome


def timed(stand: Stand, program: Program, sink: Sink, load: Load, messages: int, later_s: float = 0.0) -> Run:
    """Send `messages` and wait until the next hop has them all; what the program does for them `later_s` after that is its CPU too."""
    others = () if program is sink.program else (sink.program,)
    before, cpu = sink.count()[0], program.cpu_s()
    busy, ours = machine_busy_s(), sum(other.cpu_s() for other in others)
    outcome = load(stand, program.port, messages)
    sink.wait_for(before + messages)
    used = program.cpu_s() - cpu
    ended = time.monotonic()
    foreign = machine_busy_s() - busy
    seconds = ended - outcome.started
    known = used + outcome.cpu_s + sum(other.cpu_s() for other in others) - ours
    if later_s:
        time.sleep(later_s)
        used = program.cpu_s() - cpu
    return Run(
        messages=messages,
        cpu_us=used / messages * 1e6,
        rate=messages / seconds,
        p50_ms=outcome.p50_ms,
        p99_ms=outcome.p99_ms,
        load_cpu_us=outcome.cpu_s / messages * 1e6,
        foreign=max(0.0, foreign - known) / seconds,
    )


def fitting_count(stand: Stand, program: Program, sink: Sink, load: Load) -> int:
    """Warm the program up and return how many messages last for one timed run."""
    load(stand, program.port, 4 * load.connections)
    outcome = load(stand, program.port, 100)
    sink.settle()
    return max(100, int(100 / (outcome.ended - outcome.started) * stand.seconds))


def in_turn(
    stand: Stand,
    sink: Sink,
    subjects: Mapping[str, tuple[Program, Load]],
    between: Callable[[str], None] = lambda _: None,
    later_s: float = 0.0,
) -> dict[str, list[Run]]:
    """Measure each subject once a repetition. `between` is called with its name before each run."""
    counts = {name: fitting_count(stand, program, sink, load) for name, (program, load) in subjects.items()}
    runs: dict[str, list[Run]] = {name: [] for name in subjects}
    for _ in range(stand.repetitions):
        for name, (program, load) in subjects.items():
            between(name)
            runs[name].append(timed(stand, program, sink, load, counts[name], later_s))
            sink.settle()
    return runs


def middle(runs: list[Run], field: str) -> float:
    return float(median(getattr(run, field) for run in runs))
