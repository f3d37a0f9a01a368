"""`python -m bench [--quick] [--json FILE] [NAME...]`: measures, and prints one table of numbers beside their targets.

A missed target is shown and changes nothing else: timings depend on the machine, so they are no test. The exit code is
1 only where something could not be measured.
"""

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from bench import (
    attachments,
    balance,
    campaign,
    crowd,
    filters,
    kinds,
    lag,
    mime,
    parse,
    quarantine,
    relay,
    scanner,
    store,
    trace,
)
from bench.results import Row, table
from bench.stand import BenchError, Stand, machine_busy_s

BENCHES: dict[str, Callable[[Stand], list[Row]]] = {
    "relay-2k": relay.relay_2k,
    "relay-20k": relay.relay_20k,
    "relay-300k": relay.relay_300k,
    "asking": relay.asking,
    "latency": relay.latency,
    "rest": crowd.rest,
    "large": crowd.large,
    "idle": crowd.idle,
    "scanner": scanner.scanner,
    "kinds": kinds.kinds,
    "balance": balance.balance,
    "campaign": campaign.campaign,
    "parse": parse.parse,
    "mime": mime.mime,
    "lag": lag.lag,
    "holding": store.holding,
    "sizes": store.sizes,
    "quarantine": quarantine.quarantine,
    "filters": filters.filters,
    "attachments": attachments.attachments,
    "traced": trace.relay,
    "trace": trace.look_up,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="The numbers of MPP beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(BENCHES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repetitions: a first look, no figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - BENCHES.keys():
        parser.error(f"no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    _use_all_files()
    rows, failed = _measure(arguments.names or list(BENCHES), quick=arguments.quick)
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": _machine(), "rows": [asdict(row) for row in rows]}, indent=1))
    return int(failed)


def _measure(names: list[str], *, quick: bool) -> tuple[list[Row], bool]:
    rows: list[Row] = []
    failed = False
    for name in names:
        began, busy = time.monotonic(), machine_busy_s()
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        try:
            with Stand(quick=quick) as stand, stand.load.on():
                rows += BENCHES[name](stand)
        except (BenchError, OSError) as error:
            failed = True
            print(f"FAILED: {error}", file=sys.stderr)
            rows.append(Row(name, f"failed: {str(error)[:100]}"))
        seconds = time.monotonic() - began
        print(
            f"{seconds:.0f} s, machine busy {(machine_busy_s() - busy) / seconds:.1f} of {os.cpu_count()} cores",
            file=sys.stderr,
        )
    return rows, failed


def _use_all_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _machine() -> dict[str, object]:
    return {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
