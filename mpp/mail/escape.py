r"""Outside text made safe to show: in logs, SMTP replies, header fields and tables.

For every floor. What could move a cursor, end a line, turn the reading direction or hide is written as an escape; the
backslash itself is doubled, so that the result has one reading. Never raises.

    control characters below U+0080, octets that are no UTF-8    \xNN
    other code points that show nothing or change what is shown  \uNNNN, \UNNNNNNNN
"""

import re
from collections.abc import Callable

_CUT = "..."

# str.isprintable() knows control, format, surrogate, private, unassigned and separator characters. These here count as
# letters, marks or symbols and yet show nothing: joiners, fillers, the blank Braille cell, variation selectors.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def printable(value: str | bytes, limit: int = 0) -> str:
    """Escape what is not plainly visible; at most `limit` characters (0: all), cut at an escape's border with "..."."""
    if isinstance(value, str) and value.isascii() and value.isprintable() and "\\" not in value:
        return value if not limit or len(value) <= limit else _cut(value[: limit + 1], limit, _visible)
    text = _text(value, limit)
    if text.isprintable() and "\\" not in text and (text.isascii() or not _INVISIBLE.search(text)):
        return text if not limit or len(text) <= limit else _cut(text, limit, _visible)
    return _cut(text, limit, _visible) if limit else "".join(map(_visible, text))


def ascii_only(value: str | bytes, limit: int = 0) -> str:
    """As `printable`, and everything beyond ASCII is escaped too: for SMTP replies and header fields."""
    text = _text(value, limit)
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text if not limit or len(text) <= limit else _cut(text, limit, _plain)
    return _cut(text, limit, _plain) if limit else "".join(map(_plain, text))


def ascii_once(text: str) -> str:
    """As `ascii_only` for text that may hold escapes already: a backslash stays, so that nothing is escaped twice."""
    return "\\".join(map(ascii_only, text.split("\\"))) if "\\" in text else ascii_only(text)


def _text(value: str | bytes, limit: int) -> str:
    if isinstance(value, str):
        return value[: limit + 1] if limit else value
    # Four octets a character at most; a sequence cut in two lies behind the limit.
    return (value[: 4 * limit + 4] if limit else value).decode("utf-8", "surrogateescape")


def _cut(text: str, limit: int, escape: Callable[[str], str]) -> str:
    pieces: list[str] = []
    length = 0
    for character in text:
        piece = escape(character)
        length += len(piece)
        if length > limit:
            break
        pieces.append(piece)
    else:
        return "".join(pieces)
    room = max(limit - len(_CUT), 0)
    while pieces and sum(map(len, pieces)) > room:
        pieces.pop()
    return ("".join(pieces) + _CUT)[:limit]


def _visible(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable() and not _INVISIBLE.match(character):
        return character
    return _escaped(character)


def _plain(character: str) -> str:
    return _visible(character) if character.isascii() else _escaped(character)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # an octet that is no UTF-8, as surrogateescape keeps it
        code -= 0xDC00
    elif code >= 0x80:
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return f"\\x{code:02x}"
