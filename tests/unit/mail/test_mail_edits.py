import pytest

from mpp.mail.edits import Edit, EditError, apply_edits, insert_field, remove_field, replace_field
from mpp.mail.message import Message

RAW = b"A: 1\r\nB: 2\r\n\r\nbody\r\n"


def edited(raw, edits):
    return b"".join(apply_edits(raw, edits))


@pytest.mark.parametrize("raw", [b" x\r\nSubject: s\r\n\r\nb\r\n", b"\tx\r\n"])
def test_a_first_line_that_is_folded_begins_the_body(raw):
    message = Message(raw)
    assert (message.headless, message.fields, message.header_length) == (True, [], 0)
    assert Message(edited(raw, [insert_field(message, b"X", b"1"), Edit(0, 0, b"\r\n")])).fields[0].value == b" 1"


def test_no_edit_is_the_same_object():
    assert apply_edits(RAW, []) == [RAW]
    assert apply_edits(RAW, [])[0] is RAW


def test_field_on_top_leaves_all_else():
    assert edited(RAW, [insert_field(Message(RAW), b"X", b"y\r\n z")]) == b"X: y\r\n z\r\n" + RAW


def test_insertions_at_one_offset_keep_their_order():
    message = Message(RAW)
    edits = [insert_field(message, b"X", b"1"), insert_field(message, b"Y", b"2")]
    assert edited(RAW, edits) == b"X: 1\r\nY: 2\r\n" + RAW


def test_replace_and_remove():
    message = Message(RAW)
    edits = [remove_field(message.fields[1]), replace_field(message, message.fields[0], b"new")]
    assert edited(RAW, edits) == b"A: new\r\n\r\nbody\r\n"


def test_insertion_stands_before_a_replacement_of_the_same_place():
    message = Message(RAW)
    assert edited(RAW, [remove_field(message.fields[0]), Edit(0, 0, b"X: 1\r\n")]).startswith(b"X: 1\r\nB: 2\r\n")


def test_a_message_with_lf_ends_keeps_them():
    raw = b"A: 1\n\nbody\n"
    assert edited(raw, [insert_field(Message(raw), b"X", b"y\r\n z")]) == b"X: y\n z\n" + raw


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param([Edit(0, 5, b""), Edit(4, 2, b"")], id="overlap"),
        pytest.param([Edit(0, 5, b""), Edit(2, 0, b"x")], id="insertion within a replaced span"),
        pytest.param([Edit(3, 4, b""), Edit(3, 4, b"")], id="the same span twice"),
        pytest.param([Edit(-1, 0, b"x")], id="before"),
        pytest.param([Edit(len(RAW), 1, b"x")], id="behind"),
        pytest.param([Edit(len(RAW) + 1, 0, b"x")], id="insertion behind"),
        pytest.param([Edit(3, -1, b"x")], id="negative"),
    ],
)
def test_impossible_edits_are_refused(edits):
    with pytest.raises(EditError):
        apply_edits(RAW, edits)


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"A B", b"x"), (b"", b"x"), (b"A:", b"x"), (b"A", b"x\r\nB: y"), (b"A", b"x\n y"), (b"A", b"x\ry")],
)
def test_what_would_not_stay_one_field_is_refused(name, value):
    with pytest.raises(EditError):
        insert_field(Message(RAW), name, value)
