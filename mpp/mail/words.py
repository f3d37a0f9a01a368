"""Text of header fields: encoded words (RFC 2047) read and written. Reading never raises."""

import re
from binascii import a2b_qp, b2a_base64

from mpp.mail.decoding import decode_base64, decode_charset

_MAX_TEXT = 1 << 16  # octets of one field read as text: encoded words cost a microsecond each
_WORD = re.compile(r"=\?([!-)+->@-~]{1,60}?)(?:\*[A-Za-z0-9-]*)?\?([BbQq])\?([^?\s]*(?:[ \t]+[^?\s]+)*?)[ \t]*\?=")
_SAFE = re.compile(rb"[^A-Za-z0-9!*+/-]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_LINE = 76  # RFC 2047, section 2
_WORD_LENGTH = 75


def unfold(value: bytes) -> bytes:
    """Join the lines of a field body (RFC 5322, 2.2.3: only the line ends go) and strip white space at its ends."""
    if b"\n" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return value.strip(b" \t\r\n")


def header_text(value: bytes) -> str:
    """Decode a raw field body: unfolded, encoded words read, 8-bit octets as UTF-8 or else ISO-8859-1."""
    raw = unfold(value)[:_MAX_TEXT]
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        text = decode_charset(raw, "")
    return decode_words(text) if "=?" in text else text


def decode_words(text: str) -> str:
    """Replace encoded words. White space between two of them is dropped (RFC 2047, 6.2), and octets of neighbours with
    one charset are joined before they are decoded: senders cut characters in two."""
    pieces: list[str] = []
    held, charset, end = b"", "", 0
    for match in _WORD.finditer(text):
        between = text[end : match.start()]
        name = match[1].lower()
        octets = _octets(match[2], match[3])
        if held and not between.strip(" \t") and name == charset:
            held += octets
        else:
            if held:
                pieces.append(decode_charset(held, charset))
            if between.strip(" \t") or not charset:
                pieces.append(between)
            held, charset = octets, name
        end = match.end()
    if not charset:
        return text
    pieces.append(decode_charset(held, charset))
    pieces.append(text[end:])
    return "".join(pieces)


def _octets(encoding: str, payload: str) -> bytes:
    raw = payload.encode("utf-8", "surrogateescape")
    return decode_base64(raw) if encoding in "Bb" else a2b_qp(raw, header=True)


def encode_header_text(text: str, column: int = 0) -> bytes:
    """Write `text` as a field body that starts at `column`: folded, encoded words where it is not plain ASCII.

    Control characters become spaces: read back they must not end a line either. Lines stay within 76 octets where there is
    white space to fold at; an ASCII word too long for a line (998 octets, RFC 5322, 2.1.1) is encoded too.
    """
    text = _CONTROL.sub(" ", text)
    if text.isascii() and "=?" not in text:
        if column + len(text) <= _LINE:
            return text.encode("ascii")
        folded = _fold(text, column)
        if folded is not None:
            return folded
    return _encode(text, column)


def _fold(text: str, column: int) -> bytes | None:
    lines: list[str] = []
    line = ""
    for word in re.findall(r"[ ]*[^ ]+|[ ]+$", text):
        if len(word) > 900:
            return None
        if line.strip() and column + len(line) + len(word) > _LINE and word.strip():
            lines.append(line)
            line, column = "", 0
        line += word
    lines.append(line)
    return "\r\n".join(lines).encode("ascii")


def _encode(text: str, column: int) -> bytes:
    octets = text.encode("utf-8", "backslashreplace")
    encoding, size = (b"Q", _q_size) if 2 * len(_SAFE.findall(octets)) < len(octets) else (b"B", _b_size)
    words: list[bytes] = []
    word = b""
    room = _WORD_LENGTH - min(column, 40) - len(b"=?utf-8?B??=")
    for character in text:
        encoded = character.encode("utf-8", "backslashreplace")
        if word and size(word + encoded) > room:
            words.append(word)
            word, room = b"", _WORD_LENGTH - len(b"=?utf-8?B??=")
        word += encoded
    words.append(word)
    write = _q if encoding == b"Q" else _b
    return b"\r\n ".join(b"=?utf-8?%b?%b?=" % (encoding, write(word)) for word in words)


def _q(word: bytes) -> bytes:
    return _SAFE.sub(lambda match: b"_" if match[0] == b" " else b"=%02X" % match[0][0], word)


def _b(word: bytes) -> bytes:
    return b2a_base64(word, newline=False)


def _q_size(word: bytes) -> int:
    return len(word) + 2 * (len(_SAFE.findall(word)) - word.count(b" "))


def _b_size(word: bytes) -> int:
    return (len(word) + 2) // 3 * 4
