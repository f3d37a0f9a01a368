"""Dynamic data exchange: fields and cells by which a document starts a program without any macro.

Fields of Word (ECMA-376 part 1, 17.16.5; MS-DOC 2.8.25), links of Excel (MS-XLS 2.4.271; ECMA-376 part 1, 18.14.4), formulas in CSV.
"""

import re

_WORD = rb"DDE(?:AUTO)?\b"
_FIELD_TEXT = re.compile(rb"<w:instrText\b[^>]*>([^<]*)<|<w:fldSimple\b[^>]*\bw:instr=\"([^\"]*)\"", re.IGNORECASE)
_STARTS = re.compile(rb"\s*(?:&quot;)?" + _WORD, re.IGNORECASE)
_PARTS = re.compile(rb"(?:^|[\s\"])" + _WORD, re.IGNORECASE)
# In a binary document a field begins with 0x13; the text is of one or two octets a character.
_BINARY = re.compile(rb"\x13\s*DDE(?:AUTO)?\s|\x13\0(?:\s\0)*D\0D\0E\0(?:A\0U\0T\0O\0)?\s\0", re.IGNORECASE)
_RTF = re.compile(rb"\\fldinst\b(?:\\[a-z]+-?\d* ?|\\\*|[\s{}]){0,200}" + _WORD, re.IGNORECASE)
_CELL = re.compile(rb"(?:^|[,;\t])\s*[\"']?\s*[=+@-][^\r\n,;\t]{0,200}\|[^\r\n]{0,400}?!", re.MULTILINE)
_OWN_BOOKS = (0x0401, 0x3A01)  # of a workbook itself, of an add-in


def in_word_xml(part: bytes) -> bool:
    """True where a field of the text is one; its name may be cut into several pieces."""
    found = [match[1] or match[2] or b"" for match in _FIELD_TEXT.finditer(part)]
    return any(_STARTS.match(text) for text in found) or bool(_PARTS.search(b"".join(found)))


def in_excel_xml(name: str, part: bytes) -> bool:
    return "/externallinks/" in name and b"<ddeLink" in part


def in_word_stream(stream: bytes) -> bool:
    return bool(_BINARY.search(stream))


def in_rtf(data: bytes) -> bool:
    return bool(_RTF.search(data))


def in_csv(data: bytes) -> bool:
    return bool(_CELL.search(data))


def in_sup_book(body: bytes) -> bool:
    """True where the record of a workbook names another program: server and topic, with 0x03 between them."""
    tables, size = int.from_bytes(body[:2], "little"), int.from_bytes(body[2:4], "little")
    return tables == 0 and size not in _OWN_BOOKS and b"\x03" in body[4:]
