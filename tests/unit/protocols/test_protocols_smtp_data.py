"""Collectors of content: ends of data, transparency dots, flags, limits."""

import tracemalloc

import pytest

from mpp.protocols.smtp.data import Chunks, Content, Lines


def lines(wire: bytes, *, max_size: int = 0, max_line: int = 0) -> tuple[Content | None, bytes | None]:
    """What one read gives: the content and what is behind it, or None where the end has not come."""
    collector = Lines(max_size, max_line)
    rest = collector.feed(wire)
    return (None if rest is None else collector.content()), rest


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(b"\n.\n", id="LF.LF"),
        pytest.param(b"\n.\r\n", id="LF.CRLF"),
        pytest.param(b"\r\n.\n", id="CRLF.LF"),
        pytest.param(b"\r.\r", id="CR.CR"),
        pytest.param(b"\r.\r\n", id="CR.CRLF"),
        pytest.param(b"\r\n.\r", id="CRLF.CR"),
        pytest.param(b"\r.\n", id="CR.LF"),
        pytest.param(b"\n.\r", id="LF.CR"),
        pytest.param(b"\r\n\0.\r\n", id="CRLF NUL . CRLF"),
        pytest.param(b"\r\n.\0\r\n", id="CRLF.NUL CRLF"),
        pytest.param(b"\r\0\n.\r\n", id="CR NUL LF . CRLF"),
        pytest.param(b"\r\n.\r\0\n", id="CRLF.CR NUL LF"),
        pytest.param(b"\0.\0", id="NUL.NUL"),
        pytest.param(b"\r\r\n.\r\r\n", id="CRCRLF.CRCRLF"),
        pytest.param(b"\n\r.\r\n", id="LFCR.CRLF"),
        pytest.param(b"\r\n. \r\n", id="CRLF dot space CRLF"),
        pytest.param(b"\r\n..\r\n", id="CRLF..CRLF"),
        pytest.param(b"\x85.\x85", id="NEL.NEL"),
        pytest.param(b"\r\n.\x0b\r\n", id="CRLF.VT CRLF"),
    ],
)
def test_no_other_end_of_data(end: bytes) -> None:
    smuggled = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nx"
    content, rest = lines(b"text" + end + smuggled + b"\r\n.\r\nQUIT\r\n")
    assert content is not None
    assert content.data.endswith(smuggled + b"\r\n")
    assert rest == b"QUIT\r\n"


