"""Dialogues of the ICAP codec."""

import pytest

from mpp.protocols.errors import LocalProtocolError, NeedData, RemoteProtocolError
from mpp.protocols.icap import (
    Answer,
    Begin,
    Continue,
    Data,
    Done,
    End,
    EndOfPreview,
    Event,
    IcapCodec,
    Options,
    Piece,
    State,
)

URL, HOST = "icap://h:1344/av", "h:1344"
NO_CONTENT = b"ICAP/1.0 204 Unmodified\r\nISTag: x\r\n\r\n"


def events_of(codec: IcapCodec, wire: bytes) -> list[Event]:
    codec.receive_data(wire)
    events: list[Event] = []
    while not isinstance(event := codec.next_event(), NeedData):
        events.append(event)
    return events


def sent(preview: int | None = None) -> IcapCodec:
    codec = IcapCodec()
    codec.send(Begin("RESPMOD", URL, HOST, 3, preview=preview))
    codec.send(Piece(3))
    codec.send(End() if preview is None else EndOfPreview(whole=False))
    return codec


def test_options() -> None:
    codec = IcapCodec()
    assert codec.send(Options(URL, HOST)) == (
        b"OPTIONS icap://h:1344/av ICAP/1.0\r\nHost: h:1344\r\nEncapsulated: null-body=0\r\n\r\n"
    )
    (answer,) = events_of(codec, b"ICAP/1.0 200 OK\r\nPreview: 4\r\nEncapsulated: null-body=0\r\n\r\n")
    assert answer == Answer(200, "OK", {"preview": "4", "encapsulated": "null-body=0"})
    assert codec.reusable


def test_a_download_all_at_once() -> None:
    codec = IcapCodec()
    head = codec.send(Begin("RESPMOD", URL, HOST, 5, allow_204=False, fields=[("X-Client-IP", "192.0.2.1")]))
    icap, _, http = head.partition(b"\r\n\r\n")
    assert icap.split(b"\r\n") == [
        b"RESPMOD icap://h:1344/av ICAP/1.0",
        b"Host: h:1344",
        b"X-Client-IP: 192.0.2.1",
        b"Encapsulated: req-hdr=0, res-hdr=41, res-body=109",
    ]
    assert http[41:].startswith(b"HTTP/1.1 200 OK\r\nContent-Type: message/rfc822\r\nContent-Length: 5\r\n")
    assert len(http) == 109
    assert codec.send(Piece(2)) == b"2\r\n"
    assert codec.send(Piece(3)) == b"\r\n3\r\n"
    assert codec.send(End()) == b"\r\n0\r\n\r\n"
    assert [type(event) for event in events_of(codec, NO_CONTENT)] == [Answer]
    assert codec.reusable


@pytest.mark.parametrize("content", [b"", b"x", b"0123456789abcdef" * 20], ids=["nothing", "one octet", "more"])
@pytest.mark.parametrize("fields", [[], [("X-Client-IP", "192.0.2.1"), ("X-Empty", "")]], ids=["plain", "with a field"])
def test_a_whole_request_is_what_its_steps_make(content: bytes, fields: list[tuple[str, str]]) -> None:
    codec, begin = IcapCodec(), Begin("RESPMOD", URL, HOST, len(content), fields=fields)
    steps = codec.send(begin)
    if content:
        steps += codec.send(Piece(len(content))) + content
    steps += codec.send(End())
    whole = IcapCodec()
    assert whole.send_whole(begin, content) == steps
    assert whole.state is codec.state
    assert [type(event) for event in events_of(whole, NO_CONTENT)] == [Answer]
    with pytest.raises(LocalProtocolError, match="End in PREVIEW"):
        IcapCodec().send_whole(begin._replace(preview=4), content)
    with pytest.raises(LocalProtocolError, match="a control character"):
        IcapCodec().send_whole(begin._replace(fields=[("X-A", "a\r\nX-B: b")]), content)


def test_an_upload() -> None:
    head = IcapCodec().send(Begin("REQMOD", URL, HOST, 5))
    icap, _, http = head.partition(b"\r\n\r\n")
    assert http.startswith(b"POST /message.eml HTTP/1.1\r\n")
    assert f"Encapsulated: req-hdr=0, req-body={len(http)}".encode() in icap
    assert b"Allow: 204" in icap


