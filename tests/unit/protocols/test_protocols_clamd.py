"""Dialogues of the clamd codec."""

import pytest

from mpp.protocols.clamd import (
    Begin,
    Chunk,
    ClamdCodec,
    Clean,
    End,
    Failed,
    Found,
    Ping,
    State,
    Told,
    TooLarge,
    Version,
)
from mpp.protocols.errors import NEED_DATA, LocalProtocolError, NeedData, RemoteProtocolError


def sent() -> ClamdCodec:
    codec = ClamdCodec()
    codec.send(Begin())
    codec.send(Chunk(3))
    codec.send(End())
    return codec


def event_of(codec: ClamdCodec, wire: bytes) -> object:
    codec.receive_data(wire)
    event = codec.next_event()
    assert not isinstance(event, NeedData)
    return event


def test_two_messages_in_one_session() -> None:
    codec = ClamdCodec()
    assert codec.send(Begin()) == b"zIDSESSION\0zINSTREAM\0"
    assert codec.send(Chunk(258)) == b"\0\0\x01\x02"
    assert codec.next_event() is NEED_DATA
    assert codec.send(End()) == b"\0\0\0\0"
    assert event_of(codec, b"1: stream: OK\0") == Clean()
    assert codec.send(Begin()) == b"zINSTREAM\0"
    codec.send(End())
    assert event_of(codec, b"2: stream: Eicar-Test-Signature FOUND\0") == Found("Eicar-Test-Signature")
    assert codec.state is State.IDLE


@pytest.mark.parametrize("content", [b"", b"abc"])
def test_a_whole_message_is_what_its_steps_make(content: bytes) -> None:
    codec, whole = ClamdCodec(), ClamdCodec()
    for _ in range(2):
        steps = (
            codec.send(Begin()) + (codec.send(Chunk(len(content))) + content if content else b"") + codec.send(End())
        )
        assert whole.send_whole(content) == steps
        assert whole.state is State.WAITING
        with pytest.raises(LocalProtocolError):
            whole.send_whole(content)
        number = b"1" if b"zIDSESSION" in steps else b"2"
        for each in (codec, whole):
            assert event_of(each, number + b": stream: OK\0") == Clean()


def test_a_session_with_octets_left_over_carries_no_more() -> None:
    codec = sent()
    codec.receive_data(b"1: stream: OK\0001: stream: X FOUND\0")
    assert codec.next_event() == Clean()
    assert not codec.reusable


def test_version_and_ping() -> None:
    codec = ClamdCodec()
    assert codec.send(Version()) == b"zIDSESSION\0zVERSION\0"
    assert event_of(codec, b"1: ClamAV 1.4.1/27400/x\0") == Told("ClamAV 1.4.1/27400/x")
    assert codec.send(Ping()) == b"zPING\0"
    assert event_of(codec, b"2: PONG\0") == Told("PONG")


def test_over_the_size_limit_clamd_answers_while_we_send() -> None:
    codec = ClamdCodec()
    codec.send(Begin())
    codec.send(Chunk(3))
    assert event_of(codec, b"1: INSTREAM size limit exceeded. ERROR\0") == TooLarge()
    codec.receive_data(b"")
    assert codec.next_event() is NEED_DATA
    with pytest.raises(LocalProtocolError, match="DONE"):
        codec.send(Begin())


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        (b"INSTREAM size limit exceeded. ERROR\0", TooLarge()),
        (b"1: Can't allocate memory ERROR\0", Failed("Can't allocate memory")),
        (b"COMMAND READ TIMED OUT ERROR\0", Failed("COMMAND READ TIMED OUT")),
        (b"1: stream: a b FOUND FOUND\0", Found("a b FOUND")),
        (b"1: stream: \x1b[1m\xff FOUND\0", Found(r"\x1b[1m\xff")),
    ],
)
def test_answers(wire: bytes, event: object) -> None:
    assert event_of(sent(), wire) == event


@pytest.mark.parametrize(
    "wire",
    [
        b"stream: OK\0",
        b"2: stream: OK\0",
        b"1: stream: OKAY\0",
        b"1: stream:  FOUND\0",
        b"1: OK\0",
        b"1: \0",
        b"\0",
        b"x" * 4097,
        b"x" * 4097 + b"\0",
    ],
)
def test_garbage_is_clamds_fault(wire: bytes) -> None:
    codec = sent()
    codec.receive_data(wire)
    with pytest.raises(RemoteProtocolError):
        codec.next_event()


def test_a_reply_that_nothing_asked_for() -> None:
    codec = sent()
    codec.receive_data(b"1: stream: OK\x001: stream: OK\0")
    assert codec.next_event() == Clean()
    with pytest.raises(RemoteProtocolError):
        codec.next_event()


def test_closed_before_its_reply() -> None:
    codec = sent()
    codec.receive_data(b"")
    with pytest.raises(RemoteProtocolError, match="closed"):
        codec.next_event()


@pytest.mark.parametrize("length", [0, -1, 1 << 32])
def test_lengths_that_would_mean_something_else(length: int) -> None:
    codec = ClamdCodec()
    codec.send(Begin())
    with pytest.raises(LocalProtocolError):
        codec.send(Chunk(length))


def test_the_order_of_events_is_ours_to_keep() -> None:
    for event in (Chunk(1), End()):
        with pytest.raises(LocalProtocolError, match="NEW"):
            ClamdCodec().send(event)
    with pytest.raises(LocalProtocolError, match="WAITING"):
        sent().send(Begin())
