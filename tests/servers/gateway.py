"""`mpp serve` as a process of its own, as an operator starts it, with everything it wrote on stderr at hand."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from mpp.cli.programs import free_port
from mpp.settings.write import toml_key, toml_value
from servers.warm import Server

ROOT = Path(__file__).resolve().parents[2]
_SERVE = ("-m", "mpp", "serve")
_START_S = 30.0


class Gateway:
    """A running gateway, from construction until `stop`. `settings` is the text of a settings file, or options are given.

    `port` and `status_port` are those the caller wrote into them. A `script` that is run instead takes `--settings`
    too. With `own_interpreter`, with options, or with a command around it the gateway has an interpreter of its own; else
    it is forked from one that has loaded MPP (servers/warm.py).
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: str = "",
        options: Sequence[str] = (),
        port: int = 0,
        status_port: int = 0,
        ready: bool = True,
        command: Sequence[str] = (),
        script: str = "",
        environment: Mapping[str, str] | None = None,
        own_interpreter: bool = False,
    ) -> None:
        self.folder, self.port, self.status_port = folder, port, status_port
        self.file = folder / "mpp.toml"
        arguments = list(options)
        if settings:
            self.file.write_text(settings, encoding="utf-8")
            arguments += ["--settings", str(self.file)]
        self.lines: list[str] = []  # of stderr, so far
        self._written = threading.Condition()
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self.process: Server | subprocess.Popen[bytes]
        if own_interpreter or options or command:
            self.process = subprocess.Popen(
                [*command, sys.executable, *([script] if script else _SERVE), *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=variables,
                start_new_session=True,
            )
        else:
            self.process = Server(arguments if script else ["serve", *arguments], folder, variables, script)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if ready:
            try:
                self.wait_for(r"^ready$", _START_S)
            except AssertionError:
                self.stop()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._written:
                self.lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self._written.notify_all()
        with self._written:  # ended
            self._written.notify_all()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def stderr(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, timeout_s: float = 10.0, *, since: int = 0) -> re.Match[str]:
        """Return the first match in a line of stderr, waiting for it; AssertionError where it does not come."""
        wanted = re.compile(pattern)

        def found() -> re.Match[str] | None:
            return next((match for line in self.lines[since:] if (match := wanted.search(line))), None)

        with self._written:
            self._written.wait_for(lambda: found() or not self._reader.is_alive(), timeout_s)
            match = found()
        if match is None:
            raise AssertionError(f"no line matches {pattern!r} (exit {self.process.poll()}); stderr:\n{self.stderr}")
        return match

    def worker_pids(self) -> list[int]:
        """The running workers, the one that has run longest first."""
        return self.pids("worker")

    def pids(self, name: str) -> list[int]:
        """The supervisor's children of a name: worker, background, status."""
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(each) for each in listed if _called(each).startswith(f"mpp {name}"[:15])]

    def kill_worker(self, number: int = 0) -> int:
        """Kill -9 one worker; returns its process id."""
        pid = self.worker_pids()[number]
        os.kill(pid, signal.SIGKILL)
        return pid

    def reload(self, settings: str | None = None) -> None:
        """Write other settings, where given, and send SIGHUP."""
        if settings is not None:
            self.file.write_text(settings, encoding="utf-8")
        self.process.send_signal(signal.SIGHUP)

    def status(self, path: str) -> str:
        """GET from the status port: "/metrics", "/healthz"."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def metrics(self) -> dict[str, float]:
        """Every sample by its name with labels, as Prometheus writes it."""
        samples = (line.rpartition(" ") for line in self.status("/metrics").splitlines() if line[:1] not in ("", "#"))
        return {name: float(value) for name, _, value in samples}

    def stop(self, timeout_s: float = 20.0) -> int:
        """SIGTERM, and kill with all its workers where it does not end in time; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join(5)
        return self.process.returncode

    def kill(self) -> None:
        """Kill supervisor and workers at once."""
        with contextlib.suppress(ProcessLookupError):  # a session, so a process group, of its own
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _called(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:  # it has ended
        return ""


MakeGateway = Callable[..., Gateway]


def settings_text(values: Mapping[str, Any]) -> str:
    """Write nested values as TOML: mappings are tables, lists of mappings arrays of tables."""
    return "\n".join(f"{toml_key(key)} = {_inline(value)}" for key, value in values.items()) + "\n"


def _inline(value: Any) -> str:
    return toml_value(json.loads(json.dumps(value)))


def gateway_settings(
    folder: Path,
    next_hop: str,
    *,
    port: int,
    status_port: int = 0,
    domains: Sequence[str] = ("example.org",),
    scanners: Sequence[str] = (),
    workers: int = 1,
    more: Mapping[str, Any] | None = None,
) -> str:
    """Return the text of usual settings: one listener `edge`, one route, and `more` merged over them.

    `scanners` are "spamd:HOST:PORT" or "clamd:unix:PATH" as `--scanner` takes them. In `more` tables are merged key by key;
    a list replaces the list. Scanners are not asked how old their signatures are, so that they meet what the tests send alone.
    """
    values: dict[str, Any] = {
        "node": {"hostname": "mpp.example", "data": str(folder / "data"), "workers": workers},
        "listeners": [{"name": "edge", "address": f"127.0.0.1:{port}"}],
        "routes": [{"domains": list(domains), "hosts": [next_hop]}],
        "silence": {"signatures": "off"},
        "scanners": [
            {"name": kind, "kind": kind, "servers": servers.split(",")}
            for kind, _, servers in (each.partition(":") for each in scanners)
        ],
    }
    if status_port:
        values["node"]["status"] = f"127.0.0.1:{status_port}"
    return settings_text(_merged(values, more or {}))


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def ports(count: int) -> list[int]:
    """Some free ports, all different."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)