def test_a_preview_that_is_enough() -> None:
    codec = IcapCodec()
    assert b"\r\nPreview: 1024\r\n" in codec.send(Begin("RESPMOD", URL, HOST, 3, preview=1024))
    codec.send(Piece(3))
    assert codec.send(EndOfPreview(whole=True)) == b"\r\n0; ieof\r\n\r\n"
    (answer,) = events_of(codec, NO_CONTENT)
    assert isinstance(answer, Answer)
    assert answer.status == 204


def test_a_service_that_wants_the_rest() -> None:
    codec = sent(preview=3)
    assert events_of(codec, b"ICAP/1.0 100 Continue\r\n\r\n") == [Continue()]
    assert codec.send(Piece(9)) == b"9\r\n"
    codec.send(End())
    assert [type(event) for event in events_of(codec, NO_CONTENT)] == [Answer]


def test_an_answer_with_content_in_pieces() -> None:
    codec = sent()
    wire = (
        b"ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0;\r\n\tResolution=2\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\n"
        b"HTTP/1.0 403 No\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    events: list[Event] = []
    for octet in wire:
        events += events_of(codec, bytes([octet]))
    answer, *rest = events
    assert isinstance(answer, Answer)
    assert (answer.http, answer.body) == (b"HTTP/1.0 403 No\r\n\r\n", True)
    assert answer.fields["x-infection-found"] == "Type=0; Resolution=2"
    assert b"".join(event.octets for event in rest if isinstance(event, Data)) == b"abcde"
    assert rest[-1] == Done()
    assert codec.reusable


def test_an_answer_before_all_was_sent() -> None:
    codec = IcapCodec()
    codec.send(Begin("RESPMOD", URL, HOST, 9))
    codec.send(Piece(3))
    assert [type(event) for event in events_of(codec, NO_CONTENT)] == [Answer]


@pytest.mark.parametrize("more", [b"Connection: close\r\n", b""])
def test_connections_that_end(more: bytes) -> None:
    codec = sent()
    events_of(codec, b"ICAP/1.0 404 Service not found\r\n%b\r\n<html>" % more)
    assert codec.state is State.CLOSED
    assert not codec.reusable


@pytest.mark.parametrize(
    ("wire", "cause"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "not an answer of ICAP"),
        (b"ICAP/1.0 2000 OK\r\n\r\n", "not an answer of ICAP"),
        (b"ICAP/1.0 100 Continue\r\n\r\n", "Continue in WAITING"),
        (b"ICAP/1.0 200 OK\r\nno field\r\n\r\n", "not a header field"),
        (b"ICAP/1.0 200 OK\r\nEncapsulated: what=1\r\n\r\n", "not where its parts are"),
        (b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=5, res-hdr=9\r\n\r\n", "not where its parts are"),
        (b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=9, res-body=5\r\n\r\n", "not where its parts are"),
        (b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=99999\r\n\r\n", "heads of more than"),
        (b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\nxyz\r\n", "not a chunk"),
        (b"ICAP/1.0 200 OK\r\nX: " + b"x" * 20000, "a head of more than"),
    ],
)
def test_what_is_no_answer(wire: bytes, cause: str) -> None:
    with pytest.raises(RemoteProtocolError, match=cause):
        events_of(sent(), wire)


@pytest.mark.parametrize(
    "wire",
    [b"I", b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=9\r\n\r\nHTTP", b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n3\r\na"],
)  # fmt: skip
def test_closed_before_the_answer_was_complete(wire: bytes) -> None:
    codec = sent()
    events_of(codec, wire)
    with pytest.raises(RemoteProtocolError, match="closed"):
        events_of(codec, b"")


def test_the_order_of_events_is_ours_to_keep() -> None:
    for event in (Piece(1), End(), EndOfPreview(whole=True)):
        with pytest.raises(LocalProtocolError):
            IcapCodec().send(event)
    with pytest.raises(LocalProtocolError):
        sent().send(Begin("RESPMOD", URL, HOST, 1))
    with pytest.raises(LocalProtocolError):
        sent(preview=3).send(Piece(1))  # before Continue
    codec = IcapCodec()
    codec.send(Begin("RESPMOD", URL, HOST, 1))
    with pytest.raises(LocalProtocolError):
        codec.send(Piece(0))


def test_an_answer_that_nothing_asked_for() -> None:
    codec = IcapCodec()
    codec.receive_data(NO_CONTENT)
    with pytest.raises(RemoteProtocolError, match="without a request"):
        codec.next_event()
