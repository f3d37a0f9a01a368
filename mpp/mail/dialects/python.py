"""Python's email package, with its compat32 policy: feedparser, message and quopri of the standard library."""

import binascii
import codecs
import re
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from mpp.mail.content import Content
from mpp.mail.decoding import decode_charset
from mpp.mail.dialects.dialect import Decoder, Dialect, Fields, Head, first
from mpp.mail.dialects.uuencode import uudecode_from_begin
from mpp.mail.pieces import joined, line_pieces, pieces, without
from mpp.mail.words import decode_words

# So many lines at a time: a call that takes all of them holds everybody up.
_HEADER = re.compile(rb"(?:(?:[ \t]|From |[!-9;-~]*+:)[^\r\n]*+(?:\r\n|\r|\n|\Z)){1,1000}")
_LINE = re.compile(rb"([^\r\n]*+)(\r\n|\r|\n|\Z)")
_BLANK = re.compile(rb"\r\n|\r|\n")
_SECTION = re.compile(r"(\w+)\*(?:(\d+)\*?)?", re.ASCII)
_SEMICOLON = re.compile(";")
_WORD = re.compile(r"=\?([^?]*+)\?[qQbB]\?[^?]*+\?=")
_SWALLOWING = re.compile(rb"(?<!=)=(?:==)*+\r")
_MOST_LINES = 20_000
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))


class Python(Dialect):
    name = "python"
    line_ends = b"\r\n"
    line = re.compile(rb"--[^\r\n]*+")
    blank = b" \t"
    repeated = True
    outer_first = True

    def head(self, raw: bytes, start: int, stop: int, *, top: bool) -> Head:
        end = start
        while match := _HEADER.match(raw, end, stop):
            end = match.end()
        blank = _BLANK.match(raw, end, stop)
        return Head(_fields(raw[start:end]), end, blank.end() if blank else end)

    def content(self, fields: Fields, default: str) -> Content:
        value, placed = first(fields, b"content-type"), first(fields, b"content-disposition")
        kind = default
        parameters: dict[str, str] = {}
        if value is not None:
            kind = value.partition(b";")[0].strip().decode("ascii", "replace").lower()
            if kind.count("/") != 1:
                kind = "text/plain"
            parameters = _parameters(value)
        names = _parameters(placed) if placed is not None else {}
        name = names.get("filename", parameters.get("name"))
        disposition = placed.partition(b";")[0].strip().decode("ascii", "replace").lower() if placed else ""
        encoding = (first(fields, b"content-transfer-encoding") or b"").decode("latin-1").lower()
        boundary = b""
        if kind.startswith("multipart/"):
            boundary = parameters.get("boundary", "").rstrip().encode("ascii", "replace")
        return Content(kind, parameters, encoding, disposition, _words(name), boundary)

    def is_multipart(self, content: Content) -> bool:
        return content.multipart and "boundary" in content.parameters

    def is_message(self, content: Content) -> bool:
        return content.type in ("message/rfc822", "message/global", "message/news")

    def decoder(self, content: Content) -> Decoder | None:
        return _DECODERS.get(content.encoding)


def _fields(header: bytes) -> Fields:
    fields: list[tuple[bytes, bytes]] = []
    lines: list[bytes] = []
    for number, match in enumerate(_LINE.finditer(header)):
        line = match[0]
        if not line or number > _MOST_LINES:
            break
        if line[:1] in (b" ", b"\t"):
            if lines:
                lines.append(line)
            continue
        if lines:
            fields.append(_field(lines))
        lines = [] if line.startswith((b"From ", b":")) else [line]
    if lines:
        fields.append(_field(lines))
    return fields


def _field(lines: list[bytes]) -> tuple[bytes, bytes]:
    name, _, value = lines[0].partition(b":")
    return name.lower(), (value.lstrip(b" \t") + b"".join(lines[1:])).rstrip(b"\r\n")


