"""Perl's MIME::tools (amavisd, MIMEDefang, Sympa): line by line, what is no field is skipped, padding is ignored."""

import re
from binascii import a2b_qp
from urllib.parse import unquote_to_bytes

from mpp.mail.content import Content
from mpp.mail.decoding import decode_run
from mpp.mail.dialects.dialect import Decoder, Dialect, Fields, Head, first
from mpp.mail.dialects.uuencode import uudecode_from_any_begin
from mpp.mail.pieces import in_lines, without
from mpp.mail.words import unfold

_END = re.compile(rb"^\r{0,2}(?:\n|\Z)", re.MULTILINE)
_FIELD = re.compile(rb"^([^\x00- \x7f-\xff:]++):([^\n]*+(?:\n[ \t][^\n]*+)*+)(?:\n|\Z)", re.MULTILINE)
_COMMENTS = rb"(?:[ \t\r\n\f\v]|\([^)]*+\))*"
_FIRST = re.compile(_COMMENTS + rb"([^\s;\x00-\x1f\x80-\xff]*+)" + _COMMENTS)
_SEPARATOR = re.compile(rb"[^;]*+(?:;" + _COMMENTS + rb")+")
_NAME = re.compile(rb"([^\x00-\x1f\x80-\xff :=]++)\s*+=\s*+")
_VALUE = re.compile(
    rb'"([^\\"]*+(?:\\.[^\\"]*+)*+)"|(=\?[^?]*+\?[A-Za-z]\?[^?]++\?=)|([^\x00- \x80-\xff()<>@,;:\\/\[\]?="]++)|([^;]++)'
)
_TOKENS = re.compile(rb"[^\x00- \x80-\xff()<>@,;:\\/\[\]?=\"]*+")
_SECTION = re.compile(rb"([^*]++)(?:\*([^*]++))?(\*)?")
_NOT_IN_WORD = re.compile(rb"[=?_\x00-\x1f\x7f-\xff]")
_WORD = re.compile(r"=\?([^?]*+)\?([BbQq])\?([^?]*+)\?=")
_SURROGATE = re.compile("[\udc80-\udcff]")
_ESCAPED = re.compile(rb"\\(.)")
_ODD_BITS = re.compile(r"([78])[ _-]bit")
_NO_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)")
_LINE_BLANKS = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n)")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


class MimeTools(Dialect):
    name = "mime-tools"
    blank = b" \t\r\n"
    childless = "empty"
    cut_header = "void"

    def head(self, raw: bytes, start: int, stop: int, *, top: bool) -> Head:
        match = _END.search(raw, start, stop)
        end, body = (match.start(), match.end()) if match else (stop, stop)
        header = raw[start:end].removeprefix(b"\xef\xbb\xbf")
        return Head([(m[1].lower(), unfold(m[2]).strip()) for m in _FIELD.finditer(header)], end, body)

    def content(self, fields: Fields, default: str) -> Content:
        value, placed = first(fields, b"content-type"), first(fields, b"content-disposition")
        kind, parameters = _parse(value or b"")
        disposition, names = _parse(placed or b"")
        encoding, _ = _parse(first(fields, b"content-transfer-encoding") or b"")
        name = next((n for n in (names.get("filename"), parameters.get("name")) if n and n.strip()), None)
        kind = (kind or default).lower()
        return Content(
            kind,
            parameters,
            _ODD_BITS.sub(r"\1bit", encoding.lower()),
            disposition.lower(),
            _words(name) or None if name else None,
            parameters.get("boundary", "").encode("latin-1", "replace"),
        )

    def is_multipart(self, content: Content) -> bool:
        boundary = content.parameters.get("boundary")
        return content.type.partition("/")[0] == "multipart" and boundary is not None and "\r" not in boundary

    def is_message(self, content: Content) -> bool:
        first_of_many = content.type == "message/partial" and content.parameters.get("number") == "1"
        return first_of_many or content.type in ("message/rfc822", "message/external-body")

    def decoder(self, content: Content) -> Decoder | None:
        return _DECODERS.get(content.encoding)


