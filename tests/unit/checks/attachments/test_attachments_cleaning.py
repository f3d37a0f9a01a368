"""Documents without their macros: what goes, what stays, and what is not cleaned since it could not be trusted."""

import io
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from mpp.checks.attachments.budget import Budget
from mpp.checks.attachments.cleaning import without_macros
from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import BombError, Cleaned, File, Flag, Limits, UnreadableError
from servers.attachments import PROGRAM, macro_word, word, zipped

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def clean(data: bytes, **limits: int) -> Cleaned:
    return without_macros(data, Budget(Limits(**limits)).meter(len(data)))


def parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert package.testzip() is None
        return {name: package.read(name) for name in package.namelist()}


def flags(data: bytes) -> set[Flag]:
    return {flag for item in inspect([File("1", "a.docm", "", data)], Limits()) for flag in item.flags}


def test_the_project_goes_with_all_that_points_to_it_and_the_rest_stays() -> None:
    before, cleaned = macro_word(), clean(macro_word())
    assert Flag.MACRO in flags(before)
    assert flags(cleaned.data) == set()
    assert (cleaned.type, cleaned.suffix) == (DOCX, ".docx")
    old, new = parts(before), parts(cleaned.data)
    changed = {"[Content_Types].xml", "word/_rels/document.xml.rels"}
    assert list(new) == [name for name in old if "vba" not in name.lower()]
    assert {name for name, part in new.items() if old[name] != part} == changed
    for name in changed:
        ElementTree.fromstring(new[name])
        assert b"vba" not in new[name].lower()
        assert b"macroenabled" not in new[name].lower()
    assert b'PartName="/word/document.xml" ContentType="' + DOCX.encode() + b'.main+xml"' in new["[Content_Types].xml"]
    assert b'Target="styles.xml"' in new["word/_rels/document.xml.rels"]


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("application/vnd.ms-excel.sheet.macroEnabled.main+xml", ".xlsx"),
        ("application/vnd.ms-word.template.macroEnabledTemplate.main+xml", ".dotx"),
        ("application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml", ".ppsx"),
        (f"{DOCX}.main+xml", ".docx"),  # macros hidden behind a type without
    ],
)
def test_each_kind_becomes_the_one_without_macros(kind: str, suffix: str) -> None:
    assert clean(macro_word(main=kind)).suffix == suffix


@pytest.mark.parametrize(
    "data",
    [
        word({"word/other.xml": b""}),  # no macros
        macro_word(main="application/vnd.ms-excel.addin.macroEnabled.main+xml"),
        macro_word({"[content_types].XML": b"<Types/>"}),  # two lists of types
        macro_word({"word/_rels/styles.xml.rels": b"<!DOCTYPE x [<!ENTITY a 'b'>]><x/>"}),
        macro_word({"word/_rels/styles.xml.rels": b"<Relationships"}),
        macro_word()[:-30],
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000),
        zipped({"word/vbaProject.bin": b""}),
    ],
)
def test_what_is_not_plain_is_not_cleaned(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        clean(data)


def test_a_bomb_is_not_cleaned() -> None:
    with pytest.raises(BombError):
        clean(macro_word({"word/big.xml": bytes(20 << 20)}))


@pytest.fixture(scope="module")
def helper() -> Iterator[Helper]:
    with Helper() as started:
        yield started


def test_the_confined_process_cleans(helper: Helper) -> None:
    assert helper.clean(macro_word(), Limits()) == clean(macro_word())
    large = macro_word({"word/media/a.bin": bytes(range(256)) * 8000})
    assert helper.clean(large, Limits()) == clean(large)


@pytest.mark.parametrize(
    "data",
    [
        macro_word({"word/embeddings/in.docm": macro_word()}),  # macros within
        macro_word({"xl/macrosheets/sheet1.xml": b"<x/>"}),  # of Excel 4
        macro_word({"word/big.xml": bytes(20 << 20)}),
        PROGRAM,
    ],
)
def test_what_cannot_be_trusted_afterwards_is_nothing(helper: Helper, data: bytes) -> None:
    assert helper.clean(data, Limits()) is None
    assert helper.clean(macro_word(), Limits()) is not None
