"""The supervisor under faults: workers killed, hanging, crashing; wrong settings; ends; systemd; privileges."""

import json
import os
import pwd
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from mpp.gateway.settings import Settings
from mpp.settings.read import load
from servers.warm import Server

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "supervised" / "gateway.py"
DIGEST = "000102030405060708090a0b0c0d0e0f"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Gateway:
    """A running supervisor with obedient workers; its log lines can be waited for."""

    def __init__(
        self,
        folder,
        *,
        workers=2,
        node="",
        silence_s=10.0,
        deadline_s=10.0,
        environment=None,
        pass_fds=(),
        own_interpreter=False,
        port=0,
        **limits,
    ):
        self.folder, self.port, self.status_port = folder, port or free_port(), free_port()
        self.file = folder / "mpp.toml"
        self.node = (
            f'[node]\nworkers = {workers}\ndata = "{folder}/data"\nstatus = "127.0.0.1:{self.status_port}"\n{node}\n'
        )
        self.write(**limits)
        arguments = [str(self.file), str(silence_s), str(deadline_s)]
        assert own_interpreter or not (environment or pass_fds), "only an interpreter of its own is given these"
        if own_interpreter:
            self._start(arguments, {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}, pass_fds)
        else:
            self.process = Server(arguments, Path("/"), {**os.environ}, str(SCRIPT))
        self.lines, self._queue = [], queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _start(self, arguments, environment, pass_fds):
        # systemd names the process by its number, which only the process itself knows before it runs.
        start = "import os, runpy, sys; os.environ.update(LISTEN_PID=str(os.getpid())); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
        self.process = subprocess.Popen(
            [sys.executable, "-c", start, str(SCRIPT), *arguments],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=pass_fds, cwd="/", env=environment,
        )  # fmt: skip

    def write(self, *, listener="", **limits):
        values = "".join(f"{name} = {value}\n" for name, value in limits.items())
        listeners = f'[[listeners]]\nname = "in"\naddress = "127.0.0.1:{self.port}"\n{listener}\n'
        route = '[[routes]]\ndomains = ["example.org"]\nhosts = ["127.0.0.1:26"]\n'
        self.file.write_text(f'{self.node}[log]\nlevel = "debug"\n{listeners}{route}[limits]\n{values}')

    def _read(self):
        for line in self.process.stderr:
            self._queue.put(line.decode())
        self._queue.put(None)

    def wait_line(self, pattern, seconds=20.0):
        """Return the next line that the pattern is found in."""
        until = time.monotonic() + seconds
        while True:
            try:
                line = self._queue.get(timeout=max(until - time.monotonic(), 0.01))
            except queue.Empty:
                line = None
            assert line is not None, f"no line with {pattern}:\n" + "".join(self.lines)
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def greet(self):
        """Return a connection and what its worker says it is."""
        connection = self.connect()
        return connection, self.read_greeting(connection)

    @staticmethod
    def read_greeting(connection):
        data = b""
        while not data.endswith(b"\r\n"):
            got = connection.recv(65536)
            assert got, "closed before its greeting"
            data += got
        assert data.startswith(b"220 ")
        return json.loads(data[4:])

    def of_slot(self, slot):
        """Return a connection to that slot's worker."""
        while True:
            connection, told = self.greet()
            if told["slot"] == slot:
                return connection, told
            connection.close()

    def order(self, text, slot=0):
        connection, told = self.of_slot(slot)
        connection.sendall(text.encode() + b"\r\n")
        return connection, told

    def status(self, path):
        with socket.create_connection(("127.0.0.1", self.status_port), timeout=10) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            data = b""
            while got := connection.recv(65536):
                data += got
        return data.decode()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(timeout=20)
        self._reader.join(timeout=10)
        while (line := self._queue.get_nowait() if not self._queue.empty() else None) is not None:
            self.lines.append(line)
        return status


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(**arguments):
        ready = arguments.pop("ready", True)
        gateway = Gateway(tmp_path, **arguments)
        running.append(gateway)
        if ready:
            gateway.wait_line("^ready$")
        return gateway

    yield begin
    for gateway in running:
        if gateway.process.poll() is None:
            gateway.end()


