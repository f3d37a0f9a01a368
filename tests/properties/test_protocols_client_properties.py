"""The client codecs on any octets, cut anywhere: the same events, and only documented errors."""

import itertools
from collections.abc import Callable
from typing import Protocol

from hypothesis import given, settings
from hypothesis import strategies as st

from mpp.protocols.clamd import Begin, Chunk, ClamdCodec, End
from mpp.protocols.errors import NEED_DATA, RemoteProtocolError
from mpp.protocols.http import HttpCodec
from mpp.protocols.http import Request as HttpRequest
from mpp.protocols.icap import Begin as IcapBegin
from mpp.protocols.icap import Data as IcapData
from mpp.protocols.icap import EndOfPreview, IcapCodec
from mpp.protocols.icap import Piece as IcapPiece
from mpp.protocols.smtp.client import ClientCodec, Data, Hello, Mail, Rcpt
from mpp.protocols.smtp.dots import stuffed, stuffed_whole
from mpp.protocols.spamd import Request, SpamdCodec


class Codec(Protocol):
    def receive_data(self, data: bytes) -> None: ...
    def next_event(self) -> object: ...


def smtp() -> ClientCodec:
    codec = ClientCodec()
    codec.receive_data(b"220 hi\r\n")
    codec.next_event()
    codec.send(Hello("x"))
    codec.receive_data(b"250 hi\r\n")
    codec.next_event()
    codec.send(Mail("a@b.example"), Rcpt("c@d.example"), Data())
    return codec


def spamd() -> SpamdCodec:
    codec = SpamdCodec(max_body=64)
    codec.send(Request("REPORT", 5))
    return codec


def clamd() -> ClamdCodec:
    codec = ClamdCodec(max_reply=64)
    codec.send(Begin())
    codec.send(Chunk(3))
    codec.send(End())
    return codec


def http() -> HttpCodec:
    codec = HttpCodec(max_body=64)
    codec.send(HttpRequest("POST", "/", "h", 3))
    return codec


def icap() -> IcapCodec:
    codec = IcapCodec()
    codec.send(IcapBegin("RESPMOD", "icap://h/s", "h", 3, preview=3))
    codec.send(IcapPiece(3))
    codec.send(EndOfPreview(whole=False))
    return codec


def events(codec: Codec, pieces: list[bytes]) -> list[object]:
    """The events of a whole dialogue; an error ends it and says no more than that it was one."""
    got: list[object] = []
    try:
        for piece in [*(piece for piece in pieces if piece), b""]:
            codec.receive_data(piece)
            while (event := codec.next_event()) is not NEED_DATA:
                if isinstance(event, IcapData) and got and isinstance(got[-1], IcapData):
                    event = IcapData(got.pop().octets + event.octets)  # in how many pieces it came is no event
                got.append(event)
    except RemoteProtocolError:
        got.append("error")
    return got


def cut(wire: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(place % (len(wire) + 1) for place in places), len(wire)]
    return [wire[start:end] for start, end in itertools.pairwise(borders)]


LINES = st.sampled_from(
    [
        b"250 ok\r\n",
        b"250-a\r\n",
        b"354 go\r\n",
        b"550 5.1.1 no\r\n",
        b"421 x\n",
        b"250\r\n",
        b"junk\r\n",
        b"25",
        b"\r\n",
    ]
)
SPAMD = st.sampled_from(
    [
        b"SPAMD/1.1 0 EX_OK\r\n",
        b"SPAMD/1.0 76 Bad\r\n",
        b"Content-length: 4\r\n",
        b"Content-length: 400\r\n",
        b"Spam: True ; 15.0 / 5.0\r\n",
        b"\r\n",
        b"body",
        b"x" * 40,
    ]
)
CLAMD = st.sampled_from(
    [
        b"1: stream: OK\0",
        b"1: stream: X FOUND\0",
        b"2: stream: OK\0",
        b"1: INSTREAM size limit exceeded. ERROR\0",
        b"1: ",
        b"\0",
        b"y" * 40,
    ]
)
HTTP_LIKE = [
    b"Content-Length: 4\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"\r\n",
    b"4\r\nbody\r\n",
    b"0\r\n\r\n",
    b"body",
    b"x" * 40,
]
HTTP = st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 204 x\r\n", *HTTP_LIKE])
ICAP = st.sampled_from(
    [
        b"ICAP/1.0 200 OK\r\n",
        b"ICAP/1.0 100 Continue\r\n\r\n",
        b"ICAP/1.0 204 x\r\n\r\n",
        b"Encapsulated: res-hdr=0, res-body=4\r\n",
        *HTTP_LIKE,
    ]
)
CASES: list[tuple[Callable[[], Codec], st.SearchStrategy[bytes]]] = [
    (smtp, LINES),
    (spamd, SPAMD),
    (clamd, CLAMD),
    (http, HTTP),
    (icap, ICAP),
]


@settings(max_examples=300)
@given(
    st.sampled_from(CASES).flatmap(lambda case: st.tuples(st.just(case[0]), st.lists(case[1], max_size=8))), st.data()
)
def test_any_cut_gives_the_same_events(case: tuple[Callable[[], Codec], list[bytes]], data: st.DataObject) -> None:
    make, parts = case
    wire = b"".join(parts)
    places = data.draw(st.lists(st.integers(0, 400), max_size=12))
    assert events(make(), cut(wire, places)) == events(make(), [wire])


@given(st.sampled_from([smtp, spamd, clamd, http, icap]), st.lists(st.binary(max_size=60), max_size=5))
def test_only_documented_errors(make: Callable[[], Codec], pieces: list[bytes]) -> None:
    events(make(), pieces)


def unstuffed(wire: bytes) -> bytes:
    """The server's side of RFC 5321, 4.5.2, line by line."""
    lines = wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    assert b"." not in lines[:-2]
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])


@given(st.lists(st.sampled_from([b"a", b".", b"\r\n", b"\r", b"\n", b"", b"\r\n.", b"..\r\n"]), max_size=20))
def test_a_server_reads_the_body_that_was_given(buffers: list[bytes]) -> None:
    body = b"".join(buffers)
    wanted = body if not body or body.endswith(b"\r\n") else body + b"\r\n"
    assert unstuffed(b"".join(stuffed(buffers))) == wanted
    assert b"".join(stuffed(buffers)) == b"".join(stuffed([body]))
    assert stuffed_whole(body) == b"".join(stuffed([body]))
