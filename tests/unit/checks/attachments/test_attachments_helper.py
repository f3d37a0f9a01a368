"""The confined process: what it cannot do, told from inside; and what becomes of its crashes, overruns and lies."""

import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
from hashlib import sha256
from types import SimpleNamespace

import pytest

from mpp.checks.attachments import helper as helper_module
from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import File, Flag, Limits, Unpacked
from mpp.checks.attachments.unpacking import find_unpacker
from servers.attachments import EICAR, PROGRAM, macro_word, mail, packed, szdd, zipped

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
ATTEMPT = """
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
    command = [sys.executable, "-c", ATTEMPT % ATTEMPTS[what], str(port), str(secret), state]
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


def ended(pid):
    """Wait until a process of the warm one has ended."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([watch], [], [])
    os.close(watch)


def test_it_says_what_an_inspection_here_says(helper):
    files = [
        File("2", "a.zip", "application/zip", zipped({"eicar.com": EICAR})),
        File("3", "a\ud800", "", b"text", "b.js", 1),
    ]
    assert helper.inspect(files, Limits()) == inspect(files, Limits())
    assert helper.inspect([], Limits()) == []


def test_large_files_pass_through(helper):
    (item,) = helper.inspect([File("1", "a", "", b"words " * 1_000_000)], Limits())
    assert (item.size, item.flags) == (6_000_000, frozenset())


def test_an_overrun_is_not_checkable_and_the_next_is_served(helper):
    files = [File("1", "a.txt", "", b"words"), File("2", "b.txt", "", b"more")]
    assert helper.inspect(files, Limits(seconds=-5.0))[0].flags == {Flag.DAMAGED, Flag.UNCHECKED}
    assert [item.flags for item in helper.inspect(files, Limits())] == [frozenset(), frozenset()]


def test_a_process_that_ends_in_the_midst_is_not_checkable_and_the_next_is_served(helper, monkeypatch):
    files = [File("1", "evil.exe", "", b"words")]
    helper.inspect(files, Limits())
    os.kill(helper.pid, signal.SIGKILL)
    with monkeypatch.context() as patch:
        patch.setattr(helper_module.Exchange, "silent", lambda _: True)
        (item,) = helper.inspect(files, Limits())
    assert item.flags == {Flag.DAMAGED, Flag.UNCHECKED, Flag.EXECUTABLE}  # its name says the last
    assert [item.flags for item in helper.inspect(files, Limits())] == [{Flag.EXECUTABLE}]


def test_a_process_killed_while_it_waits_harms_no_mail(helper):
    files = [File("1", "a.txt", "", b"words")]
    helper.inspect(files, Limits())
    os.kill(helper.pid, signal.SIGKILL)
    ended(helper.pid)
    assert [item.flags for item in helper.inspect(files, Limits())] == [frozenset()]


def test_a_hanging_process_is_ended_and_the_next_is_served(helper):
    files = [File("1", "a.txt", "", b"words")]
    helper.inspect(files, Limits())
    hanging = helper.pid
    os.kill(hanging, signal.SIGSTOP)
    assert [item.flags for item in helper.inspect(files, Limits(seconds=-2.8))] == [{Flag.DAMAGED, Flag.UNCHECKED}]
    assert [item.flags for item in helper.inspect(files, Limits())] == [frozenset()]
    assert not os.path.exists(f"/proc/{hanging}")


@pytest.mark.parametrize("both", [True, False], ids=["both", "only it"])
def test_what_forks_may_be_killed_too(both):
    files = [File("1", "a.txt", "", b"words")]
    with Helper() as fresh:
        fresh.start()
        fresh._warm._process.kill()
        fresh._warm._process.wait()
        if both:
            os.kill(fresh.pid, signal.SIGKILL)
        assert [item.flags for item in fresh.inspect(files, Limits())] == [frozenset()]


