"""The confined process: what it cannot do, told from inside; and what becomes of its crashes, overruns and lies."""

import ctypes
import os
import signal
import subprocess
import sys

import pytest

from mpp.checks.attachments import helper as helper_module
from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import File, Flag, Limits
from servers.attachments import EICAR, mail, zipped

ATTEMPTS = {
    "connect": "socket.socket().connect(('127.0.0.1', port))",
    "write": "open(secret + '.new', 'w')",
    "read": "open(secret).read()",
    "fork": "os.fork()",
    "thread's process": "check(libc.syscall(56, 0x11, 0, 0, 0, 0))",  # clone(2) as fork
    "run": "os.execv('/bin/true', ['true'])",
    "list": "os.listdir('/')",
    "ptrace": "check(libc.ptrace(16, os.getppid(), 0, 0))",
    "signal": "os.kill(os.getppid(), 0)",
    "memory": "bytearray(1 << 30)",
}
PROGRAM = """
import ctypes, os, socket, sys
from mpp.checks.attachments.confine import confine
libc = ctypes.CDLL(None, use_errno=True)
port, secret = int(sys.argv[1]), sys.argv[2]
def check(result):
    if result < 0: raise OSError(ctypes.get_errno(), "refused")
try:
    if sys.argv[3] != "free": confine(sys.argv[3].removeprefix("confined"))
    %s
except (OSError, MemoryError) as error:
    os.write(1, type(error).__name__.encode())
else:
    os.write(1, b"done")
os._exit(0)
"""


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "master.key"
    path.write_text("secret")
    return path


@pytest.fixture
def listener():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def helper():
    with Helper() as running:
        yield running


def attempt(what, port, secret, state):
    command = [sys.executable, "-c", PROGRAM % ATTEMPTS[what], str(port), str(secret), state]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).stdout.decode()


@pytest.mark.parametrize("what", ATTEMPTS)
def test_from_inside_it_fails(what, listener, secret):
    assert attempt(what, listener, secret, "confined") in ("PermissionError", "OSError", "MemoryError")


def has_landlock():
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0


def test_landlock_is_there_where_the_kernel_has_it(helper):
    """Limits were set first, and the limit of open files left no place for Landlock's own."""
    helper.start()
    assert ("landlock" in helper.lacking) is not has_landlock()


@pytest.mark.parametrize("what", [what for what in ATTEMPTS if what != "run" or has_landlock()])
def test_from_inside_a_program_of_others_it_fails(what, listener, secret):
    assert attempt(what, listener, secret, "confined/usr/bin/7z") in ("PermissionError", "OSError", "MemoryError")


@pytest.mark.parametrize("what", ["connect", "write", "read", "list", "memory"])
def test_the_same_works_outside(what, listener, secret):
    assert attempt(what, listener, secret, "free") == "done"


def test_it_says_what_an_inspection_here_says(helper):
    files = [File("2", "a.zip", "application/zip", zipped({"eicar.com": EICAR})), File("3", "a\ud800", "", b"text")]
    assert helper.inspect(files, Limits()) == inspect(files, Limits())
    assert helper.inspect([], Limits()) == []


def test_large_files_pass_through(helper):
    (item,) = helper.inspect([File("1", "a", "", b"words " * 1_000_000)], Limits())
    assert (item.size, item.flags) == (6_000_000, frozenset())


def test_an_overrun_is_not_checkable_and_the_next_is_served(helper):
    files = [File("1", "a.txt", "", b"words"), File("2", "b.txt", "", b"more")]
    assert helper.inspect(files, Limits(seconds=-1.0))[0].flags == {Flag.DAMAGED, Flag.UNCHECKED}
    assert [item.flags for item in helper.inspect(files, Limits())] == [frozenset(), frozenset()]


def test_a_killed_process_is_not_checkable_and_the_next_is_served(helper):
    files = [File("1", "a.txt", "", b"words")]
    helper.inspect(files, Limits())
    os.kill(helper.pid, signal.SIGKILL)
    assert [item.flags for item in helper.inspect(files, Limits())] == [{Flag.DAMAGED, Flag.UNCHECKED}]
    assert [item.flags for item in helper.inspect(files, Limits())] == [frozenset()]


def test_a_hanging_process_is_ended_and_the_next_is_served(helper):
    files = [File("1", "a.txt", "", b"words")]
    helper.inspect(files, Limits())
    hanging = helper.pid
    os.kill(hanging, signal.SIGSTOP)
    assert [item.flags for item in helper.inspect(files, Limits(seconds=-0.8))] == [{Flag.DAMAGED, Flag.UNCHECKED}]
    assert [item.flags for item in helper.inspect(files, Limits())] == [frozenset()]
    assert not os.path.exists(f"/proc/{hanging}")


def test_what_forks_may_be_killed_too():
    files = [File("1", "a.txt", "", b"words")]
    with Helper() as fresh:
        fresh.start()
        fresh._warm._process.kill()
        fresh._warm._process.wait()
        os.kill(fresh.pid, signal.SIGKILL)
        answers = [[item.flags for item in fresh.inspect(files, Limits())] for _ in range(3)]
    assert answers == [[{Flag.DAMAGED, Flag.UNCHECKED}], [{Flag.DAMAGED, Flag.UNCHECKED}], [frozenset()]]


def test_nothing_is_left_behind():
    with Helper() as fresh:
        fresh.start()
        pids = [fresh.pid, fresh._warm._process.pid]
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []


def test_a_whole_mail_is_taken_apart_inside(helper):
    whole = mail("a.zip", zipped({"eicar.com": EICAR}))
    assert [item.path for item in helper.inspect_whole(whole, "a.eml", Limits())] == ["2", "2/eicar.com"]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"items": [{}]},
        {"items": 7},
        {"items": [{"path": 1, "name": "", "declared": "", "type": "", "sha256": "", "size": 1, "flags": []}]},
        {"items": [{"path": "", "name": "", "declared": "", "type": "", "sha256": "", "size": -1, "flags": []}]},
        {"items": [{"path": "", "name": "", "declared": "", "type": "", "sha256": "", "size": 1, "flags": ["fine"]}]},
    ],
)
def test_nonsense_is_not_checkable(monkeypatch, answer):
    with Helper() as liar:
        monkeypatch.setattr(liar, "_ask", lambda *_: answer)
        assert [item.flags for item in liar.inspect([File("1", "a", "", b"x")], Limits())] == [
            {Flag.DAMAGED, Flag.UNCHECKED}
        ]


def test_a_process_is_replaced_after_its_time(helper, monkeypatch):
    monkeypatch.setattr(helper_module, "_MOST", 1)
    helper.inspect([], Limits())
    first = helper.pid
    helper.inspect([], Limits())
    assert helper.pid != first
