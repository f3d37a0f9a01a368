"""What a PDF's streams are packed with is read as its readers read it, whatever else stands in their dictionaries."""

import zlib
from hashlib import sha256

import pytest

from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import File, Flag, Item, Limits
from servers.attachments import PROGRAM

ACTS = b"1 0 <</OpenAction 3 0 R>>"


def pdf(dictionary: bytes, stream: bytes, more: bytes = b"") -> bytes:
    return b"%%PDF-1.5\n5 0 obj\n<<%b>>\nstream\n%b\nendstream\nendobj\n%b" % (dictionary, stream, more)


def look(data: bytes) -> list[Item]:
    return inspect([File("1", "a.pdf", "", data)], Limits())


DICTIONARIES = {
    "plain": b"/Type/%b/Filter/FlateDecode",
    "other key": b"/Type/%b /First 4 /Foo /FlateDecode /Filter /FlateDecode",
    "other key, hex": b"/Type/%b /Foo /AHx /Filter /FlateDecode",
    "parameters": b"/Type/%b /DecodeParms[<</Fl 1>>] /Filter[/FlateDecode]",
    "comment": b"/Type/%b /Filter/FlateDecode % /FlateDecode\n",
    "comment between": b"/Type/%b /Filter %% /AHx\n[%% /A85 ]\n/FlateDecode]",
    "another in a string": b"/Type/%b (/Filter /AHx) /Filter /FlateDecode",
    "another in a comment": b"/Type/%b /Filter /FlateDecode %% /Filter /AHx\n",
    "abbreviated": b"/Type/%b/F/Fl",
    "escaped": b"/Type/%b/F#69lter/Fl#61teDecode",
    "elsewhere": b"/Type/%b/Filter 7 0 R",
    "elsewhere, named in a string": b"/Type/%b (/F %%) /Filter /FlateDecode",
    "beside a comment in a string": b"/Type/%b (/F[%%) /Filter /FlateDecode\n(])",
    "beside one in a string": b"/Type/%b (/F %%) /Filter /FlateDecode\n null",
    "comments in and before it": b"/Type/%b (%%) /Filter %%\n /FlateDecode",
    "also a list of objects": b"/Type/%b /First 4 /Filter /FlateDecode",
    "long": b"/Type/%b /Foo (" + b"x" * 5000 + b") /Filter/FlateDecode",
}


def dictionary(label: str, kind: bytes) -> bytes:
    return DICTIONARIES[label].replace(b"%b", kind).replace(b"%%", b"%")


@pytest.mark.parametrize("label", DICTIONARIES)
def test_an_action_in_a_stream_of_objects_is_seen(label: str) -> None:
    assert Flag.ACTIVE in look(pdf(dictionary(label, b"ObjStm"), zlib.compress(ACTS)))[0].flags


@pytest.mark.parametrize("label", DICTIONARIES)
def test_a_program_embedded_is_seen(label: str) -> None:
    found = look(pdf(dictionary(label, b"EmbeddedFile"), zlib.compress(PROGRAM)))
    assert sha256(PROGRAM).hexdigest() in [item.sha256 for item in found[1:]]


def test_what_a_wrong_filter_was_given_is_looked_into_too() -> None:
    assert Flag.EXECUTABLE in look(pdf(b"/Type/EmbeddedFile/Filter/FlateDecode", PROGRAM))[1].flags
    assert Flag.ACTIVE in look(pdf(b"/Type/ObjStm/Filter[/FlateDecode/A85]", zlib.compress(ACTS + b"xyz")))[0].flags


@pytest.mark.parametrize(
    ("filters", "stream"),
    [
        (b"/FlateDecode", zlib.compress(b"1 0 <</Names 3 0 R>>")[:-6]),
        (b"/FlateDecode", b"octets"),
        (b"/ASCII85Decode", b"\0\xff"),
        (b"/LZWDecode", b"octets"),
        (b"".join(b"/Filter/Foo%d" % number for number in range(20)).removeprefix(b"/Filter"), b"octets"),
    ],
    ids=["breaks off", "not packed", "not of base 85", "not known", "too many"],
)
def test_a_stream_of_objects_that_cannot_be_read_is_damage(filters: bytes, stream: bytes) -> None:
    assert look(pdf(b"/Type/ObjStm/First 4/Filter" + filters, stream))[0].flags == {Flag.DAMAGED}


def test_streams_of_an_encrypted_document_are_not_damaged() -> None:
    encrypted = pdf(b"/Type/ObjStm/First 4/Filter/FlateDecode", b"octets", b"trailer <</Encrypt 9 0 R>>\n")
    assert look(encrypted)[0].flags == {Flag.ENCRYPTED}


def test_a_sound_stream_of_objects_says_nothing() -> None:
    assert look(pdf(b"/Type/ObjStm/First 4/Filter/FlateDecode", zlib.compress(b"1 0 <</A 1>>")))[0].flags == set()


def test_streams_within_streams_take_no_time_without_end() -> None:
    assert look(b"%PDF-1.5\n" + b"obj<</ObjStm>>stream\n" * 1000)[0].flags == {Flag.BOMB}
