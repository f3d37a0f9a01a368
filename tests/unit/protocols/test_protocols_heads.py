"""Heads that servers repeat: read once, and never another's."""

import re

import pytest

from mpp.protocols.errors import RemoteProtocolError
from mpp.protocols.heads import KNOWN, SHORT, Answers, Found, Heads
from mpp.protocols.http import HttpCodec, Request, Response

FIRST = re.compile(rb"X/1 ([0-9]+)")


class Reader:
    """Counts what it has to read."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.heads = Heads("X", FIRST, b"X/1", self.make)

    def make(self, first: re.Match[bytes], fields: Found) -> tuple[int, Found]:
        self.read.append(fields.get("a", ""))
        return int(first[1]), fields

    def take(self, wire: bytes) -> tuple[int, Found] | None:
        answers = Answers(self.heads)
        answers.receive_data(wire)
        return answers.take_head()


def test_a_head_that_is_repeated_is_read_once() -> None:
    reader = Reader()
    for _ in range(3):
        assert reader.take(b"X/1 7\r\na: b\r\n\r\n") == (7, {"a": "b"})
    assert reader.take(b"X/1 7\r\na: c\r\n\r\n") == (7, {"a": "c"})
    assert reader.read == ["b", "c"]


def test_only_short_heads_are_kept_and_not_many() -> None:
    reader = Reader()
    long = "x" * SHORT
    for _ in range(2):
        assert reader.take(b"X/1 1\r\na: %b\r\n\r\n" % long.encode()) == (1, {"a": long})
    assert reader.read == [long, long]
    for number in range(3 * KNOWN):
        reader.take(b"X/1 1\r\na: %d\r\n\r\n" % number)
    assert reader.heads.known.cache_info().currsize == KNOWN


def test_what_is_no_head_is_none_each_time() -> None:
    reader = Reader()
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="not an answer of X"):
            reader.take(b"X/1 x\r\n\r\n")


def test_a_head_known_from_another_connection_meets_this_one_s_limit() -> None:
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    for most, fine in ((5, True), (4, False), (5, True)):
        codec = HttpCodec(max_body=most)
        codec.send(Request("GET", "/", "h"))
        codec.receive_data(wire)
        if fine:
            response = codec.next_event()
            assert isinstance(response, Response)
            assert response.body == b"hello"
            with pytest.raises(TypeError):
                response.fields["content-length"] = "6"  # type: ignore[index]
        else:
            with pytest.raises(RemoteProtocolError, match="more than 4"):
                codec.next_event()
