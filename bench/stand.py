"""The test stand: programs on a core of their own, what they cost by /proc, and an end for all that was started.

The measured program and its children share one core; the load and the sink share the other.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

HOST = "127.0.0.1"
_TICKS = os.sysconf("SC_CLK_TCK")
_ROOT = Path(__file__).resolve().parent.parent


class BenchError(Exception):
    """A measurement that does not count: mail refused or lost, a program that did not start."""


class MissingError(Exception):
    """A peer's program is not on this machine; what needs it is left out, loudly."""


class Program:
    """A running program with its children."""

    def __init__(self, name: str, popen: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.name, self.port = name, port
        self._popen, self._log = popen, log

    def pids(self) -> list[int]:
        """Return the program's own id and those of all its descendants."""
        children: dict[int, list[int]] = {}
        for pid, fields in _processes():
            children.setdefault(int(fields[1]), []).append(pid)
        found = [self._popen.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_s(self) -> float:
        """Return the CPU seconds of all its processes, dead children included."""
        mine, used = set(self.pids()), 0.0
        for pid, fields in _processes():
            if pid in mine:
                own, dead = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
                used += max(own / _TICKS, _scheduled_s(pid)) + dead / _TICKS
        return used

    def worker(self) -> int:
        """Return the id of MPP's one gateway worker; of a program without one its largest child."""
        children = self.pids()[1:] or self.pids()
        workers = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text().startswith("mpp worker")]
        return max(workers or children, key=lambda pid: memory_mib(pid, "VmRSS"))

    def wait_for_smtp(self, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while self._popen.poll() is None and time.monotonic() < until:
            try:
                with socket.create_connection((HOST, self.port), 1) as connection:
                    connection.settimeout(5)
                    if connection.recv(512).startswith(b"220"):
                        connection.sendall(b"QUIT\r\n")
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise BenchError(
            f"{self.name} gives no greeting; its log ends: {_last_line(self._log.read_text('utf-8', 'replace'))}"
        )

    def wait_for_port(self, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while self._popen.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection((HOST, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise BenchError(
            f"{self.name} opens no port; its log ends: {_last_line(self._log.read_text('utf-8', 'replace'))}"
        )

    def log(self) -> str:
        """Return what it has written so far."""
        return self._log.read_text("utf-8", "replace")

    def wait(self, seconds: float = 60) -> None:
        """Wait for a program that ends by itself."""
        self._popen.wait(seconds)

    def stop(self) -> None:
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self._popen.pid, signal.SIGKILL)  # a session of its own: nobody else is in it
                self._popen.wait()


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Each process with the fields of its stat file behind the name: state, parent, ..."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text()
            except OSError:
                continue  # gone meanwhile
            yield int(entry.name), stat[stat.rindex(")") + 2 :].split()


def _scheduled_s(pid: int) -> float:
    """CPU seconds of the living threads, finer than the clock ticks of the stat file."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except OSError:
        return 0.0


def memory_mib(pid: int, field: str) -> float:
    """Return VmRSS, VmHWM (its peak) or Pss of a process in MiB; 0 where it is gone."""
    source = "smaps_rollup" if field == "Pss" else "status"
    try:
        lines = Path(f"/proc/{pid}/{source}").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), 0.0)


def forget_peak(pid: int) -> None:
    """Let VmHWM begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def machine_busy_s() -> float:
    """CPU seconds that all processes of the machine have used."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS


@dataclass(frozen=True, slots=True)
class Core:
    """Where programs run; taken over by what is started inside `on`."""

    number: int

    @contextmanager
    def on(self) -> Iterator[None]:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.number})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


class Stand:
    """A place for one bench: leave it, and all that it started is stopped and its folder gone."""

    def __init__(self, *, quick: bool) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.quick = quick
        self.repetitions = 2 if quick else 5
        self.seconds = 0.5 if quick else 1.2  # one timed run
        self.server, self.load = Core(cores[0]), Core(cores[-1])
        self._stack = ExitStack()

    def __enter__(self) -> "Stand":
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mpp-bench-")))
        self.folder.chmod(0o755)  # peers run as users of their own
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(self, name: str, command: list[str], port: int, core: Core | None = None) -> Program:
        """Start a program on the server's core (or `core`); what it writes goes to a file of the folder."""
        log = self.folder / f"{name}.log"
        with (core or self.server).on(), log.open("ab") as out:
            popen = subprocess.Popen(
                command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        program = Program(name, popen, port, log)
        self._stack.callback(program.stop)
        return program

    def start_module(self, module: str, *arguments: object, port: int = 0, core: Core | None = None) -> Program:
        return self.start(module, [sys.executable, "-m", module, *map(str, arguments)], port, core)

    def ask_module(self, module: str, *arguments: object, timeout_s: float = 120) -> dict[str, Any]:
        """Run a module of the load side to its end and return the JSON object that it prints."""
        with self.load.on():
            command = [sys.executable, "-m", module, *map(str, arguments)]
            ended = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=timeout_s, check=False)
        if ended.returncode:
            raise BenchError(f"{module}: {_last_line(ended.stderr)}")
        value: dict[str, Any] = json.loads(ended.stdout)
        return value

    def converse(self, module: str, *arguments: object) -> "subprocess.Popen[str]":
        """Start a module of the load side that speaks by lines; it ends when its stdin is closed."""
        with self.load.on():
            popen = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self._stack.callback(_end, popen)
        return popen


def _end(popen: "subprocess.Popen[str]") -> None:
    if popen.poll() is None:
        popen.kill()
    popen.communicate()


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
