"""Command-line clients and sinks of other projects: smtp-source and smtp-sink (Postfix), swaks."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mpp.cli.programs import Program, free_port, launch, port_answers, wait_until
from servers.installed import installed


def smtp_source(port: int, *options: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run smtp-source against 127.0.0.1:`port`, for example `"-m", "100", "-s", "8", "-t", "bob@example.org"`."""
    return _run([installed("smtp-source"), *options, f"127.0.0.1:{port}"], timeout_s)


def swaks(port: int, *options: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run swaks against 127.0.0.1:`port`; its exit code is 0 when the mail was accepted."""
    return _run([installed("swaks"), "--server", "127.0.0.1", "--port", str(port), *options], timeout_s)


def smtp_sink(folder: Path, *options: str, backlog: int = 200) -> tuple[Program, int]:
    """Start smtp-sink with further options; returns it and its port."""
    port = free_port()
    command = [installed("smtp-sink"), *_as_nobody(), *options, f"127.0.0.1:{port}", str(backlog)]
    program = launch("smtp-sink", command, folder / f"smtp-sink-{port}.log")
    wait_until(lambda: port_answers(("127.0.0.1", port)), program, 10)
    return program, port


def _as_nobody() -> list[str]:
    return ["-u", "nobody"] if os.geteuid() == 0 else []


def _run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout_s, stdin=subprocess.DEVNULL
    )
