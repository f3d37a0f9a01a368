"""Dialogues of the HTTP codec."""

import pytest

from mpp.protocols.errors import NEED_DATA, LocalProtocolError, NeedData, RemoteProtocolError
from mpp.protocols.http import HttpCodec, Request, Response, State

ASK = Request("POST", "/checkv2", "rspamd", 3, [("From", "a@b.example"), ("Helo", ""), ("Rcpt", "x"), ("Rcpt", "y")])


def asked(**options: int) -> HttpCodec:
    codec = HttpCodec(**options)
    codec.send(ASK)
    return codec


def response_of(codec: HttpCodec, wire: bytes) -> Response:
    codec.receive_data(wire)
    event = codec.next_event()
    assert not isinstance(event, NeedData)
    return event


def test_a_request_as_it_is_written() -> None:
    assert HttpCodec().send(ASK) == (
        b"POST /checkv2 HTTP/1.1\r\nHost: rspamd\r\nContent-Length: 3\r\n"
        b"From: a@b.example\r\nRcpt: x\r\nRcpt: y\r\n\r\n"
    )
    assert HttpCodec().send(Request("GET", "/ping", "h")) == b"GET /ping HTTP/1.1\r\nHost: h\r\n\r\n"
    assert b"Content-Length: 0\r\n" in HttpCodec().send(Request("POST", "/", "h"))


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "\r", "a\0b"])
def test_no_field_can_end_early(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        HttpCodec().send(Request("GET", "/", "h", fields=[("From", value)]))


@pytest.mark.parametrize("target", ["", "x", "/a b", "/a\r\n", "http://h/"])
def test_a_target_is_a_path(target: str) -> None:
    with pytest.raises(LocalProtocolError):
        HttpCodec().send(Request("GET", target, "h"))


@pytest.mark.parametrize(
    ("wire", "body", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 204 None\r\n\r\n", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nTrailer: t\r\n\r\n", b"hi", True),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 0\r\n\r\n", b"", True),
    ],
    ids=["length", "no reason", "204", "100 first", "close", "1.0", "1.0 kept", "chunks", "identity"],
)
def test_answers(wire: bytes, body: bytes, reusable: bool) -> None:
    codec = asked()
    assert response_of(codec, wire).body == body
    assert codec.reusable is reusable
    assert codec.next_event() is NEED_DATA


def test_a_body_that_ends_with_the_connection() -> None:
    codec = asked()
    codec.receive_data(b"HTTP/1.1 500 Oh no\r\nX-A: 1\r\nx-a: 2\r\nX-Folded: a\r\n\tb\r\n\r\nhi")
    assert codec.next_event() is NEED_DATA
    response = response_of(codec, b"")
    assert (response.status, response.reason, response.body) == (500, "Oh no", b"hi")
    assert response.fields == {"x-a": "1, 2", "x-folded": "a b"}
    assert codec.state is State.DONE


def test_one_connection_carries_many() -> None:
    codec = asked()
    for number in range(3):
        assert response_of(codec, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number).body == b"%d" % number
        codec.send(ASK)


@pytest.mark.parametrize(
    ("wire", "cause"),
    [
        (b"SSH-2.0-x\r\n", "not an answer of HTTP/1.1"),
        (b"HTTP/2 200\r\n\r\n", "not an answer of HTTP/1.1"),
        (b"HTTP/1.1 2000 x\r\n\r\n", "not an answer of HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nbad field\r\n\r\n", "not a header field"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both a length and chunks"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "coding that was not asked for"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", "coding that was not asked for"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", "a body of 104857600 octets, more than 100"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101, "a body of more than 100 octets"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101, "a body of more than 100 octets"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "not a chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "a chunk that is longer than it says"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 1024, "not a chunk"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000, "a head of more than 16384 octets"),
    ],
)
def test_what_is_no_answer(wire: bytes, cause: str) -> None:
    codec = asked(max_body=100)
    codec.receive_data(wire)
    with pytest.raises(RemoteProtocolError, match=cause):
        codec.next_event()


@pytest.mark.parametrize(
    "wire", [b"H", b"HTT", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh"]
)
def test_closed_before_the_answer_was_complete(wire: bytes) -> None:
    codec = asked()
    codec.receive_data(wire)
    assert codec.next_event() is NEED_DATA
    codec.receive_data(b"")
    with pytest.raises(RemoteProtocolError, match="closed"):
        codec.next_event()


def test_an_answer_that_nothing_asked_for() -> None:
    codec = HttpCodec()
    codec.receive_data(b"HTTP/1.1 200 OK\r\n")
    assert not codec.reusable
    with pytest.raises(RemoteProtocolError, match="without a request"):
        codec.next_event()


def test_one_request_at_a_time() -> None:
    with pytest.raises(LocalProtocolError):
        asked().send(ASK)