def test_where_none_can_be_started_that_is_a_failure_and_not_tried_at_once_again(monkeypatch):
    files, begun = [File("1", "a.txt", "", b"words")], []

    class Gone(helper_module._Warm):
        def __init__(self):
            begun.append(self)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "executable", "/bin/false")
                super().__init__()

    with Helper() as fresh:
        with monkeypatch.context() as patch:
            patch.setattr(helper_module, "_Warm", Gone)
            for _ in range(3):
                with pytest.raises(OSError, match="not start"):
                    fresh.inspect(files, Limits())
            with pytest.raises(OSError, match="did not start"):
                fresh.clean(b"", Limits())
        assert len(begun) == 2
        fresh._not_before = 0.0
        assert [item.flags for item in fresh.inspect(files, Limits())] == [frozenset()]


def test_where_unpacking_fails_here_the_next_mail_has_its_own_answer(monkeypatch):
    def full(*_):
        raise OSError("too many open files")

    with Helper("/bin/true") as fresh:
        monkeypatch.setattr(helper_module, "unpacked", full)
        with pytest.raises(OSError, match="too many"):
            fresh.inspect([File("1", "a.tx_", "", szdd(b"words"))], Limits())
        (item,) = fresh.inspect([File("2", "b.txt", "", b"more")], Limits())
    assert (item.path, item.name, item.size) == ("2", "b.txt", 4)


def test_a_pipe_that_cannot_be_made_leaves_no_other_behind(monkeypatch):
    made, asked = os.pipe, []

    def once():
        asked.append(1)
        if len(asked) > 1:
            raise OSError("too many open files")
        return made()

    with Helper() as fresh:
        fresh.start()
        fresh.restart()
        before = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "pipe", once)
            with pytest.raises(OSError, match="too many"):
                fresh._warm.inspector()
        assert len(os.listdir("/proc/self/fd")) == before


def test_it_works_in_a_process_with_thousands_of_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    many = [os.dup(0) for _ in range(1100)]
    try:
        with Helper(find_unpacker()) as fresh:
            items = fresh.inspect([File("1", "a.tx_", "", szdd(b"words"))], Limits())
    finally:
        for each in many:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [item.size for item in items] == [len(szdd(b"words")), 5]


def test_nothing_is_left_behind():
    with Helper() as fresh:
        fresh.start()
        pids = [fresh.pid, fresh._warm._process.pid]
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []


def test_a_whole_mail_is_taken_apart_inside(helper):
    whole = mail("a.zip", zipped({"eicar.com": EICAR}))
    assert [item.path for item in helper.inspect_whole(whole, "a.eml", Limits())] == ["2", "2/eicar.com"]


def told(**other):
    """What is right to say of the file below, but for what is said otherwise."""
    digest = sha256(b"x").hexdigest()
    right = {"path": "1", "name": "a", "declared": "", "type": "", "sha256": digest, "size": 1, "flags": []}
    return right | {"depth": 0, "other_name": ""} | other


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        7,
        {"items": [{}]},
        {"items": 7},
        {"items": [told(path=1)]},
        {"items": [told(size=-1)]},
        {"items": [told(flags=["fine"])]},
        {"items": []},
        {"items": [told(path="2")]},
        {"items": [told(name="b")]},
        {"items": [told(other_name="b")]},
        {"items": [told(size=2)]},
        {"items": [told(sha256="0" * 64)]},
        {"items": [told(sha256="nothing")]},
        {"items": [told(), told()]},
        {"items": [told(), told(path="10/b", depth=1)]},
        {"items": [told(path="1/b", depth=1), told()]},
        {"items": [told(depth=1)]},
        {"items": [told(), told(path="1/b", depth=2)]},
        {"items": [told(), told(path="1/b")]},
        {"items": [told(), told(path="1/b", depth=-1)]},
        {"items": [told(depth=0.0)]},
        {"unpack": float("inf"), "most": 1, "password": ""},
        {"unpack": 0, "most": float("inf"), "password": ""},
        {"unpack": 0, "most": "all", "password": ""},
    ],
)
def test_nonsense_is_not_checkable(helper, monkeypatch, answer):
    helper.start()
    first = helper.pid
    with monkeypatch.context() as patch:
        patch.setattr(helper_module.Exchange, "ask", lambda *_: answer)
        items = helper.inspect([File("1", "a", "", b"x")], Limits())
    assert [item.flags for item in items] == [{Flag.DAMAGED, Flag.UNCHECKED}]
    helper.start()
    assert helper.pid != first