def test_kill_9_of_workers_under_200_connects_resets_none_before_its_greeting(start):
    gateway = start()
    pids = [gateway.of_slot(slot)[1]["pid"] for slot in (0, 1)]
    begun = threading.Barrier(20)

    def connects():
        begun.wait()
        found = []
        for _ in range(10):
            connection, told = gateway.greet()
            connection.close()
            found.append(told["pid"])
        return found

    # A worker that is stopped accepts nothing: what arrives in its slot waits there, and must outlive it.
    os.kill(pids[0], signal.SIGSTOP)
    with ThreadPoolExecutor(20) as pool:
        clients = [pool.submit(connects) for _ in range(20)]
        assert next(iter(wait(clients, timeout=0.5).done), None) is None  # each of them came to wait in that slot
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        greeted = [pid for client in clients for pid in client.result()]
    assert len(greeted) == 200
    assert set(greeted) - set(pids)


def test_a_killed_worker_is_back_within_a_second(start):
    gateway = start(workers=1)
    _, told = gateway.greet()
    before = time.monotonic()
    os.kill(told["pid"], signal.SIGKILL)
    assert gateway.greet()[1]["pid"] != told["pid"]
    assert time.monotonic() - before < 1.0
    assert "signal SIGKILL" in gateway.wait_line("process.died")


def test_many_deaths_cost_the_supervisor_no_descriptors(start):
    gateway = start(workers=1)
    held = []
    for _ in range(6):
        _, told = gateway.greet()
        held.append(len(os.listdir(f"/proc/{gateway.process.pid}/fd")))
        os.kill(told["pid"], signal.SIGKILL)
        gateway.wait_line("process.died")
        gateway.wait_line("process.started")
    assert len(set(held[1:])) == 1  # at the first look the start itself may not be over


@pytest.mark.parametrize("way", ["stopped", "busy"])
def test_a_hanging_worker_is_replaced_and_keeps_its_waiting_connections(start, way):
    gateway = start(workers=1, silence_s=0.6)
    if way == "busy":
        connection, told = gateway.order("HANG")
        assert connection.recv(100) == b"250 ok\r\n"
    else:
        _, told = gateway.greet()
        os.kill(told["pid"], signal.SIGSTOP)
    with gateway.connect() as waiting:
        assert gateway.read_greeting(waiting)["pid"] != told["pid"]
    gateway.wait_line("event=worker.silent worker=0")


def test_a_message_in_hand_when_its_worker_crashed_or_hung_is_told_and_counted(start):
    gateway = start(workers=2, silence_s=0.6)
    connection, _ = gateway.order(f"TAKE {DIGEST}")
    assert connection.recv(100) == b"250 0\r\n"
    connection.sendall(b"ABORT\r\n")
    assert "level=error" in (line := gateway.wait_line("message.in_hand"))
    assert line.endswith(f"worker=0 digest={DIGEST} crashes=1\n")
    connection, _ = gateway.order(f"TAKE {DIGEST}", slot=1)
    assert connection.recv(100) == b"250 1\r\n"
    connection.sendall(b"HANG\r\n")
    gateway.wait_line("worker.silent worker=1")
    assert gateway.wait_line("message.in_hand").endswith(f"digest={DIGEST} crashes=2\n")
    connection, _ = gateway.order(f"TAKE {DIGEST}", slot=0)
    assert connection.recv(100) == b"250 2\r\n"


def test_a_worker_that_ends_by_itself_is_replaced(start):
    gateway = start(workers=1)
    gateway.order("EXIT 0")
    gateway.wait_line('process.died process="worker 0" end="exit status 0"')
    gateway.greet()


def test_workers_that_never_get_ready_end_the_start(start):
    gateway = start(workers=1, recipients=13, ready=False)
    line = gateway.wait_line("process.failed")
    assert 'error="RuntimeError: a worker that\\x0acannot start"' in line
    assert gateway.process.wait(timeout=20) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_with_status_0(start, number):
    gateway = start()
    told = [gateway.of_slot(slot)[1] for slot in (0, 1)]
    assert gateway.end(number) == 0
    assert gateway.lines[-1].endswith("event=stopped\n")
    assert not any("level=error" in line for line in gateway.lines)
    for each in told:
        with pytest.raises(ProcessLookupError):
            os.kill(each["pid"], 0)


