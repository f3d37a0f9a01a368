"""Dialogues of the spamd codec."""

import pytest

from mpp.protocols.errors import NEED_DATA, LocalProtocolError, RemoteProtocolError
from mpp.protocols.spamd import MAX_HEADER, Reply, Request, SpamdCodec


def asked(request: Request | None = None, *, max_body: int = 1 << 20) -> SpamdCodec:
    codec = SpamdCodec(max_body=max_body)
    codec.send(request or Request("REPORT", 5))
    return codec


def reply_to(codec: SpamdCodec, *wire: bytes) -> Reply:
    for piece in wire:
        codec.receive_data(piece)
    reply = codec.next_event()
    assert isinstance(reply, Reply)
    return reply


def test_a_request_and_its_answer() -> None:
    codec = SpamdCodec()
    octets = codec.send(Request("SYMBOLS", 12, "joe@example.org"))
    assert octets == b"SYMBOLS SPAMC/1.5\r\nContent-length: 12\r\nUser: joe@example.org\r\n\r\n"
    codec.receive_data(b"SPAMD/1.1 0 EX_OK\r\nContent-length: 5\r\nSpam: Tr")
    assert codec.next_event() is NEED_DATA
    codec.receive_data(b"ue ; 15.5 / -5.0\r\n\r\nA,B")
    assert codec.next_event() is NEED_DATA
    assert reply_to(codec, b",C") == Reply(0, "EX_OK", "EX_OK", True, 15.5, -5.0, b"A,B,C")
    assert codec.next_event() is NEED_DATA


def test_ping_and_tell() -> None:
    codec = SpamdCodec()
    assert codec.send(Request("PING")) == b"PING SPAMC/1.5\r\n\r\n"
    assert reply_to(codec, b"SPAMD/1.5 0 PONG\r\n", b"").text == "PONG"
    codec = SpamdCodec()
    octets = codec.send(Request("TELL", 3, message_class="spam", set="local", remove="remote"))
    assert b"Message-class: spam\r\nSet: local\r\nRemove: remote\r\n\r\n" in octets
    assert reply_to(codec, b"SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\nContent-length: 2\r\n\r\n\r\n").did_set == "local"


def test_without_a_length_the_body_ends_with_the_connection() -> None:
    codec = asked(Request("CHECK", 5))
    codec.receive_data(b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; -0.1 / 5.0\r\n\r\n")
    assert codec.next_event() is NEED_DATA
    reply = reply_to(codec, b"")
    assert (reply.spam, reply.score, reply.body) == (False, -0.1, b"")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"SPAMD/1.0 76 Bad header line: FOO", "EX_PROTOCOL"),
        (b"SPAMD/1.0 79 Timeout: (30 second timeout while trying to REPORT)", "EX_TIMEOUT"),
        (b"SPAMD/1.0 42 what", "code 42"),
    ],
)
def test_errors_have_names_and_need_no_header(line: bytes, name: str) -> None:
    reply = reply_to(asked(), line + b"\r\n", b"")
    assert reply.name == name
    assert reply.text == line.split(b" ", 2)[2].decode()


def test_outside_text_is_cleaned() -> None:
    assert reply_to(asked(), b"SPAMD/1.0 70 a\x1bb\r\n", b"").text == r"a\x1bb"


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "not a reply"),
        (b"SPAMD/1.1 0 EX_OK\r\n\r\n", "no score"),
        (b"SPAMD/1.1 0 EX_OK\r\nSpam: Maybe ; 1 / 5\r\n\r\n", "no score"),
        (b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; nan / 5\r\n\r\n", "no score"),
        (b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 1e999 / 5\r\n\r\n", "no score"),
        (b"SPAMD/1.1 0 EX_OK\r\nSpam True\r\n\r\n", "not a header field"),
        (b"SPAMD/1.1 0 EX_OK\r\nContent-length: -1\r\n\r\n", "not a length"),
        (b"SPAMD/1.1 0 EX_OK\r\nContent-length: 65\r\nSpam: True ; 1 / 5\r\n\r\n", "a body of 65"),
        (b"SPAMD/1.1 0 EX_OK\r\nContent-length: 9\r\nSpam: True ; 1 / 5\r\n\r\nshort", "closed after 5 of 9"),
        (b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 1 / 5\r\n\r\n" + b"x" * 65, "more than 64"),
        (b"SPAMD/1.1 0 " + b"x" * MAX_HEADER, "header of more"),
        (b"SPAMD/1.1 0 EX_", "closed before"),
        (b"", "closed before"),
    ],
)
def test_garbage_is_spamds_fault(wire: bytes, why: str) -> None:
    codec = asked(max_body=64)
    codec.receive_data(wire)
    codec.receive_data(b"")
    with pytest.raises(RemoteProtocolError, match=why):
        codec.next_event()


def test_an_endless_header_is_refused_before_its_end() -> None:
    codec = asked()
    codec.receive_data(b"x" * (MAX_HEADER + 4))
    with pytest.raises(RemoteProtocolError, match="header of more"):
        codec.next_event()


def test_one_request_a_connection_and_no_unsafe_user() -> None:
    with pytest.raises(LocalProtocolError):
        asked().send(Request("PING"))
    for user in ("a b", "a\r\nx: y", "ü", "x" * 321):
        with pytest.raises(LocalProtocolError):
            SpamdCodec().send(Request("CHECK", 1, user))


def test_speaking_first_is_an_error() -> None:
    codec = SpamdCodec()
    codec.receive_data(b"SPAMD/1.5 0 PONG\r\n")
    with pytest.raises(RemoteProtocolError, match="before the request"):
        codec.next_event()
