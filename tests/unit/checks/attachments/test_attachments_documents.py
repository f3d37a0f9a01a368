"""What documents can do without a macro, where macros hide, and files within documents."""

import struct
import zlib
from hashlib import sha256

import pytest

from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import File, Limits
from servers.attachments import EICAR, PROGRAM, ole, word, zipped

VBA = ole({"_VBA_PROJECT": b"x"})


def look(name, data):
    return inspect([File("1", name, "", data)], Limits())


def flags(name, data):
    return {str(flag) for item in look(name, data) for flag in item.flags}


def paragraph(text):
    return word({"word/document.xml": b"<w:document>" + text + b"</w:document>"})


def sheet(parts):
    return zipped({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>", **parts})


def book(*records):
    return ole({"Workbook": b"".join(struct.pack("<HH", kind, len(body)) + body for kind, body in records)})


def slides(data):
    stored = struct.pack("<I", len(data)) + zlib.compress(data)
    return ole({"PowerPoint Document": b"\x10\0\x11\x10" + struct.pack("<I", len(stored)) + stored})


PIECES = b"<w:instrText>DD</w:instrText><w:r/><w:instrText xml:space='preserve'>EAUTO c:\\cmd.exe</w:instrText>"
MACROS = {
    "field.docx": paragraph(b"<w:instrText> DDEAUTO c:\\\\cmd.exe </w:instrText>"),
    "simple field.docx": paragraph(b'<w:fldSimple w:instr=" DDE excel x"/>'),
    "field in pieces.docx": paragraph(PIECES),
    "link.xlsx": sheet(
        {"xl/externalLinks/externalLink1.xml": b'<externalLink><ddeLink ddeService="cmd"/></externalLink>'}
    ),
    "field.doc": ole({"WordDocument": bytes(20) + b"\x13 DDEAUTO c:\\\\cmd.exe \x14"}),
    "wide field.doc": ole({"WordDocument": bytes(20) + "\x13 DDE cmd \x14".encode("utf-16-le")}),
    "link.xls": book((0x01AE, struct.pack("<HH", 0, 9) + b"\0cmd\x03/c calc")),
    "field.rtf": b"{\\rtf1{\\field{\\*\\fldinst {DDEAUTO c:\\\\cmd.exe}}}}",
    "formula.csv": b"name,sum\n=cmd|'/c calc.exe'!A1,3\n",
    "macro.ppt": slides(VBA),
    "flat.xml": b'<?xml version="1.0"?><pkg:package><pkg:part pkg:name="/word/vbaProject.bin"/></pkg:package>',
    "2003.xml": b'<?xml version="1.0"?><w:wordDocument w:macrosPresent="yes"></w:wordDocument>',
    "editdata.mso": b"ActiveMime\0\0" + bytes(38) + zlib.compress(VBA),
}


@pytest.mark.parametrize("name", MACROS)
def test_what_starts_a_program_is_a_macro(name):
    assert "macro" in flags(name, MACROS[name])


HARMLESS = {
    "page number.docx": paragraph(b"<w:instrText>PAGE</w:instrText><w:t>DDEAUTO is a field</w:t>"),
    "own tables.xls": book((0x01AE, struct.pack("<HH", 3, 0x0401)), (0x0085, bytes(8))),
    "numbers.csv": b"name,sum\n=A1+B2,3\nx|y,4!\n",
    "words.rtf": b"{\\rtf1{\\field{\\*\\fldinst HYPERLINK x}} It says DDE}",
    "slides.ppt": slides(ole({"Contents": b"x"})),
    "plain.xml": b'<?xml version="1.0"?><a>DDE</a>',
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_looks_like_it_is_none(name):
    assert flags(name, HARMLESS[name]) == set()


def test_an_encrypted_open_document_is_known_by_its_manifest():
    mimetype = b"application/vnd.oasis.opendocument.text"
    parts = {"mimetype": mimetype, "content.xml": b"\x93\x11", "META-INF/manifest.xml": b"<manifest:encryption-data/>"}
    assert "encrypted" in look("a.odt", zipped(parts, 0))[0].flags


def test_the_files_in_a_section_of_onenote_are_looked_at():
    head = bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3")
    stored = bytes.fromhex("e716e3bd65261145a4c48d4d0b7a9eac")
    data = (
        head
        + bytes(50)
        + b"".join(stored + struct.pack("<Q", len(each)) + bytes(12) + each for each in (PROGRAM, EICAR))
    )
    _, first, second = look("a.one", data)
    assert ("executable" in first.flags, second.sha256) == (True, sha256(EICAR).hexdigest())
    assert "damaged" in look("a.one", data[:-4])[-1].flags


def test_a_dictionary_that_fits_no_memory_is_damage():
    """Found by fuzzing: the process ran out of memory, and no file of the mail was looked at."""
    data = b"\x5d" + struct.pack("<IQ", 0xFFFF0000, 100) + bytes(40)
    assert look("a.lzma", data)[0].flags == {"damaged"}


def test_a_member_of_a_zip_without_a_name_ends_nothing():
    """Found by fuzzing: the last character of a name was asked for where there is none."""
    data = zipped({"a": b"words"})
    at = data.index(b"PK\x01\x02")  # in the directory: another sum, and the name is a comment
    nameless = bytearray(data)
    nameless[at + 16 : at + 20] = bytes(4)
    nameless[at + 28], nameless[at + 32] = 0, 1
    assert "damaged" in flags("a.zip", bytes(nameless))
