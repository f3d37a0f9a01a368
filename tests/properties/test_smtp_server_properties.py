"""What holds for the server codec and the PROXY codec on any octets."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mpp.mail.line_ends import bare
from mpp.protocols.errors import NEED_DATA, RemoteProtocolError
from mpp.protocols.proxy import ProxyCodec
from mpp.protocols.smtp.data import Chunks, Lines
from mpp.protocols.smtp.reply import MAX_LINE, Reply
from mpp.protocols.smtp.server import Content, Data, Event, Fatal, Hello, Invalid, ServerCodec, StartTls, Xclient

OK, GO, READY = Reply(250, "2.0.0", "Ok"), Reply(354, "", "Go"), Reply(220, "", "Ready")
EXTENSIONS = ("SIZE 60", "8BITMIME", "SMTPUTF8", "CHUNKING", "STARTTLS", "DSN", "XCLIENT", "XFORWARD")

LINES = [
    b"EHLO a\r\n",
    b"MAIL FROM:<a@b.c>\r\n",
    b"MAIL FROM:<> SIZE=61\r\n",
    b"RCPT TO:<a@b.c>\r\n",
    b"RCPT TO:<\xc3\xbc@b.c>\r\n",
    b"DATA\r\n",
    b"BDAT 3\r\n",
    b"BDAT 5 LAST\r\n",
    b"BDAT 61 LAST\r\n",
    b"RSET\r\n",
    b"NOOP \0\r\n",
    b"XCLIENT ADDR=192.0.2.1\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"text\r\n",
    b"x" * 40,
]
SHREDS = [b"\r", b"\n", b".", b"\0", b"\r\n", b"a", b"\r\n.", b"QUIT\r\n", b"STARTTLS\r\n"]
WIRES = st.lists(st.sampled_from(LINES) | st.sampled_from(SHREDS) | st.binary(max_size=4), max_size=20).map(
    lambda shreds: b"EHLO a\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<a@b.c>\r\n" + b"".join(shreds)
)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=30)
BODIES = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\0", b"a", b"\r\n", b"\r\n."]), max_size=24).map(b"".join)


def split(wire: bytes, cuts: list[int]) -> list[bytes]:
    """Cut `wire` into pieces whose lengths are taken from `cuts` in turn."""
    pieces = []
    while wire:
        length = cuts[len(pieces) % len(cuts)]
        pieces.append(wire[:length])
        wire = wire[length:]
    return pieces


def events_of(pieces: list[bytes], *, lmtp: bool = False) -> list[Event]:
    """All events of a dialogue in which nothing is refused; only the codec's documented calls."""
    codec = ServerCodec(lmtp=lmtp, max_command=50, max_size=60, max_line=30, extensions=EXTENSIONS)
    events: list[Event] = []
    for piece in pieces:
        codec.receive_data(piece)
        while (event := codec.next_event()) is not NEED_DATA:
            events.append(event)
            match event:
                case Hello():
                    codec.send_hello("mx")
                case Invalid() | Fatal():
                    codec.send(event.reply)
                case Data():
                    codec.send(GO)
                case StartTls() | Xclient():
                    codec.send(READY)
                case _:
                    codec.send(OK)
    return events


@given(WIRES, CUTS, st.booleans())
def test_any_cut_gives_the_same_events(wire: bytes, cuts: list[int], lmtp: bool) -> None:
    assert events_of(split(wire, cuts), lmtp=lmtp) == events_of([wire], lmtp=lmtp)


@given(WIRES)
def test_no_line_end_leaves_unjudged(wire: bytes) -> None:
    for event in events_of([wire]):
        if isinstance(event, Content):
            assert event.bare or not bare(event.data)
            assert not event.data or event.bare or event.data.endswith(b"\r\n")
            assert event.nul or b"\0" not in event.data
        elif not isinstance(event, Invalid | Fatal):
            assert not re.search(r"[\x00-\x1f\x7f-\x9f]", repr(event))


@given(st.binary(max_size=300), CUTS)
def test_any_octets_are_answered(wire: bytes, cuts: list[int]) -> None:
    assert events_of(split(wire, cuts)) == events_of([wire])


@given(BODIES, CUTS)
def test_what_was_stuffed_comes_back(body: bytes, cuts: list[int]) -> None:
    body += b"\r\n"
    stuffed = (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]
    collector = Lines(0, 0)
    *most, last = split(stuffed + b".\r\n", cuts)
    assert [collector.feed(piece) for piece in most] == [None] * len(most)
    assert collector.feed(last) == b""
    content = collector.content()
    assert content.data == body
    assert content.bare == bare(body)
    assert content.nul == (b"\0" in body)


@given(BODIES, CUTS)
def test_only_one_sequence_ends_data(wire: bytes, cuts: list[int]) -> None:
    collector = Lines(0, 0)
    left: bytes | None = None
    pieces = split(wire, cuts)
    while pieces and left is None:
        left = collector.feed(pieces.pop(0))
    head, end, behind = (b"\r\n" + wire).partition(b"\r\n.\r\n")
    assert (left is not None) == bool(end)
    if left is not None:
        assert left + b"".join(pieces) == behind
        assert collector.content().data == (head + b"\r\n")[2:].replace(b"\r\n.", b"\r\n").removeprefix(
            b"." if wire[:1] == b"." else b""
        )


@given(BODIES, CUTS)
def test_chunks_are_what_was_sent(body: bytes, cuts: list[int]) -> None:
    collector = Chunks(0, 0)
    for piece in split(body, cuts):
        collector.announce(len(piece))
        collector.feed(piece)
    content = collector.content()
    assert content.data.startswith(body)
    assert content.data[len(body) :] in (b"", b"\r\n")
    assert content.bare == bare(body)


@given(st.text(max_size=1500), st.sampled_from([250, 451, 550]), st.sampled_from(["", "2.0.0", "5.1.1"]))
def test_a_reply_is_one_reply(text: str, code: int, enhanced: str) -> None:
    *lines, rest = Reply(code, enhanced, text).wire.split(b"\r\n")
    assert rest == b""
    assert all(len(line) + 2 <= MAX_LINE and re.fullmatch(rb"[ -~]+", line) for line in lines)
    assert all(line.startswith(b"%d-" % code) for line in lines[:-1])
    assert lines[-1] == b"%d" % code or lines[-1].startswith(b"%d " % code)


@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 1.2.3.4 ", b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c", b"\r\n\r\n\0"]),
    st.binary(min_size=1, max_size=60),
    CUTS,
)
def test_proxy_header_by_any_cut(start: bytes, wire: bytes, cuts: list[int]) -> None:
    def read(pieces: list[bytes]) -> object:
        codec = ProxyCodec()
        for at, piece in enumerate(pieces):
            codec.receive_data(piece)
            try:
                event = codec.next_event()
            except RemoteProtocolError:
                return "refused"
            if event is not NEED_DATA:
                return event, codec.rest + b"".join(pieces[at + 1 :])
        return None

    assert read(split(start + wire, cuts)) == read([start + wire])
