"""Decoders work in pieces so that nothing waits for them: however small these are, the octets are the same."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpp.mail import decoding, pieces
from mpp.mail.decoding import broken_escapes, is_plain_base64, is_plain_quoted_printable
from mpp.mail.dialects import gmime, lenient, loose, mimetools, python
from mpp.mail.dialects.dialect import Decoder

TOKENS = [
    b"QUJD", b"Q", b"QQ=", b"=", b"==", b"====", b"QUI=", b"=41", b"=4", b"=e", b"=G", b"= ", b" \t", b"\r\n", b"\n", b"\r", b"text",
    b"--x\n", b"\n--", b"begin-base64 644 a\n", b"\nbegin 644 a\n", b'%86)C\n', b"\nend\n", b"=y", b"=ybegin\n", b"\n:", b":", b"\x90", b"!",
    b"\xff", b"AAAAAAAAAAAA", b"            ",
]  # fmt: skip
BODIES = st.lists(st.sampled_from(TOKENS), max_size=40).map(b"".join)
# White space of more than a piece, 64 KiB, at the end of a line is not told from other white space.
SHORT_BLANKS = st.lists(st.sampled_from(TOKENS[:-1]), max_size=40).map(
    lambda tokens: re.sub(rb"[ \t\r]{9,}", b" ", b"".join(tokens))
)
DECODERS: dict[str, Decoder] = {
    "base64": decoding.decode_base64,
    "quoted-printable": decoding.decode_quoted_printable,
    **{
        f"{module.__name__.rpartition('.')[2]}, {name}": decoder
        for module in (gmime, mimetools, python)
        for name, decoder in module._DECODERS.items()
    },
    **{
        each.__name__: each
        for each in (
            loose.base64_runs,
            loose.base64_zeros,
            loose.base64_groups,
            loose.base64_lines,
            loose.yenc,
            loose.binhex,
        )
    },
    "loose, quoted-printable": loose.quoted_printable,
    "lenient, uu": lenient._uudecode,
}
# To GMime an escape that is none takes two octets with it, so that where one is begins far before, in a line that is too long.
BY_ESCAPE = [name for name in DECODERS if name.endswith("quoted-printable") and not name.startswith("gmime")]
BY_LINE = [name for name in DECODERS if name.endswith("quoted-printable")]


@contextmanager
def small_pieces() -> Iterator[None]:
    before = pieces.PIECE, pieces._LINES, pieces._STRIDE
    pieces.PIECE = decoding.PIECE = 8
    pieces._LINES, pieces._STRIDE = 12, 3
    try:
        yield
    finally:
        pieces.PIECE, pieces._LINES, pieces._STRIDE = before
        decoding.PIECE = before[0]


@pytest.mark.parametrize("name", [name for name in DECODERS if name not in BY_LINE])
@settings(max_examples=30, deadline=None)
@given(BODIES)
def test_a_body_decoded_in_pieces_is_the_same(name: str, body: bytes) -> None:
    whole = DECODERS[name](body)
    with small_pieces():
        assert DECODERS[name](body) == whole


@pytest.mark.parametrize("name", BY_LINE)
@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([token for token in TOKENS if len(token) < 9]), max_size=20).map(b"\n".join))
def test_lines_of_quoted_printable_in_pieces_are_the_same(name: str, body: bytes) -> None:
    whole = DECODERS[name](body)
    with small_pieces():
        assert DECODERS[name](body) == whole


@pytest.mark.parametrize("name", BY_LINE)
@pytest.mark.parametrize("behind", [b"4D5A=90", b"=4D", b"text", b" \n41", b"\r\nx=41"])
def test_a_run_of_equal_signs_in_pieces_is_the_same(name: str, behind: bytes) -> None:
    for length in range(60):
        body = b"=" * length + behind
        whole = DECODERS[name](body)
        with small_pieces():
            assert DECODERS[name](body) == whole


@pytest.mark.parametrize("name", BY_ESCAPE)
@settings(max_examples=30, deadline=None)
@given(st.lists(SHORT_BLANKS, max_size=4).map(b"=41=\r\n=3D \n".join))
@example(b"text=\rtext" + b"x" * 50 + b"\ntext")
@example(b"=" * 51 + b"\r" + b"x" * 50 + b"\ntext")
@example(b"=" * 24 + b"4D5A=90")
def test_quoted_printable_in_pieces_is_the_same(name: str, body: bytes) -> None:
    whole = DECODERS[name](body)
    with small_pieces():
        assert DECODERS[name](body) == whole


@settings(max_examples=100, deadline=None)
@given(SHORT_BLANKS)
@example(b"QUI=" + b"\r\n" * 9)
@example(b"QUI=QUJDQUJD")
def test_what_is_plain_in_pieces_is_plain(body: bytes) -> None:
    looks: list[Callable[[bytes, int, int], bool]] = [is_plain_base64, is_plain_quoted_printable]
    whole = [look(body, 0, len(body)) for look in looks]
    broken = broken_escapes(body, 0, len(body), 1000)
    with small_pieces():
        assert [look(body, 0, len(body)) for look in looks] == whole
        assert broken_escapes(body, 0, len(body), 1000) == broken


@settings(max_examples=100, deadline=None)
@given(BODIES, st.integers(0, 20), st.integers(0, 60))
def test_steps_give_what_one_step_gives(body: bytes, start: int, end: int) -> None:
    end = min(end, len(body))
    with small_pieces():
        assert pieces.between(body, start, end) == body[start:end]
        assert b"".join(pieces.line_pieces(body, start, end)) == body[start:end]
        assert pieces.without(body, b"=Q") == body.translate(None, b"=Q")
        assert pieces.count(body, b"=", start, end) == body.count(b"=", start, end)
        assert list(pieces.lines(body)) == body.removesuffix(b"\n").split(b"\n")[: len(body) and None]
        assert pieces.skip(body, b"=", start) == len(body) - len(body[start:].lstrip(b"="))
        assert pieces.skip_back(body, b"=") == len(body.rstrip(b"="))


@settings(max_examples=100, deadline=None)
@given(BODIES.map(lambda body: body * 9))
def test_base64_between_padding_is_what_splitting_it_gives(body: bytes) -> None:
    clean = body.translate(None, bytes(set(range(256)) - set(decoding._ALPHABET)))
    runs = [run.replace(b"=", b"") for run in re.split(rb"=++", clean, maxsplit=decoding._MAX_RUNS)]
    split = b"".join(b64decode((run[:-1] if len(run) % 4 == 1 else run) + b"==="[: -len(run) % 4]) for run in runs)
    with small_pieces():
        assert decoding.decode_base64(body) == split