def _parameters(raw: bytes) -> dict[str, str]:
    """Plain ones go before continued ones of the same name; of two the first."""
    found: dict[str, str] = {}
    continued: dict[str, list[tuple[int, str, bool]]] = {}
    for name, value in _pieces(raw.decode("ascii", "replace"))[1:]:
        text = _unquote(value)
        match = _SECTION.fullmatch(name)
        if match is None:
            found.setdefault(name, text)
        elif match[2] is None:
            continued.setdefault(match[1], []).append((-1, text, True))
        else:
            continued.setdefault(match[1], []).append((int(match[2][:6]), text, name.endswith("*")))
    for name, sections in continued.items():
        found.setdefault(name, _joined(sections))
    return found


def _pieces(text: str) -> list[tuple[str, str]]:
    pieces = []
    start = begun = quotes = 0
    for end in [*(match.start() for match in _SEMICOLON.finditer(text)), len(text)]:
        quotes += text.count('"', begun, end) - text.count('\\"', begun, end)
        begun = end
        if quotes % 2 and start < end < len(text):
            continue
        name, equals, value = text[start:end].partition("=")
        pieces.append((name.strip().lower(), value.strip() if equals else ""))
        start, quotes = end + 1, 0
    return pieces


def _unquote(text: str) -> str:
    if len(text) > 1:
        if text.startswith('"') and text.endswith('"'):
            return text[1:-1].replace("\\\\", "\\").replace('\\"', '"')
        if text.startswith("<") and text.endswith(">"):
            return text[1:-1]
    return text


def _joined(sections: list[tuple[int, str, bool]]) -> str:
    sections.sort(key=lambda section: section[0])
    if not any(encoded for _, _, encoded in sections):
        return "".join(text for _, text, _ in sections)
    whole = b"".join(
        unquote_to_bytes(text.encode("ascii", "replace")) if encoded else text.encode("ascii", "replace")
        for _, text, encoded in sections
    )
    pieces = whole.split(b"'", 2)
    if len(pieces) <= 2:
        return whole.decode("latin-1")
    return decode_charset(pieces[2], pieces[0].decode("latin-1") or "us-ascii")


def _words(name: str | None) -> str | None:
    if name is None:
        return None
    name = name.strip()
    charsets = _WORD.findall(name)
    if not charsets or not all(_known(charset) for charset in charsets):
        return name
    return decode_words("".join(line.lstrip() for line in name.splitlines()))


def _known(charset: str) -> bool:
    try:
        codecs.lookup(charset)
    except (LookupError, ValueError):
        return False
    return True


def decode_base64(data: bytes) -> bytes:
    """Up to the end of padding; what has no length of base64 stays as it is, but for its line ends."""
    try:
        return joined(_groups(without(data, _NOT_BASE64)))
    except binascii.Error:
        return without(data, b"\r\n")


def _groups(clean: bytes) -> Iterator[bytes]:
    """Decode in pieces of whole groups; padding counts for none. Raises binascii.Error where groups are not whole at the end."""
    rest = b""
    for piece in pieces(clean):
        piece = rest + piece
        octets, whole = len(piece.translate(None, b"=")), piece
        for _ in range(octets % 4):
            whole = whole.rstrip(b"=")[:-1]
        rest = piece[len(whole) :]
        decoded = a2b_base64(whole)
        yield decoded
        if len(decoded) < octets // 4 * 3:  # padding that ends it stood within
            return
    try:
        yield a2b_base64(rest)
    except binascii.Error:
        yield a2b_base64(rest + b"==")


def _decode_quoted_printable(data: bytes) -> bytes:
    """A CR behind a soft break swallows all up to the next LF."""
    return joined(_decoded_lines(data))


def _decoded_lines(data: bytes) -> Iterator[bytes]:
    swallowed = False
    for piece in line_pieces(data):
        if swallowed:
            line = piece.find(b"\n") + 1
            if not line:
                continue
            piece = piece[line:]
        swallowed = _SWALLOWING.search(piece, piece.rfind(b"\n") + 1) is not None
        yield a2b_qp(piece)


def _uudecode(data: bytes) -> bytes:
    decoded = uudecode_from_begin(data)
    return data if decoded is None else decoded


_DECODERS: dict[str, Decoder] = {
    "base64": decode_base64,
    "quoted-printable": _decode_quoted_printable,
    **dict.fromkeys(("x-uuencode", "uuencode", "uue", "x-uue"), _uudecode),
}