def _parse(raw: bytes) -> tuple[str, dict[str, str]]:
    """Return what stands before the parameters, and these; of two of a name the last, continued ones above all."""
    found: dict[str, bytes | None] = {}
    continued: dict[str, dict[bytes, bytes]] = {}
    encoded: set[str] = set()
    first_match = _FIRST.match(raw)
    assert first_match is not None  # it takes nothing as well
    at = first_match.end()
    while separator := _SEPARATOR.match(raw, at):
        match = _NAME.match(raw, separator.end())
        value = _VALUE.match(raw, match.end()) if match else None
        if match is None or value is None:
            break
        at = value.end()
        octets = _value(value)
        section = _SECTION.fullmatch(match[1].lower()) if b"*" in match[1] else None
        if section is None:
            found[match[1].lower().decode("latin-1")] = octets
            continue
        name, octets = section[1].decode("latin-1"), octets or b""
        if section[3]:
            octets = unquote_to_bytes(octets)
            encoded.add(name)
        numbered = continued.setdefault(name, {})
        number = section[2] or b"0"
        numbered[number] = numbered.get(number, b"") + octets
    texts = {name: octets.decode("latin-1") for name, octets in found.items() if octets is not None}
    for name, numbered in continued.items():
        texts[name] = _joined(numbered, name in encoded)
    return first_match[1].decode("latin-1"), texts


def _value(match: re.Match[bytes]) -> bytes | None:
    if match[1] is not None:
        return _ESCAPED.sub(rb"\1", match[1])
    if match[4] is None:
        return match[2] or match[3]
    tokens = _TOKENS.match(match[4].strip())
    return tokens[0] if tokens and tokens[0] else None


def _joined(numbered: dict[bytes, bytes], encoded: bool) -> str:
    whole = b"".join(numbered[number] for number in sorted(numbered, key=lambda n: int(n[:6]) if n.isdigit() else 0))
    pieces = whole.split(b"'", 2)
    if not encoded or len(pieces) < 2:
        return whole.decode("latin-1")
    escaped = _NOT_IN_WORD.sub(lambda match: b"=%02X" % match[0][0], pieces[-1]).replace(b" ", b"_")
    return (b"=?%b?Q?%b?=" % (pieces[0], escaped)).decode("latin-1")


def _words(name: str) -> str:
    """Decode encoded words, each for itself; octets that are no text become \\xC3, a word without a charset nothing."""
    if "=?" not in name:
        return _text(name.encode("latin-1"), "ascii")
    pieces: list[str] = []
    end = 0
    for match in _WORD.finditer(name):
        between = name[end : match.start()]
        if between.strip() or not pieces:
            pieces.append(_text(between.encode("latin-1"), "ascii"))
        octets = match[3].encode("latin-1")
        decoded = decode_base64(octets) if match[2] in "Bb" else a2b_qp(octets, header=True)
        if match[1]:
            pieces.append(_text(decoded, match[1].partition("*")[0].lower()))
        end = match.end()
    pieces.append(_text(name[end:].encode("latin-1"), "ascii"))
    return "".join(pieces)


def _text(octets: bytes, charset: str) -> str:
    try:
        text = octets.decode("utf-16be" if charset == "utf-16" else charset, "surrogateescape")
    except (LookupError, ValueError):
        return ""
    return _SURROGATE.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02X}", text)


def decode_base64(data: bytes) -> bytes:
    """Decode as if there were no padding at all."""
    return decode_run(without(data, _NOT_BASE64))


def _decode_quoted_printable(data: bytes) -> bytes:
    return in_lines(_decode_piece, data)


def _decode_piece(data: bytes) -> bytes:
    return a2b_qp(_NO_ESCAPE.sub(b"=3D", _LINE_BLANKS.sub(b"", data)))


_DECODERS: dict[str, Decoder] = {
    "base64": decode_base64,
    "quoted-printable": _decode_quoted_printable,
    **dict.fromkeys(("x-uu", "x-uuencode"), uudecode_from_any_begin),
}
