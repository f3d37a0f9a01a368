"""`mpp` in a process forked from one that has loaded its modules once: starting an interpreter costs more than most tests do.

`start` gives a process that is used like a subprocess.Popen. What is started so is the same command with the same arguments;
what an interpreter of its own does before (reading the modules, and from where) is tried by the tests that start one.

The process that forks has no threads. Each order to it names the arguments, folder and environment, and hands over two
descriptors: where stderr goes, and a pipe that is told the process id and, when it has ended, its exit code.
"""

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO

_TESTS = Path(__file__).resolve().parents[1]
_ORDER = 1 << 20  # octets
_LOADED = (
    "mpp.cli.app",
    "mpp.gateway.background",
    "mpp.gateway.supervisor",
    "mpp.gateway.worker",
    "alembic.config",  # of mpp.store.migrations
    "alembic.runtime.environment",
    "alembic.script",
)


class Forked:
    """A process started here. `stderr` is what it writes there, nothing else of it is kept."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        order = {"arguments": list(arguments), "folder": str(folder), "environment": dict(environment)}
        errors, stderr = os.pipe()
        told, telling = os.pipe()
        socket.send_fds(_door(), [json.dumps(order).encode()], [stderr, telling])
        os.close(stderr)
        os.close(telling)
        self.stderr: IO[bytes] = open(errors, "rb", buffering=0)  # noqa: SIM115
        self._told = open(told, "rb", buffering=0)  # noqa: SIM115
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("mpp", timeout or 0.0)
        return code

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@lru_cache(maxsize=1)
def _door() -> socket.socket:
    """Start the process that forks; it ends when the door closes, with ours."""
    door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "servers.warm", str(theirs.fileno())],
        cwd=_TESTS,
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(_TESTS.parent)},
        start_new_session=True,
    )
    theirs.close()
    atexit.register(process.wait)
    atexit.register(door.close)  # the last registered goes first
    return door


def _serve(door: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while True:
        order, descriptors, _, _ = socket.recv_fds(door, _ORDER, 2)
        if not order:
            return
        if os.fork() == 0:
            door.close()
            _keep(json.loads(order), *descriptors)
            return
        for each in descriptors:
            os.close(each)


def _keep(order: dict[str, object], stderr: int, telling: int) -> None:
    """Start the process, and tell its id and its end; returns in the process itself, once it is done."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(telling)
        _become(stderr=stderr, **order)  # type: ignore[arg-type]
        return
    os.close(stderr)
    os.write(telling, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):  # whoever asked has gone
        os.write(telling, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(arguments: list[str], folder: str, environment: dict[str, str], stderr: int) -> None:
    from mpp.cli import main

    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for taken, standard in ((nothing, 0), (nothing, 1), (stderr, 2)):
        os.dup2(taken, standard)
    os.close(nothing)
    os.close(stderr)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["mpp", *arguments]
    main()


if __name__ == "__main__":
    for module in _LOADED:
        importlib.import_module(module)
    _serve(socket.socket(fileno=int(sys.argv[1])))
