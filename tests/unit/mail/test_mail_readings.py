"""Further readings: broken MIME is read as each program would read it, whole mail only once."""

import base64

import pytest

from mpp.mail.dialects.gmime import GMime
from mpp.mail.dialects.reader import read
from mpp.mail.message import Message
from mpp.mail.mime import Limits

EVIL = b"MZ\x90 evil"
ENCODED = base64.b64encode(EVIL)


def mail(boundary_parameter, delimiter, header, body, end=b"\r\n"):
    lines = [
        b"Subject: x", b"Content-Type: multipart/mixed; " + boundary_parameter, b"", b"--" + delimiter, *header, b"", body,
        b"--" + delimiter + b"--", b"",
    ]  # fmt: skip
    return end.join(lines)


BASE64 = (b"Content-Type: application/x; name=a.exe", b"Content-Transfer-Encoding: base64")


def held(message):
    return [leaf.decode() for leaf in message.every_leaf()]


def test_lines_of_colons_are_read_once():
    """The most lenient of programs pass over what stands before a field: from each line on all others were passed anew, for minutes."""
    assert [each.dialect for each in Message(b":\r\n" * 170_000).readings] == ["lenient"]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(mail(b"boundary=b", b"b", BASE64, ENCODED), id="base64"),
        pytest.param(mail(b'boundary="a b"', b"a b", BASE64, ENCODED, b"\n"), id="quoted boundary, LF"),
        pytest.param(
            mail(b"charset=utf-8;\r\n boundary=b", b"b", (b"Content-Type: text/plain",), b"a=b -- c"), id="folded"
        ),
        pytest.param(b"Subject: x\r\n\r\ntext\r\n", id="text"),
        pytest.param(b"Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\ntext\r\n", id="a message within"),
        pytest.param(b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=\r\nc\r\n", id="quoted-printable"),
        pytest.param(
            mail(b"boundary=b", b"b", (b"Content-Disposition: attachment; filename*=utf-8''a.txt",), b"x"),
            id="a coded name that all read alike",
        ),
    ],
)
def test_whole_mail_has_one_reading(raw):
    message = Message(raw)
    assert message.readings == ()
    assert message.every_leaf() == message.leaves()


@pytest.mark.parametrize(
    ("parameter", "delimiter"),
    [
        pytest.param(b"boundary=a; boundary=b", b"a", id="the first of two"),
        pytest.param(b"boundary=a; boundary=b", b"b", id="the second of two"),
        pytest.param(b"(c) boundary=b", b"b", id="behind a comment"),
        pytest.param(b"boundary=b (c)", b"b", id="before a comment"),
        pytest.param(b"boundary=b\\;c", b"b\\;c", id="escaped semicolon"),
        pytest.param(b'boundary="b', b"b", id="a quote that does not end"),
        pytest.param(b"boundary*0=b; boundary*1=c", b"bc", id="continued"),
        pytest.param(b"boundary*1=c; boundary*0=b", b"cb", id="continued, not sorted"),
        pytest.param(b"boundary*=''b%20c; boundary=d", b"b c", id="coded beside plain"),
        pytest.param(b"boundary=b", b"bX", id="a delimiter that is longer"),
        pytest.param(b"foo=bla", b"anything", id="no boundary at all"),
    ],
)
def test_a_part_is_found_behind_whatever_boundary(parameter, delimiter):
    assert EVIL in held(Message(mail(parameter, delimiter, BASE64, ENCODED)))


@pytest.mark.parametrize(
    "header",
    [
        pytest.param((b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: 7bit"), id="the first of two"),
        pytest.param((b"Content-Transfer-Encoding: 7bit", b"Content-Transfer-Encoding: base64"), id="the last of two"),
        pytest.param((b"Content-Transfer-Encoding: bas(c)e64",), id="a comment within"),
        pytest.param((b'Content-Transfer-Encoding: "base64"',), id="quoted"),
        pytest.param((b"Content-Transfer-Encoding: x-base64",), id="experimental"),
        pytest.param((b"Content-Transfer-Encoding: =?utf-8?B?YmFzZTY0?=",), id="as an encoded word"),
        pytest.param((b"Content-Transfer-Encoding base64",), id="no colon"),
        pytest.param((b"Content-Transfer-Encoding : base64",), id="blank before the colon"),
        pytest.param((b"\rContent-Transfer-Encoding: base64",), id="a bare CR"),
        pytest.param((b"no field", b"Content-Transfer-Encoding: base64"), id="behind a line that is no field"),
        pytest.param((b"X: y", b" ", b"Content-Transfer-Encoding: base64"), id="behind a blank fold"),
        pytest.param((b"X-Junk", b" Content-Transfer-Encoding: base64"), id="as the fold of junk"),
    ],
)
def test_an_encoding_is_undone_however_it_is_declared(header):
    assert EVIL in held(Message(mail(b"boundary=b", b"b", header, ENCODED)))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"TVqQIA==\r\nZXZpbA==", id="two pieces"),
        pytest.param(b"TV=qQI=GV2aWw=", id="padding that some pass over"),
        pytest.param(b"A\r\n\r\nTVqQIGV2aWw=", id="a line that fills no group"),
        pytest.param(b"TVqQ!IGV2*aWw=", id="octets outside the alphabet"),
        pytest.param(b"TV=QkC==IG=VdmlsA==", id="padding within groups"),
        pytest.param(b"begin-base64 644 a\r\nTVqQIGV2aWw=\r\n====", id="uuencode's base64"),
    ],
)
def test_broken_base64_is_undone_in_every_way(body):
    found = held(Message(mail(b"boundary=b", b"b", BASE64, body)))
    assert len(found) > 1 or found == [EVIL]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"x-uuencode", b"begin 644 a\r\n(35J0(&5V:6P \r\n`\r\nend\r\n"),
        (b"x-uue", b"(35J0(&5V:6P \r\n"),
        (
            b"x-yencode",
            b"=ybegin line=128 size=8 name=a\r\n" + bytes((o + 42) % 256 for o in EVIL) + b"\r\n=yend size=8\r\n",
        ),
        (b"quoted-printable", b"=0=4DZ==90 evil"),
    ],
)
def test_what_is_no_encoding_of_mime_is_undone_too(encoding, body):
    header = (b"Content-Type: application/x", b"Content-Transfer-Encoding: " + encoding)
    assert EVIL in [octets.strip() for octets in held(Message(mail(b"boundary=b", b"b", header, body)))]


