"""GMime 3 (GNOME's mail programs, notmuch): a lenient parser, of fields the last counts."""

import re
from binascii import a2b_qp
from itertools import islice

from mpp.mail.content import Content
from mpp.mail.decoding import decode_charset, decode_run
from mpp.mail.dialects.dialect import MAX_VALUE, Decoder, Dialect, Fields, Head, last
from mpp.mail.dialects.rfc2231 import Section, join
from mpp.mail.dialects.uuencode import uudecode_from_any_begin
from mpp.mail.pieces import between, find, in_lines, without
from mpp.mail.words import decode_words, header_text

_END = re.compile(rb"^\r?\n", re.MULTILINE)
_FIELD = re.compile(rb"^([^\x00- \x7f:]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)(?:\n|\Z)", re.MULTILINE)
_FOLD = b"\r\n"  # octets: where lines end in LF too, a CR is no more than a fold's
_BLANKS = re.compile(rb"[ \t\r\n]*+")
_COMMENT_MARK = re.compile(rb"\\.|[()]", re.DOTALL)
_TOKEN = re.compile(rb"[^\x00- \x7f()<>@,;:\\\"/\[\]?=]++")
_NAME = re.compile(rb"[^\x00- \x7f()<>@,;:\\\"/\[\]?=*]++")
_NUMBER = re.compile(rb"[0-9]*+")
_QUOTED = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)(")?', re.DOTALL)
_LOOSE = re.compile(rb"[^;]*+")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_NO_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)(?:..)?", re.DOTALL)
_QP_END = re.compile(rb"=[0-9A-Fa-f]?\Z")
# Encoded words one behind the other are one text in base64, and that ends with its padding.
_PADDED = re.compile(r"(=\?([^?]++)\?B\?[^?=]*+=[^?]*+)\?=(?:[ \t]++=\?\2\?B\?[^?]*+\?=)++", re.IGNORECASE)
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_MESSAGES = frozenset({"message/rfc822", "message/global", "message/news"})
_MOST_FIELDS = 20_000


class GMime(Dialect):
    name = "gmime"
    childless = "nothing"
    cut_header = "no part"
    last_needs_octets = True
    break_as_delimiter = True

    def head(self, raw: bytes, start: int, stop: int, *, top: bool) -> Head | None:
        if top and not raw.startswith((b"From ", b">From ", b"\n", b"\r\n")) and not _FIELD.match(raw):
            return None
        match = _END.search(raw, start, stop)
        end, body = (match.start(), match.end()) if match else (stop, stop)
        fields = [
            (found[1].lower(), found[2].translate(None, _FOLD).strip(b" \t\r"))
            for found in islice(_FIELD.finditer(raw, start, end), _MOST_FIELDS)
        ]
        return Head(fields, end, body)

    def content(self, fields: Fields, default: str) -> Content:
        value, placed = last(fields, b"content-type"), last(fields, b"content-disposition")
        kind, rest = (default, b"") if value is None else _type(value)
        parameters = _parameters(rest)
        disposition, names = "", {}
        if placed is not None:
            word, _, after = placed.partition(b";")
            disposition, names = word.strip().decode("latin-1").lower(), _parameters(after)
        name = names.get("filename", parameters.get("name"))
        boundary = parameters.get("boundary", "").encode("utf-8", "surrogateescape")
        token = header_text(last(fields, b"content-transfer-encoding") or b"").split()
        encoding = token[0].lower() if token else ""
        return Content(kind or "application/octet-stream", parameters, encoding, disposition, name, boundary)

    def is_multipart(self, content: Content) -> bool:
        return content.multipart and "boundary" in content.parameters

    def is_message(self, content: Content) -> bool:
        return content.type in _MESSAGES and content.encoding not in ("base64", "quoted-printable")

    def delimiter(self, line: bytes, boundary: bytes) -> bool | None:
        if not line.startswith(boundary, 2):
            return None
        rest = line[2 + len(boundary) :].rstrip(b" \t\r")
        return False if not rest else True if rest == b"--" else None

    def decoder(self, content: Content) -> Decoder | None:
        return _DECODERS.get(content.encoding)


