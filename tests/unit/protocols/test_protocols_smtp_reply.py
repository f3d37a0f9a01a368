"""Replies on the wire: lines, enhanced codes, outside text."""

import pytest

from mpp.mail.escape import printable
from mpp.protocols.smtp.reply import MAX_LINE, Reply


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        pytest.param(Reply(250, "2.1.0", "Ok"), b"250 2.1.0 Ok\r\n", id="one line"),
        pytest.param(Reply(354, "", "Go"), b"354 Go\r\n", id="without enhanced code"),
        pytest.param(Reply(250, "", "a\nb\nc"), b"250-a\r\n250-b\r\n250 c\r\n", id="several lines"),
        pytest.param(Reply(550, "5.7.1", "a\nb"), b"550-5.7.1 a\r\n550 5.7.1 b\r\n", id="enhanced code on each line"),
        pytest.param(Reply(250, "2.0.0", ""), b"250 2.0.0\r\n", id="no text"),
        pytest.param(Reply(550, "4.1.1", "x"), b"550 x\r\n", id="enhanced code of another class is dropped"),
        pytest.param(Reply(550, "5.1.1\r\n250", "x"), b"550 x\r\n", id="malformed enhanced code is dropped"),
        pytest.param(
            Reply(550, "5.1.1", printable("a\x1b\u202e\\")),
            b"550 5.1.1 a\\x1b\\u202e\\\\\r\n",
            id="nothing is escaped twice",
        ),
        pytest.param(
            Reply(550, "5.1.1", "a\r\x1b[2J\x00"), b"550 5.1.1 a\\x0d\\x1b[2J\\x00\r\n", id="controls are escaped"
        ),
        pytest.param(Reply(550, "5.1.1", "f\u00fcr \u202e"), b"550 5.1.1 f\\u00fcr \\u202e\r\n", id="only ASCII"),
    ],
)
def test_wire(reply: Reply, wire: bytes) -> None:
    assert reply.wire == wire


@pytest.mark.parametrize("text", ["x" * 2000, "word " * 400, "\x01" * 700, " " * 1500])
def test_long_lines_are_cut_within_512_octets(text: str) -> None:
    wire = Reply(550, "5.1.1", text).wire
    lines = wire.split(b"\r\n")
    assert lines.pop() == b""
    assert all(len(line) + 2 <= MAX_LINE for line in lines)
    assert all(line.startswith(b"550-5.1.1") for line in lines[:-1])
    assert lines[-1].startswith(b"550 5.1.1")


def test_words_stay_whole() -> None:
    words = b"".join(line[10:] + b" " for line in Reply(550, "5.1.1", "word " * 400).wire.split(b"\r\n")).split()
    assert words == [b"word"] * 400


@pytest.mark.parametrize("code", [0, 99, 199, 600, -250])
def test_no_reply_code(code: int) -> None:
    with pytest.raises(ValueError, match="reply code"):
        Reply(code, "", "x")


@pytest.mark.parametrize(("code", "kind"), [(250, "positive"), (451, "transient"), (550, "permanent"), (354, "")])
def test_kind(code: int, kind: str) -> None:
    reply = Reply(code, "", "x")
    assert [name for name in ("positive", "transient", "permanent") if getattr(reply, name)] == ([kind] if kind else [])


def test_equal_replies_are_equal_whether_written_or_not() -> None:
    written, fresh = Reply(250, "2.0.0", "Ok"), Reply(250, "2.0.0", "Ok")
    assert written.wire is written.wire
    assert written == fresh
    assert hash(written) == hash(fresh)


@pytest.mark.parametrize(
    "reply", [Reply(250, "2.0.0", "Ok, id=1"), Reply(550, "5.1.1", ""), Reply(354, "", "Go  ahead")]
)
def test_what_words_wrote_is_read_back(reply):
    assert Reply.read(reply.words) == reply


def test_other_words_are_no_reply():
    for words in ("", "250", "250 2.0.0", "Ok 2.0.0 fine", "999 9.9.9 none"):
        with pytest.raises(ValueError):
            Reply.read(words)