def test_a_worker_deaf_to_sigterm_is_killed_at_the_deadline(start):
    gateway = start(workers=1, deadline_s=0.3)
    connection, _ = gateway.order("DEAF")
    assert connection.recv(100) == b"250 ok\r\n"
    before = time.monotonic()
    assert gateway.end() == 0
    assert time.monotonic() - before < 5.0
    assert any("process.killed" in line for line in gateway.lines)


def test_workers_end_with_their_supervisor(start):
    gateway = start(workers=1)
    connection, _ = gateway.greet()
    gateway.process.kill()
    assert connection.recv(100) == b""  # its worker has gone


def test_wrong_settings_change_nothing_and_right_ones_are_taken(start):
    gateway = start(recipients=50)
    held, told = gateway.of_slot(1)
    assert told["recipients"] == 50
    gateway.file.write_text(gateway.file.read_text() + 'commands = "many"\nerrrors = 3\n')
    gateway.process.send_signal(signal.SIGHUP)
    assert "mpp.toml:" in gateway.wait_line("settings.refused")
    gateway.wait_line("settings.refused problem=.*errrors")
    assert gateway.greet()[1]["recipients"] == 50
    gateway.write(recipients=60, listener='stage = "proxy"')
    gateway.process.send_signal(signal.SIGHUP)
    assert "part=listeners" in gateway.wait_line("settings.at_restart")
    gateway.wait_line("settings.taken")
    assert {gateway.of_slot(slot)[1]["recipients"] for slot in (0, 1)} == {60}
    good = gateway.folder / "data" / "settings.good.toml"
    kept = load(good.read_text(), "good", Settings).settings
    assert (kept.limits.recipients, kept.listeners[0].stage) == (60, "edge")
    os.kill(gateway.of_slot(0)[1]["pid"], signal.SIGKILL)
    gateway.wait_line("process.died")
    assert gateway.of_slot(0)[1]["recipients"] == 60  # the new worker begins with them
    held.setblocking(False)
    with pytest.raises(BlockingIOError):  # a connection from before is still open
        held.recv(1)


def test_workers_that_do_not_take_the_settings_are_named(start):
    gateway = start(workers=2, silence_s=0.6)
    gateway.write(recipients=14)
    gateway.process.send_signal(signal.SIGHUP)
    assert 'by="worker 0,worker 1"' in gateway.wait_line("settings.not_taken")
    gateway.write(recipients=15)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_line("settings.taken")


def test_settings_that_cannot_be_kept_are_not_taken(start):
    gateway = start(workers=1, recipients=50)
    (gateway.folder / "data" / "settings.good.toml.new").mkdir()
    gateway.write(recipients=60)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_line("settings.refused problem=.*settings.good.toml")
    assert gateway.greet()[1]["recipients"] == 50


def refused_to_others(start):
    """Where the tests do not run as root there is nothing to drop, and asking for it ends the start."""
    if os.geteuid() == 0:
        return False
    gateway = start(workers=1, node='user = "nobody"', ready=False)
    assert "only root can become node.user" in gateway.wait_line("start.failed")
    return True


def open_folders(path):
    """Let everybody pass through the test's own folders."""
    for folder in (path, *path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o111)


def test_privileges_are_dropped_for_good(start, tmp_path):
    if refused_to_others(start):
        return
    open_folders(tmp_path)
    nobody = pwd.getpwnam("nobody")
    gateway = start(workers=1, node='user = "nobody"', own_interpreter=True)
    _, told = gateway.greet()
    assert told["uids"] == [nobody.pw_uid] * 3
    assert told["gids"] == [nobody.pw_gid] * 3
    assert 0 not in told["groups"]
    assert told["no_new_privs"] == "1"
    assert (tmp_path / "data").stat().st_uid == nobody.pw_uid
    os.kill(told["pid"], signal.SIGKILL)
    assert gateway.greet()[1]["uids"] == [nobody.pw_uid] * 3
    assert Path(f"/proc/{gateway.process.pid}").stat().st_uid == nobody.pw_uid
    gateway.write(recipients=60)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_line("settings.taken")