def _type(value: bytes) -> tuple[str, bytes]:
    """Return the type, "" where it is broken, and the parameters."""
    at = _skip(value, 0)
    kind = _TOKEN.match(value, at)
    slash = _skip(value, kind.end() if kind else at)
    if value[slash : slash + 1] != b"/":
        return "", b""
    below = _TOKEN.match(value, _skip(value, slash + 1))
    if below is None:
        return "", b""
    text = (kind[0] if kind else b"") + b"/" + below[0]
    semicolon = value.find(b";", below.end())
    return decode_charset(text, "").lower(), value[semicolon + 1 :] if semicolon >= 0 else b""


def _skip(value: bytes, at: int) -> int:
    """Return where white space and comments end; a comment that does not end is none."""
    at = _blanks(value, at)
    while value[at : at + 1] == b"(":
        depth = 0
        for mark in _COMMENT_MARK.finditer(value, at):
            depth += (mark[0] == b"(") - (mark[0] == b")")
            if depth == 0:
                at = _blanks(value, mark.end())
                break
        else:
            break
    return at


def _blanks(value: bytes, at: int) -> int:
    match = _BLANKS.match(value, at)
    assert match is not None  # it takes nothing as well
    return match.end()


def _parameters(raw: bytes) -> dict[str, str]:
    """The first of a name counts, continued or not."""
    raw = raw[:MAX_VALUE]
    found: dict[str, str] = {}
    continued: dict[str, list[Section]] = {}
    at = 0
    while at < len(raw):
        at = _parameter(raw, _skip(raw, at), found, continued)
        at = _skip(raw, at)
        if raw[at : at + 1] != b";":
            break
        at += 1
    for name, sections in continued.items():
        found[name] = join(sections)
    return found


def _parameter(raw: bytes, at: int, found: dict[str, str], continued: dict[str, list[Section]]) -> int:
    begun = at
    match = _NAME.match(raw, at)
    if match is None:
        return at
    name = match[0].decode("latin-1").lower()
    at = _skip(raw, match.end())
    number, encoded, starred = -1, False, False
    if raw[at : at + 1] == b"*":
        starred = True
        at = _skip(raw, at + 1)
        if raw[at : at + 1] == b"=":
            encoded = True
        else:
            digits = _NUMBER.match(raw, at)
            assert digits is not None  # it takes nothing as well
            number = int(digits[0][:6] or b"0")
            at = _skip(raw, digits.end())
            if raw[at : at + 1] == b"*":
                encoded = True
                at = _skip(raw, at + 1)
    if raw[at : at + 1] != b"=":
        return begun
    value, at = _value(raw, _skip(raw, at + 1))
    if value is None:
        return begun
    if number >= 0:
        if name not in found or name in continued:
            found.setdefault(name, "")
            continued.setdefault(name, []).append(Section(number, value, encoded))
    elif encoded:
        found.setdefault(name, join([Section(0, value, True)]))
    elif name not in found:
        text = decode_charset(value, "")
        found[name] = decode_words(_PADDED.sub(r"\1?=", text)) if "=?" in text and not starred else text
    return at


def _value(raw: bytes, at: int) -> tuple[bytes | None, int]:
    quoted = _QUOTED.match(raw, at)
    if quoted is not None:
        text = quoted[1] if quoted[2] else b'"' + quoted[1]
        return _ESCAPED.sub(rb"\1", text), quoted.end()
    loose = _LOOSE.match(raw, at)
    assert loose is not None  # it takes nothing as well
    text = loose[0].rstrip(b" \t\r\n")
    return (text, at + len(text)) if text else (None, at)


def decode_base64(data: bytes) -> bytes:
    """Decode up to the first padding; without padding a group that is not full is dropped."""
    clean = without(data, _NOT_BASE64)
    end = find(clean, b"=", 0, len(clean))
    return decode_run(between(clean, 0, end if end >= 0 else len(clean) & ~3))


def _decode_quoted_printable(data: bytes) -> bytes:
    """An escape that is none takes two octets with it: they stay, and so does an escape that begins with one of them."""
    return in_lines(_decode_piece, _QP_END.sub(b"", data))


def _decode_piece(data: bytes) -> bytes:
    return a2b_qp(_NO_ESCAPE.sub(lambda match: match[0].replace(b"=", b"=3D"), data))


_DECODERS: dict[str, Decoder] = {
    "base64": decode_base64,
    "quoted-printable": _decode_quoted_printable,
    **dict.fromkeys(("x-uuencode", "uuencode", "x-uue"), uudecode_from_any_begin),
}
