import pytest

from mpp.mail.message import Limits, Message


def rows(message):
    return [(field.key, field.value) for field in message.fields]


def test_fields_as_they_came_with_their_spans():
    raw = b"Subject: one\r\n two\r\nX-EMPTY :\r\nto:a@example.com\r\n\r\nbody\r\n"
    message = Message(raw)
    assert rows(message) == [(b"subject", b" one\r\n two"), (b"x-empty", b""), (b"to", b"a@example.com")]
    assert [field.name for field in message.fields] == [b"Subject", b"X-EMPTY", b"to"]
    assert b"".join(raw[f.offset : f.offset + f.length] for f in message.fields) == raw[: message.header_length - 2]
    assert raw[message.header_length :] == b"body\r\n"
    assert message.defects == ()


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        pytest.param(b"a: b\n\nbody", b"body", id="LF"),
        pytest.param(b"a: b\r\n\nbody", b"body", id="CRLF, then LF"),
        pytest.param(b"a: b\n\r\nbody", b"body", id="LF, then CRLF"),
        pytest.param(b"a: b\n\nbo\r\n\r\ndy", b"bo\r\n\r\ndy", id="the first empty line of either kind"),
        pytest.param(b"a: b\r\n\r\nbo\n\ndy", b"bo\n\ndy", id="the first empty line of the other kind"),
        pytest.param(b"a: b\r\n", b"", id="header only"),
        pytest.param(b"a: b", b"", id="header without a line end"),
    ],
)
def test_any_line_end(raw, body):
    message = Message(raw)
    assert rows(message) == [(b"a", b" b")]
    assert raw[message.header_length :] == body


@pytest.mark.parametrize("raw", [b"\r\nbody", b"\nbody"])
def test_no_header(raw):
    message = Message(raw)
    assert message.fields == []
    assert raw[message.header_length :] == b"body"


def test_empty_message():
    message = Message(b"")
    assert (message.fields, message.header_length, message.root.type) == ([], 0, "text/plain")


def test_header_end_far_behind_the_first_look():
    raw = b"a: " + b"b" * 50_000 + b"\r\n\r\nbody"
    assert raw[Message(raw).header_length :] == b"body"


@pytest.mark.parametrize("cut", range(4090, 4100))
def test_header_end_across_the_border_of_a_look(cut):
    raw = b"a: " + b"b" * (cut - 3) + b"\r\n\r\nbody"
    assert raw[Message(raw).header_length :] == b"body"


def test_lines_that_are_no_field_are_skipped_and_told():
    message = Message(b"junk\r\na: 1\r\nmore junk\r\nb: 2\r\n\r\n")
    assert rows(message) == [(b"a", b" 1"), (b"b", b" 2")]
    assert [field.offset for field in message.fields] == [6, 23]
    assert message.defects == ("header-line",)


def test_oddities_whose_lengths_cancel_out():
    raw = b"a :b\r\nc:d"
    assert [raw[f.offset : f.offset + f.length] for f in Message(raw).fields] == [b"a :b\r\n", b"c:d"]


def test_access_by_name():
    message = Message(b"Received: 1\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nRECEIVED: 2\r\n\r\n")
    assert message.values(b"received") == [b" 1", b" 2"]
    assert message.field(b"received").offset == 0
    assert [field.name for field in message.all_fields(b"received")] == [b"Received", b"RECEIVED"]
    assert message.text(b"subject") == "café"
    assert (message.field(b"x"), message.values(b"x"), message.text(b"x")) == (None, [], "")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"A: 1\r\nb: 2\r\n 3\r\na: 4\r\r\n\r\n", id="every octet in a field"),
        pytest.param(b"junk\r\nA: 1\r\nb: 2\na: 4\r\r\n\r\n", id="a line that is none"),
        pytest.param(b"a : 1\r\na:4\r\r", id="a blank before the colon, no line end"),
    ],
)
def test_names_and_values_are_those_of_the_fields(raw):
    message = Message(raw)
    for key in (b"a", b"b", b"c"):
        asked = message.values(key)  # before there are fields
        assert asked == [field.value for field in message.fields if field.key == key] == Message(raw).values(key)
    assert message.keys == [field.key for field in message.fields]
    assert [field.name.lower() for field in message.fields] == message.keys


def test_line_end():
    assert Message(b"a: b\n").line_end == b"\n"
    assert Message(b"a: b\r\n").line_end == b"\r\n"
    assert Message(b"\n").line_end == b"\n"
    assert Message(b"").line_end == b"\r\n"


def test_limits_of_the_header_are_told():
    limits = Limits(header_fields=3, header_size=50)
    assert Message(b"a: b\r\n" * 4 + b"\r\n", limits).exceeded == ("header-fields",)
    assert Message(b"a: " + b"b" * 100 + b"\r\n\r\n", limits).exceeded == ("header-size",)
    assert Message(b"a: b\r\n" * 3 + b"\r\n", limits).exceeded == ()
    assert Message(b"j\r\n" * 9 + b"a: b\r\n" * 3 + b"\r\n", limits).exceeded == ()


def test_asking_for_fields_does_not_scan_the_parts():
    message = Message(b"a: b\r\n\r\nbody")
    assert message.field(b"a")
    assert message._root is None


def test_a_header_over_its_limit_is_not_searched_further():
    message = Message(
        b"A: " + b"x" * 3000 + b"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", Limits(header_size=1000)
    )
    assert message.exceeded == ("header-size",)
    assert message.header_length == 1000
    assert [part.path for part in message.leaves()] == ["1"]