def test_what_only_root_can_read_ends_the_start(start, tmp_path):
    if refused_to_others(start):
        return
    open_folders(tmp_path)
    (tmp_path / "data").mkdir()
    gateway = start(workers=1, node='user = "nobody"', ready=False)
    assert "no permission to write; give the folder to node.user" in gateway.wait_line("start.failed")
    assert gateway.process.wait(timeout=20) == 1


def test_a_worker_has_only_what_is_its_own(start):
    gateway = start(workers=2)
    _, told = gateway.of_slot(1)
    _, other = gateway.of_slot(0)
    sockets = [{name for name in each["descriptors"] if name.startswith("socket:")} for each in (told, other)]
    assert not sockets[0] & sockets[1]
    assert len(sockets[0]) == 3  # listener, control, the connection that asked; those asked before are closed


def test_each_worker_on_a_core_of_its_own_where_asked(start):
    gateway = start(workers=2, node="pin = true")
    cores = sorted(os.sched_getaffinity(0))
    told = [gateway.of_slot(slot)[1]["cores"] for slot in (0, 1)]
    assert told == [[cores[0]], [cores[1 % len(cores)]]]


def test_a_second_gateway_on_the_same_port_is_refused(start, tmp_path):
    first = start(workers=1)
    (tmp_path / "second").mkdir()
    second = Gateway(tmp_path / "second", workers=1, port=first.port)
    said = second.wait_line("start.failed")
    assert f"listener in: 127.0.0.1:{first.port}: Address already in use; stop what uses it" in said
    assert second.process.wait(timeout=20) == 1


def test_systemd_sockets_and_notifications(start, tmp_path):
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    name = f"mpp-test-{os.getpid()}-{free_port()}"
    notify.bind(f"\0{name}")
    notify.settimeout(20)
    passed = socket.create_server(("127.0.0.1", 0))
    passed_port = passed.getsockname()[1]
    # systemd passes them from 3 on, and pass_fds keeps the numbers.
    keep = os.dup(3) if passed.fileno() != 3 else -1
    os.dup2(passed.fileno(), 3)
    try:
        environment = {
            "LISTEN_FDS": "1", "LISTEN_FDNAMES": "in", "NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": "400000",
        }  # fmt: skip
        gateway = start(environment=environment, pass_fds=(3,), own_interpreter=True)
    finally:
        if keep >= 0:
            os.dup2(keep, 3)
            os.close(keep)

    def told(wanted):
        while wanted not in (message := notify.recv(1000).decode()):
            assert message == "WATCHDOG=1"
        return message

    told("READY=1")
    told("WATCHDOG=1")
    gateway.port = passed_port
    slots = {gateway.of_slot(slot)[1]["slot"] for slot in (0, 1)}  # all slots share the one socket
    assert slots == {0, 1}
    passed.close()
    gateway.greet()
    gateway.process.send_signal(signal.SIGHUP)
    assert int(told("RELOADING=1").partition("MONOTONIC_USEC=")[2]) <= time.monotonic_ns() // 1000
    told("READY=1")
    gateway.process.send_signal(signal.SIGTERM)
    told("STOPPING=1")
    notify.close()


def test_health_and_metrics(start):
    gateway = start(workers=2)
    assert gateway.status("/healthz").startswith("HTTP/1.1 200 OK\r\n")
    assert "\nmpp_workers 2.0\n" in gateway.status("/metrics")


def test_a_silent_worker_is_named_in_healthz(start):
    gateway = start(workers=2, silence_s=1.0, deadline_s=0.5)
    _, told = gateway.of_slot(1)
    os.kill(told["pid"], signal.SIGSTOP)
    until = time.monotonic() + 20
    while (said := gateway.status("/healthz")).startswith("HTTP/1.1 200") and time.monotonic() < until:
        select.select([], [], [], 0.02)
    assert said.startswith("HTTP/1.1 503 ")
    assert said.endswith("silent: worker 1\n")


def test_a_killed_status_process_is_replaced(start):
    gateway = start(workers=1)
    pid = int(re.search(r"process=status pid=(\d+)", "".join(gateway.lines))[1])
    os.kill(pid, signal.SIGKILL)
    gateway.wait_line("process.died process=status")
    gateway.wait_line("process.started process=status")
    assert gateway.status("/healthz").startswith("HTTP/1.1 200")