def test_names_of_all_readings_are_there():
    header = (
        b"Content-Disposition: attachment; filename=a.png; filename*=utf-8''a.exe",
        b"Content-Type: application/x",
    )
    leaves = Message(mail(b"boundary=b", b"b", header, b"x")).every_leaf()
    assert {leaf.name for leaf in leaves} == {"a.png", "a.exe"}


def test_encoded_words_may_end_with_the_padding_of_the_first():
    words = b'"=?utf-8?B?YS5leGU=?=\r\n =?UTF-8?B?IC50eHQ=?="'  # to GMime what follows is lost: "a.exe"
    header = (b"Content-Type: application/x (c)", b"Content-Disposition: attachment; filename=" + words)
    leaves = Message(mail(b"boundary=b", b"b", header, b"x")).every_leaf()
    assert {leaf.name for leaf in leaves} == {"a.exe .txt", "a.exe"}


def test_a_cr_at_the_end_of_a_boundary_does_not_count_to_all():
    """To GMime the last line is no delimiter then, but a part of the file."""
    raw = mail(b'boundary="boundary\r"', b"boundary\r", BASE64, b"TVqQIGV2aWwh", b"\n")
    root = read(raw, GMime(), Limits(), set())
    assert root
    assert [leaf.decode() for leaf in root.leaves()] == [EVIL + b"!" + base64.b64decode(b"boundary")]


def test_readings_are_told_apart_by_what_they_hold():
    message = Message(mail(b"boundary=a; boundary=b", b"b", BASE64, ENCODED))
    seen = [
        tuple((leaf.type, leaf.name, leaf.decode()) for leaf in leaves)
        for leaves in (message.leaves(), *(r.leaves for r in message.readings))
    ]
    assert len(seen) == len(set(seen)) > 1


def test_readings_keep_to_the_limits():
    one = b"\r\n--b\r\nContent-Type: a/b\r\n\r\n"
    message = Message(b"Content-Type: multipart/mixed; boundary=b; boundary=c\r\n\r\n" + one * 3000)
    assert all(len(reading.leaves) <= message.limits.parts for reading in message.readings)
    assert "parts" in message.exceeded


@pytest.mark.timeout(20)  # quadratic behaviour takes minutes
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"Content-Type: a/b; boundary" + b";" * 200_000 + b"\r\n\r\n", id="semicolons"),
        pytest.param(b"Content-Type: a/b" + b'; "=' * 60_000 + b"\r\n\r\n", id="quotes"),
        pytest.param(b"Content-Type: a/b; n=" + b"(" * 400_000 + b"\r\n\r\n", id="comments"),
        pytest.param(b"Content-Type: a/b; n*0*=" + b"'%" * 100_000 + b"\r\n\r\n", id="percent"),
        pytest.param(b"Content-Transfer-Encoding: x base64\r\n\r\n" + b"QQ=" * 400_000, id="padding"),
        pytest.param(b"Content-Transfer-Encoding: (c) quoted-printable\r\n\r\n" + b"= " * 500_000, id="escapes"),
        pytest.param(b"Content-Transfer-Encoding: binhex\r\n\r\n:" + b"!\x90" * 500_000, id="repeats"),
        pytest.param(b"Content-Type: multipart/x; boundary=\r\n\r\n" + b"--\n" * 300_000, id="empty boundary"),
        pytest.param(b"Content-Type: multipart/x\r\n\r\n" + b"--x\nContent-Type: multipart/x\n" * 20_000, id="nested"),
        pytest.param(b"Content-Type: multipart/x; boundary=b\r\n\r\n" + b"--c -- --c" * 200_000, id="dashes"),
        pytest.param(b"\x0b \x0b" * 500_000, id="blanks"),
        pytest.param(b"X: y\r\n \r\n" * 50_000, id="blank folds"),
    ],
)
def test_all_readings_take_linear_time(raw):
    message = Message(raw)
    assert len(message.readings) <= 7
    for leaf in message.every_leaf():
        leaf.decode()
