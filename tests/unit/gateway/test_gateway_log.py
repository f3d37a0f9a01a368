"""Log lines: their form, their limits, and what happens when nobody takes them."""

import fcntl
import json
import os
import re
import socket

import pytest

from mpp.gateway import log
from mpp.gateway.log import MAX_LINE, Log, Sink


def logfmt(**fields):
    line = Log().line("info", "message", fields).decode()
    match = re.fullmatch(r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info event=message(.*)\n", line)
    assert match, line
    return match[1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("plain", "plain", id="a word"),
        pytest.param("two words", '"two words"', id="a space"),
        pytest.param("", '""', id="nothing"),
        pytest.param("a=b", '"a=b"', id="an equals sign"),
        pytest.param('say "x"', '"say \\"x\\""', id="a quote"),
        pytest.param('\\"', '"\\\\\\""', id="a backslash before a quote"),
        pytest.param("a\r\nlevel=error", '"a\\x0d\\x0alevel=error"', id="a line end"),
        pytest.param("\x1b[31m", "\\x1b[31m", id="an escape"),
        pytest.param("a\u202eb", "a\\u202eb", id="a turn of direction"),
        pytest.param("a\x85\u2028b", "a\\x85\\u2028b".replace("\\x85", "\\u0085"), id="line ends of Unicode"),
        pytest.param("grün", "grün", id="letters"),
        pytest.param(b"caf\xe9", "caf\\xe9", id="octets"),
        pytest.param(5, "5", id="a number"),
        pytest.param(0.5, "0.5", id="a fraction"),
        pytest.param(1 / 3, "0.333333", id="a long fraction"),
        pytest.param(float("nan"), "nan", id="no number"),
        pytest.param(True, "true", id="a truth"),
        pytest.param(["a@b", "c@d"], "a@b,c@d", id="a list"),
        pytest.param([], '""', id="an empty list"),
        pytest.param(['"a,b"@c', "d"], '"\\"a\\x2cb\\"@c,d"', id="a comma in an item"),
    ],
)
def test_logfmt_values(value, expected):
    assert logfmt(key=value) == f" key={expected}"


def test_usual_lines_are_the_same_by_the_short_way():
    fields = {
        "id": "x1", "reply": "250 2.0.0 ok", "to": ["a@b", "c@d"], "size": 5, "s": 0.25, "empty": "", "not": None,
        "none": [], "tests": ("too large", "x"), "blank": [""], "yes": True,
    }  # fmt: skip
    line = ' id=x1 reply="250 2.0.0 ok" to=a@b,c@d size=5 s=0.25 empty="" none="" tests="too large,x" blank="" yes=true'
    assert logfmt(**fields) == line
    assert logfmt(**fields, odd="\x00") == f"{line} odd=\\x00"
    assert logfmt(**fields, octets=b"x") == f"{line} octets=x"


def test_json():
    line = Log("json", fixed={"worker": 3}).line(
        "error", "x", {"a": 'q"\n\u202e', "b": ["c", "\x1b"], "n": float("inf"), "t": True}
    )
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    values = json.loads(line)
    assert values.pop("time").endswith("Z")
    assert values == {
        "level": "error", "event": "x", "worker": 3, "a": 'q"\\x0a\\u202e', "b": ["c", "\\x1b"], "n": "inf", "t": True,
    }  # fmt: skip


def test_fixed_fields_may_hold_percent_signs():
    assert b" name=100%s x=1\n" in Log(fixed={"name": "100%s"}).line("info", "e", {"x": 1})


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_a_long_line_is_cut_with_a_mark(form):
    line = Log(form).line("info", "e", {f"field{number}": "ü" * 5000 for number in range(50)})
    assert len(line) <= MAX_LINE
    assert b"..." in line
    assert (b" cut=" if form == "logfmt" else b',"cut":') in line
    if form == "json":
        json.loads(line)


def test_a_long_list_says_how_much_is_left_out():
    assert logfmt(to=[f"user{number}@example.org" for number in range(200)]).endswith(' more"')


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_a_reader_that_stands_still_blocks_nobody_and_learns_what_it_missed(pipe):
    reader, writer = pipe
    dropped = []
    lines = Log(sink=Sink(writer), on_drop=lambda: dropped.append(1))
    for number in range(1000):
        lines.event("info", "e", {"number": number, "text": "x" * 400})
    taken = os.read(reader, 1 << 16)
    assert taken.endswith(b"\n")  # no line is there in part
    assert len(dropped) == 1000 - taken.count(b"\n")
    lines.event("info", "after", {})
    told = os.read(reader, 1 << 16).splitlines()
    assert f"event=log.dropped lines={len(dropped)}".encode() in told[0]
    assert b"event=after" in told[1]
    assert os.get_blocking(writer)  # who shares the descriptor sees no change


def test_a_socket_that_nobody_reads_blocks_nobody():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        lines = Log(sink=Sink(theirs.fileno()))
        for _ in range(2000):
            lines.event("info", "e", {"text": "x" * 900})
        assert lines.sink.dropped > 0
        ours.setblocking(False)
        seen = b""
        while lines.sink.dropped:
            seen += ours.recv(1 << 20)
            lines.event("info", "after", {})
        seen += ours.recv(1 << 20)
        assert all(line.startswith(b"time=") for line in seen.splitlines())


def _closed():
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    return writer


def _without_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("opened", [_closed, _without_reader, lambda: os.open("/dev/full", os.O_WRONLY)])
def test_a_stderr_that_takes_nothing_raises_nothing(opened):
    lines = Log(sink=Sink(opened()))
    for _ in range(3):
        lines.event("error", "e", {"x": 1})
    assert lines.sink.dropped == 3


def test_a_file_is_appended_to(tmp_path):
    with open(tmp_path / "log", "ab") as file:
        file.write(b"before\n")
        file.flush()
        Log(sink=Sink(file.fileno())).event("info", "e", {})
    assert (tmp_path / "log").read_bytes().splitlines()[0] == b"before"


def test_levels_below_the_least_are_not_written(capfd):
    log.configure(level="warning", worker=2)
    log.reopen()
    try:
        log.event("info", "quiet")
        log.event("warning", "loud", x="a b")
    finally:
        log.configure()
    written = capfd.readouterr().err
    assert "quiet" not in written
    assert written.endswith(' level=warning event=loud worker=2 x="a b"\n')