@pytest.mark.parametrize(
    ("wire", "data", "rest"),
    [
        pytest.param(b"a\r\n.\r\n", b"a\r\n", b"", id="plain"),
        pytest.param(b".\r\n", b"", b"", id="empty message"),
        pytest.param(b"\r\n.\r\n", b"\r\n", b"", id="one empty line"),
        pytest.param(b"..\r\n.\r\n", b".\r\n", b"", id="dot at the very start"),
        pytest.param(b".a\r\n.\r\n", b"a\r\n", b"", id="a lone dot before text is taken off"),
        pytest.param(b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n", b"", id="stuffed dot alone"),
        pytest.param(b"a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n", b"", id="stuffed dots"),
        pytest.param(b"a\n..b\r\n.\r\n", b"a\n..b\r\n", b"", id="a dot behind LF alone is text"),
        pytest.param(b"a.b\r\n.\r\nRSET\r\n", b"a.b\r\n", b"RSET\r\n", id="a command behind"),
        pytest.param(b"a\r\n.\r\n.\r\n", b"a\r\n", b".\r\n", id="the first end counts"),
        pytest.param(b"\0.\r\n.\0\r\n.\r\n", b"\0.\r\n\0\r\n", b"", id="NUL beside a dot is data"),
    ],
)
def test_end_and_dots(wire: bytes, data: bytes, rest: bytes) -> None:
    content, behind = lines(wire)
    assert content is not None
    assert (content.data, behind) == (data, rest)


@pytest.mark.parametrize("wire", [b"", b".", b".\r", b"a\r\n", b"a\r\n.", b"a\r\n.\r", b"a.\r\n"])
def test_no_end_yet(wire: bytes) -> None:
    assert lines(wire) == (None, None)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        pytest.param(b"a\r\n", set(), id="plain"),
        pytest.param(b"a\nb\r\n", {"bare"}, id="LF"),
        pytest.param(b"a\rb\r\n", {"bare"}, id="CR"),
        pytest.param(b"a\rb\nc\r\n", {"bare"}, id="CR and LF apart"),
        pytest.param(b"a\n\r\r\n", {"bare"}, id="LFCR"),
        pytest.param(b"\n", {"bare"}, id="LF at the very start"),
        pytest.param(b"a\0\r\n", {"nul"}, id="NUL"),
        pytest.param(b"\0\n\r\n", {"nul", "bare"}, id="NUL and LF"),
        pytest.param(b"x" * 20 + b"\r\n", set(), id="line as long as allowed"),
        pytest.param(b"x" * 21 + b"\r\n", {"long_line"}, id="line too long"),
        pytest.param(b"a\r\n" + b"x" * 21 + b"\r\nb\r\n", {"long_line"}, id="later line too long"),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_flags(text: bytes, flags: set[str], step: int) -> None:
    by_lines, by_chunks = Lines(0, 20), Chunks(0, 20)
    wire = text + b"\r\n.\r\n"
    for start in range(0, len(wire), step):
        by_lines.feed(wire[start : start + step])
    for start in range(0, len(text), step):
        by_chunks.feed(text[start : start + step])
    for content in (by_lines.content(), by_chunks.content()):
        assert {flag for flag in ("bare", "nul", "long_line", "too_large") if getattr(content, flag)} == flags


@pytest.mark.parametrize(("size", "too_large"), [(10, False), (11, True), (5000, True)])
def test_too_large_keeps_nothing_and_reads_on(size: int, too_large: bool) -> None:
    collector = Lines(10, 0)
    text = b"x" * (size - 2) + b"\r\n"
    assert collector.feed(text) is None
    assert collector.held <= 10
    rest = collector.feed(b".\r\nQUIT\r\n")
    content = collector.content()
    assert rest == b"QUIT\r\n"
    assert content.too_large is too_large
    assert content.data == (b"" if too_large else text)


def test_dots_taken_off_do_not_count() -> None:
    content, _ = lines(b"..2345678\r\n.\r\n", max_size=10)
    assert content is not None
    assert not content.too_large


def test_discard_frees_what_is_held_and_still_finds_the_end() -> None:
    collector = Lines(0, 0)
    collector.feed(b"x" * 100_000)
    assert collector.held == 100_000
    collector.discard()
    assert collector.held == 0
    assert collector.feed(b"more\nof it\r\n.\r\nNOOP\r\n") == b"NOOP\r\n"
    assert collector.content() == Content(b"", bare=True, discarded=True)


@pytest.mark.parametrize(
    ("chunks", "data", "bare"),
    [
        pytest.param([b"a\r\n"], b"a\r\n", False, id="ends with CRLF"),
        pytest.param([b"a"], b"a\r\n", False, id="final CRLF is put"),
        pytest.param([b""], b"", False, id="nothing"),
        pytest.param([b"a\r\n.\r\nb"], b"a\r\n.\r\nb\r\n", False, id="dots are text"),
        pytest.param([b"a\r", b"\nb\r\n"], b"a\r\nb\r\n", False, id="CRLF over two chunks"),
        pytest.param([b"a\r", b"", b"b\r\n"], b"a\rb\r\n", True, id="CR at the end of a chunk"),
        pytest.param([b"a\r"], b"a\r", True, id="CR at the end of all"),
        pytest.param([b"a\n"], b"a\n", True, id="LF at the end of all"),
    ],
)
def test_chunks(chunks: list[bytes], data: bytes, bare: bool) -> None:
    collector = Chunks(0, 0)
    for chunk in chunks:
        collector.announce(len(chunk))
        collector.feed(chunk)
    content = collector.content()
    assert (content.data, content.bare, content.chunked) == (data, bare, True)


def test_chunk_announced_too_large_is_not_kept_at_all() -> None:
    collector = Chunks(10, 0)
    collector.announce(6)
    collector.feed(b"abcdef")
    collector.announce(5)
    assert collector.held == 0
    collector.feed(b"ghijk")
    assert collector.held == 0
    assert collector.content() == Content(b"", too_large=True, chunked=True)


def test_small_pieces_cost_no_more_memory_than_large_ones() -> None:
    collector = Lines(0, 0)
    tracemalloc.start()
    for _ in range(50_000):
        collector.feed(b"x\r\n")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 150_000
    collector.feed(b".\r\n")
    assert collector.content().data == b"x\r\n" * 50_000
