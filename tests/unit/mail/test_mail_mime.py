"""Structure: golden files with their trees, and what hostile structure costs."""

from pathlib import Path

import pytest

from mpp.mail.message import Limits, Message

GOLDEN = Path(__file__).parent / "golden"


def tree(message):
    rows = [
        f"{part.path or '-'} {part.type} {part.encoding or '-'} {part.offset}+{part.length} {part.name!r} {part.decode()[:24]!r}"
        if part.leaf
        else f"{part.path or '-'} {part.type} {part.offset}+{part.length}"
        for part in message.root.walk()
    ]
    return [*rows, f"defects: {' '.join(message.defects) or '-'}", f"exceeded: {' '.join(message.exceeded) or '-'}"]


@pytest.mark.parametrize("mail", sorted(GOLDEN.glob("*.eml")), ids=lambda path: path.stem)
def test_golden(mail):
    why, *expected = mail.with_suffix(".tree").read_text().splitlines()
    assert why.startswith("# ")
    assert tree(Message(mail.read_bytes())) == expected


def test_there_are_golden_files():
    assert len(list(GOLDEN.glob("*.eml"))) >= 10


def multipart(boundary, *parts):
    lines = b"".join(b"\r\n--%b\r\n%b" % (boundary, part) for part in parts)
    return b"Content-Type: multipart/mixed; boundary=%b\r\n\r\npreamble%b\r\n--%b--\r\n" % (boundary, lines, boundary)


def test_spans_are_those_of_the_octets():
    raw = multipart(b"b", b"\r\none\r\n", b"\r\ntwo")
    assert [raw[p.offset : p.offset + p.length] for p in Message(raw).leaves()] == [b"one\r\n", b"two"]


def nested(depth):
    heads = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))
    return heads + b"\r\ncore\r\n"


@pytest.mark.parametrize(
    ("raw", "exceeded"),
    [
        pytest.param(nested(49), (), id="deep, within the limit"),
        pytest.param(nested(10_000), ("depth",), id="10,000 deep"),
        pytest.param(b"Content-Type: message/rfc822\r\n\r\n" * 10_000, ("depth",), id="messages 10,000 deep"),
        pytest.param(multipart(b"b", *[b"\r\nx"] * 100_000), ("parts",), id="100,000 parts"),
        pytest.param(multipart(b"b", *[b"A: b"] * 100_000), ("parts",), id="100,000 headers without end"),
        pytest.param(nested(40) + b"--\r\n--x\r\n" * 100_000, ("delimiters",), id="100,000 false delimiters"),
        pytest.param(b"a: b\r\n" * 200_000 + b"\r\n", ("header-size", "header-fields"), id="200,000 fields"),
        pytest.param(b"a: " + b"b\r\n " * 3_000_000 + b"\r\n\r\n", ("header-size",), id="header of 12 MB"),
        pytest.param(
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" * 10,
            ("depth",),
            id="encoded messages within each other",
        ),
    ],
)
def test_limits_are_told(raw, exceeded):
    message = Message(raw)
    assert set(message.exceeded) == set(exceeded)
    assert len(message.leaves()) <= Limits().parts


@pytest.mark.parametrize(
    "value",
    [
        b"; " * 200_000,
        b";a=b" * 100_000,
        b';n="' + b"\\" * 400_000,
        b"; n*1=a" * 50_000,
        b" " * 500_000,
        b"=?a?q?" * 90_000,
    ],
)
@pytest.mark.timeout(5)  # quadratic behaviour takes minutes
def test_long_values_are_read_in_linear_time(value):
    message = Message(b"Content-Type: a/b" + value + b"\r\nSubject: " + value + b"\r\n\r\n")
    assert message.leaves()[0].type.startswith("a/b")
    assert isinstance(message.text(b"subject"), str)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("octets", [b"0" * 60_000, b"0" * 3_000_000, b"a " * 1_000_000, b"a\r" * 500_000])
def test_a_header_without_any_colon(octets):
    assert Message(octets).fields == []


@pytest.mark.timeout(5)
def test_many_open_boundaries_do_not_search_the_rest_each():
    one = b"\r\nContent-Type: multipart/mixed; boundary=n%d\r\n\r\nx"
    raw = multipart(b"b", *[one % n for n in range(900)]) + b"line of text\r\n" * 70_000
    assert len(Message(raw).leaves()) == 900


@pytest.mark.parametrize(
    ("line", "near"), [(b"--b7 more", True), (b"--b", False), (b"--z", False), (b"--c", True), (b"--ca", True)]
)
def test_a_line_that_begins_like_one_of_many_delimiters_is_named(line, near):
    raw = b""
    for boundary in (*(b"b%d" % number for number in range(20)), b"ca", b"c"):
        raw += b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\n--%b\r\n' % (boundary, boundary)
    raw += b"Content-Type: text/plain\r\n\r\n" + line + b"x\r\n"
    assert ("near-delimiter" in Message(raw).oddities) is near
