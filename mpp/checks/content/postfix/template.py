"""The right-hand side of a rule: text with $1, ${1}, $(1) and $$ (Postfix: mac_parse(3)). Pure."""

import re
from dataclasses import dataclass

from mpp.checks.content.pcre import Match

_PIECE = re.compile(rb"\$\$|\$([A-Za-z0-9_]*)|[^$]+", re.DOTALL)
_PAIRS = {ord("{"): ord("}"), ord("("): ord(")")}


class TemplateError(ValueError):
    """A right-hand side that Postfix refuses, in its own words."""


@dataclass(frozen=True, slots=True)
class Template:
    """`pieces`: octets as they are, and numbers of groups."""

    pieces: tuple[bytes | int, ...]
    highest: int  # group that is named, 0 for none

    def fill(self, match: Match | None) -> bytes:
        """Return the text with its groups put in; a group that took no part is empty."""
        if not self.highest or match is None:
            return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))
        return b"".join(piece if isinstance(piece, bytes) else match.group(piece) or b"" for piece in self.pieces)


def read_template(text: bytes) -> Template:
    """Read a right-hand side. Raises TemplateError."""
    pieces: list[bytes | int] = []
    at = 0
    while at < len(text):
        if text[at] == 0x24 and at + 1 < len(text) and text[at + 1] in _PAIRS:
            end = _closing(text, at + 1)
            pieces.append(_index(text[at + 2 : end], text))
            at = end + 1
            continue
        match = _PIECE.match(text, at)
        assert match is not None  # it takes any octet
        pieces.append(b"$" if match[0] == b"$$" else match[0] if match[1] is None else _index(match[1], text))
        at = match.end()
    return Template(tuple(pieces), max((piece for piece in pieces if isinstance(piece, int)), default=0))


def _closing(text: bytes, at: int) -> int:
    level, opening, closing = 0, text[at], _PAIRS[text[at]]
    for end in range(at, len(text)):
        level += (text[end] == opening) - (text[end] == closing)
        if not level:
            return end
    raise TemplateError(f'truncated macro reference: "{_shown(text)}"')


def _index(name: bytes, text: bytes) -> int:
    if not name:
        raise TemplateError(f'empty macro name: "{_shown(text)}"')
    if not name.isdigit():
        raise TemplateError(f'non-numeric replacement index "{_shown(name)}"')
    if not 0 < int(name[:9]) <= 65535:
        raise TemplateError(f'out of range replacement index "{_shown(name)}"')
    return int(name[:9])


def _shown(text: bytes) -> str:
    return text[:60].decode("latin-1")
