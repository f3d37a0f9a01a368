"""`mpp` in a process forked from one that has loaded its modules once: starting an interpreter costs more than most tests do.

`Server`, `Command` and `run` are used like those of subprocess. What is started so is the same command with the same arguments;
what an interpreter of its own does before (reading the modules, and from where) is tried by the tests that start one.

The process that forks has no threads. Each order to it names the arguments, folder and environment, and hands over four
descriptors: a pipe that is told the process id and, when it has ended, its exit code; and stdin, stdout, stderr.
"""

import atexit
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

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
    """A process started here, in a session of its own; `standard` are its descriptors 0, 1 and 2. With `script` it runs that file."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        standard: Sequence[int],
        script: str = "",
    ) -> None:
        order = {"arguments": [*arguments], "folder": str(folder), "environment": {**environment}, "script": script}
        told, telling = os.pipe()
        socket.send_fds(_door(), [json.dumps(order).encode()], [telling, *standard])
        os.close(telling)
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


class Server(Forked):
    """One that runs on. `stderr` is what it writes there; stdout is not kept."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], script: str = ""
    ) -> None:
        errors, stderr = os.pipe()
        with open(os.devnull, "r+b", buffering=0) as nothing:
            super().__init__(arguments, folder, environment, (nothing.fileno(), nothing.fileno(), stderr), script)
        os.close(stderr)
        self.stderr: IO[bytes] = open(errors, "rb")  # noqa: SIM115


class Command(Forked):
    """One that reads `sent`, does its work and ends."""

    def __init__(self, arguments: Sequence[str], sent: bytes = b"") -> None:
        self._files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115
        self._files[0].write(sent)
        self._files[0].seek(0)
        super().__init__(arguments, _TESTS.parent, os.environ, [each.fileno() for each in self._files])

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Wait for its end; return what it wrote on stdout and stderr."""
        self.wait(timeout)
        for each in self._files:
            each.seek(0)
        _, output, errors = (each.read() for each in self._files)
        return output, errors


def run(*arguments: str, sent: bytes = b"", timeout: float = 60.0) -> "subprocess.CompletedProcess[bytes]":
    """Run `mpp` with these arguments to its end; one that takes longer is killed, and TimeoutExpired raised."""
    command = Command(arguments, sent)
    try:
        output, errors = command.communicate(timeout)
    finally:
        command.kill()
    assert command.returncode is not None
    return subprocess.CompletedProcess(arguments, command.returncode, output, errors)


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
        order, descriptors, _, _ = socket.recv_fds(door, _ORDER, 4)
        if not order:
            return
        if os.fork() == 0:
            door.close()
            _keep(json.loads(order), *descriptors)
            return
        for each in descriptors:
            os.close(each)


def _keep(order: dict[str, Any], telling: int, *standard: int) -> None:
    """Start the process, and tell its id and its end; returns in the process itself, once it is done."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(telling)
        _become(standard=standard, **order)
        return
    for each in standard:
        os.close(each)
    os.write(telling, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):  # whoever asked has gone
        os.write(telling, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(
    arguments: list[str], folder: str, environment: dict[str, str], script: str, standard: Sequence[int]
) -> None:
    from mpp.cli import main

    os.setsid()
    for number, each in enumerate(standard):
        os.dup2(each, number)
        os.close(each)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [script or "mpp", *arguments]
    if script:
        runpy.run_path(script, run_name="__main__")
    else:
        main()


if __name__ == "__main__":
    for module in _LOADED:
        importlib.import_module(module)
    _serve(socket.socket(fileno=int(sys.argv[1])))
