"""What a PDF's streams are packed with is read as its readers read it, whatever else stands in their dictionaries."""

import tracemalloc
import zlib
from hashlib import sha256
from random import Random

import pytest

from mpp.checks.attachments.budget import Budget
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import BombError, File, Flag, Item, Limits
from mpp.checks.attachments.pdf import pdf_contents
from mpp.checks.attachments.pdf_filters import predicted
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


def test_a_file_is_embedded_where_a_file_of_the_document_names_it() -> None:
    named = b"1 0 obj\n<</Type/Filespec/EF<</F %b>>>>\nendobj\n"
    for reference in (b"5 0 R", b"% x\n5 % y\n 0 R"):
        found = look(pdf(b"/Filter/FlateDecode", zlib.compress(PROGRAM), named.replace(b"%b", reference)))
        assert [item.sha256 for item in found[1:]] == [sha256(PROGRAM).hexdigest()]
    assert len(look(pdf(b"/Type/EmbeddedFile", PROGRAM, named.replace(b"%b", b"5 0 R")))) == 2
    assert len(look(pdf(b"/Filter/FlateDecode", zlib.compress(PROGRAM), b"/F1 5 0 R /F 4"))) == 1


def test_a_file_is_embedded_where_a_stream_of_objects_names_it() -> None:
    objects = pdf(b"/Type/ObjStm/Filter/FlateDecode", zlib.compress(b"1 0 <</EF<</UF 6 0 R>>>>"))
    found = look(objects + b"6 0 obj\n<<>>\nstream\n" + PROGRAM + b"\nendstream\n")
    assert Flag.EXECUTABLE in found[1].flags


def test_comments_in_what_names_a_file_take_no_time_without_end() -> None:
    for begin in (b"/F %", b"/F 5 %", b"/F 5 0 %"):
        assert look(b"%PDF-1.5\n" + begin * 20_000 + b"\n")[0].flags == {Flag.BOMB}
    assert look(b"%PDF-1.5\n/F " + b"%\n" * 20_000)[0].flags == {Flag.BOMB}
    named = b"(/F %/F 7 %) /F % /F %\n5 % /F 4 %\n 0 R\n"
    assert len(look(pdf(b"/Filter/FlateDecode", zlib.compress(PROGRAM), named))) == 2


def test_streams_that_end_together_are_looked_for_within_the_time() -> None:
    over = Budget(Limits(seconds=-1))
    with pytest.raises(BombError):
        list(pdf_contents(b"%PDF-1.5\n" + b"stream\n" * 10, over.meter(100)))


def rows(data: bytes, kind: int, width: int = 4) -> bytes:
    """As PNG writes them, each octet less what is foretold."""
    lines, before = b"", bytes(width)
    for at in range(0, len(data), width):
        line = data[at : at + width].ljust(width, b"\0")
        coded = bytearray([kind])
        for number, octet in enumerate(line):
            left, corner = (line[number - 1], before[number - 1]) if number else (0, 0)
            up = before[number]
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda each: abs(guess - each))
            coded.append((octet - (0, left, up, (left + up) // 2, paeth)[kind]) & 255)
        lines, before = lines + coded, line
    return lines


@pytest.mark.parametrize("kind", range(5))
def test_predictors_are_undone(kind: int) -> None:
    parameters = b"/Filter/FlateDecode/DecodeParms<</Predictor 1%d/Columns 4>>" % kind
    assert Flag.ACTIVE in look(pdf(b"/Type/ObjStm" + parameters, zlib.compress(rows(ACTS.ljust(28), kind))))[0].flags
    found = look(pdf(b"/Type/EmbeddedFile" + parameters, zlib.compress(rows(PROGRAM, kind))))
    assert any(Flag.EXECUTABLE in item.flags for item in found)


def test_the_predictor_of_tiff_is_undone() -> None:
    coded = bytes((octet - (ACTS[at - 1] if at % 25 else 0)) & 255 for at, octet in enumerate(ACTS))
    parameters = b"/Type/ObjStm/Filter/FlateDecode/DecodeParms<</Predictor 2/Columns 25>>"
    assert Flag.ACTIVE in look(pdf(parameters, zlib.compress(coded)))[0].flags


@pytest.mark.parametrize("kind", [2, 12])
def test_a_row_is_no_longer_than_what_there_is(kind: int) -> None:
    octets = bytes([2, *range(100)])
    size = b"/Predictor %d /Columns 999999 /Colors 999 /BitsPerComponent 8" % kind
    tracemalloc.start()
    try:
        assert predicted(octets, size, Budget(Limits()).meter(100)) == octets[kind == 12 :]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


class Looks(Budget):
    """Counts the looks at the clock."""

    count = 0

    def in_time(self) -> None:
        self.count += 1


def test_a_long_row_is_undone_within_the_time() -> None:
    looks = Looks(Limits())
    found = predicted(b"\1" * 100_001, b"/Predictor 12 /Columns 100000", looks.meter(100_000))
    assert found == bytes(at % 256 for at in range(1, 100_001))
    assert looks.count > 5


def test_what_a_predictor_gives_back_is_counted_once() -> None:
    data = PROGRAM + Random(1).randbytes(3 << 20)
    parameters = b"/Type/EmbeddedFile/Filter/FlateDecode%b/DecodeParms<</Predictor 10/Columns %d>>"
    for again in (b"", b"/F[/FlateDecode]"):
        made = pdf(parameters % (again, len(data)), zlib.compress(b"\0" + data))
        found = inspect([File("1", "a.pdf", "", made)], Limits(ratio=1, ratio_from=4 << 20))
        assert sha256(data).hexdigest() in [item.sha256 for item in found[1:]]
        assert Flag.BOMB not in found[0].flags


def lzw(data: bytes) -> bytes:
    """Pack as PDF's LZW does (ISO 32000-1, 7.4.4): the wider code comes one entry early."""
    clear, end, last = 256, 257, 4094
    fresh = {bytes([octet]): octet for octet in range(256)}
    table, following, held, bits = dict(fresh), 258, b"", f"{clear:09b}"

    def coded(code: int, entries: int) -> str:
        return f"{code:0{9 + (entries > 511) + (entries > 1023) + (entries > 2047)}b}"

    for octet in data:
        if held + bytes([octet]) in table:
            held += bytes([octet])
            continue
        bits += coded(table[held], following)
        table[held + bytes([octet])] = following
        following, held = following + 1, bytes([octet])
        if following > last:
            bits += coded(clear, following)
            table, following = dict(fresh), 258
    bits += coded(table[held], following) + coded(end, following + 1)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def test_lzw_is_packed_here_as_in_the_standard() -> None:
    assert lzw(bytes([45, 45, 45, 45, 45, 65, 45, 45, 45, 66])).hex() == "800b6050220c0c8501"


@pytest.mark.parametrize("size", [0, 10, 300, 5000, 40_000])
def test_lzw_is_undone(size: int) -> None:
    data = PROGRAM + Random(1).randbytes(size)
    found = look(pdf(b"/Type/EmbeddedFile/Filter/LZWDecode", lzw(data)))
    assert sha256(data).hexdigest() in [item.sha256 for item in found[1:]]


def test_run_lengths_are_undone() -> None:
    coded = (
        b"".join(bytes([len(piece) - 1]) + piece for piece in (PROGRAM[:100], PROGRAM[100:200]))
        + b"\xff"
        + b"A"
        + b"\x80"
    )
    found = look(pdf(b"/Type/EmbeddedFile/Filter/RL", coded))
    assert sha256(PROGRAM[:200] + b"AA").hexdigest() in [item.sha256 for item in found[1:]]