def test_what_lies_in_a_file_is_believed(helper, monkeypatch):
    answer = {"items": [told(), told(path="1/b", name="b", flags=["macro"], depth=1)]}
    monkeypatch.setattr(helper, "_ask", lambda *_: answer)
    assert [item.path for item in helper.inspect([File("1", "a", "", b"x")], Limits())] == ["1", "1/b"]


def test_the_last_document_of_a_process_is_cleaned_too(helper, monkeypatch):
    helper.restart()
    helper.start()
    monkeypatch.setattr(helper_module, "_MOST", 1)
    assert helper.clean(macro_word(), Limits()) is not None


def counted(monkeypatch, done):
    """Have the unpacker say this; return the passwords it was asked with."""
    asked = []

    def unpacked(program, data, password, *_):
        asked.append(password)
        return done

    monkeypatch.setattr(helper_module, "unpacked", unpacked)
    return asked


def test_passwords_are_tried_a_few_times_for_all_archives_together(tmp_path, monkeypatch):
    data = packed(tmp_path, ["7z", "a", "-bd", "-pletmein", "-mhe=on"], "a.7z")
    files = [File(str(number), "a.7z", "", data) for number in range(4)] + [File("4", "run.exe", "", PROGRAM)]
    asked = counted(monkeypatch, Unpacked(b"", b"", False, False))
    with Helper("/bin/true") as fresh:
        items = fresh.inspect(files, Limits(), [f"wrong{number}" for number in range(20)])
    assert 0 < len(asked) <= 10
    assert [item.flags for item in items] == [{Flag.ENCRYPTED}] * 4 + [{Flag.EXECUTABLE}]


def test_where_the_unpacker_has_run_often_enough_the_rest_is_unchecked(monkeypatch):
    files = [File(str(number), "a.tx_", "", szdd(b"x")) for number in range(60)]
    asked = counted(monkeypatch, Unpacked(b"Path = a.exe\nSize = 1", b"x", True, False))
    with Helper("/bin/true") as fresh:
        items = fresh.inspect([*files, File("60", "run.exe", "", PROGRAM)], Limits())
    assert len(asked) == 50
    assert [item.flags for item in items if item.path in ("59", "60")] == [
        {Flag.DAMAGED, Flag.UNCHECKED},
        {Flag.EXECUTABLE},
    ]
    assert len([item for item in items if item.name == "a.exe"]) == 50


def test_no_run_of_the_unpacker_takes_all_the_time(monkeypatch):
    monkeypatch.setattr(helper_module, "time", SimpleNamespace(monotonic=lambda: 100.0))
    runs = helper_module._Runs(110.0, 10.0)
    assert (runs.another(""), runs.another("secret")) == (105.0, 104.0)


def test_files_that_go_wrong_together_are_looked_into_one_by_one(helper, monkeypatch):
    files = [File("1", "a.txt", "", b"bad"), File("2", "run.exe", "", PROGRAM, depth=1)]
    ask = helper._ask

    def crashing(inside, header, octets, limits):
        if b"bad" in octets:
            raise helper_module.HelperError("ended")
        return ask(inside, header, octets, limits)

    monkeypatch.setattr(helper, "_ask", crashing)
    assert [(item.flags, item.depth) for item in helper.inspect_each(files, Limits())] == [
        ({Flag.DAMAGED, Flag.UNCHECKED}, 0),
        ({Flag.EXECUTABLE}, 1),
    ]
    assert [Flag.UNCHECKED in item.flags for item in helper.inspect_each(files, Limits(seconds=-1.0))] == [True, True]


def test_a_process_is_replaced_after_its_time(helper, monkeypatch):
    monkeypatch.setattr(helper_module, "_MOST", 1)
    helper.inspect([], Limits())
    first = helper.pid
    helper.inspect([], Limits())
    assert helper.pid != first
