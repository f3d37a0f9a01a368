"""One module of ours before the pcre2 library: every option of PCRE2, a match limit on every pattern, errors with a position.

For the content filter and Postfix tables. Patterns and subjects are octets. The binding's own `compile` turns on
ALT_BSUX, which makes of `\\x{41}` something else, and has no room for ANCHORED, UNGREEDY and DOLLAR_ENDONLY; so its inner
function is called with the options themselves, as pcre2api(3) numbers them.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import pcre2
from pcre2 import _cy

CASELESS = 0x00000008
DOLLAR_ENDONLY = 0x00000010
DOTALL = 0x00000020
EXTENDED = 0x00000080
MULTILINE = 0x00000400
UCP = 0x00020000
UNGREEDY = 0x00040000
UTF = 0x00080000
MATCH_INVALID_UTF = 0x04000000
"""With UTF, for patterns that search one text many times: no search looks first whether all of the text is UTF-8.

Octets that are none match nothing, where a pattern without it finds nothing in the whole text."""
ANCHORED = 0x80000000
_ALT_BSUX = 0x00000002

MATCH_LIMIT = 200_000
"""Steps of one search; the worst that was measured needs 1 ms for them."""
_LIMITS = (-47, -53, -63)  # PCRE2_ERROR_MATCHLIMIT, _DEPTHLIMIT, _HEAPLIMIT
_JIT_STACK = -46


class PatternError(ValueError):
    """A pattern that cannot be compiled: `position` is an offset in octets into it, `cause` the library's words."""

    def __init__(self, cause: str, position: int) -> None:
        super().__init__(f"{cause} (at position {position + 1})")
        self.cause, self.position = cause, position


class LimitExceeded(Exception):  # noqa: N818 it says what a search came to, as a result does
    """A search was given up: it would take too long. Whether the pattern matches is not known."""


class Match(Protocol):
    def group(self, number: int = 0) -> bytes | None: ...

    def span(self, number: int = 0) -> tuple[int, int]: ...


class Pattern:
    """A compiled pattern. `search` finds its first match."""

    __slots__ = ("_code", "_search", "groups", "options", "source")

    def __init__(self, source: bytes, options: int = 0, limit: int = MATCH_LIMIT) -> None:
        """Raises PatternError."""
        self.source, self.options = source, options
        prefix = b"(*LIMIT_MATCH=%d)" % limit
        self._code = _compile(prefix + source, options, len(prefix))
        compiled = pcre2.Pattern(self._code, source, pcre2.NOFLAG, False, None)
        self.groups: int = compiled.groups
        self._search = compiled.search

    def search(self, subject: bytes) -> Match | None:
        """Return the first match, None where there is none. Raises LimitExceeded."""
        try:
            code = self._code  # read once: another thread may search too
            if code is not None:  # machine code at the first search: most patterns are never asked
                _cy.jit_compile(code)
                self._code = None
            found: Match | None = self._search(subject)
        except pcre2.LibraryError as error:
            if error.code in _LIMITS or error.code == _JIT_STACK:
                raise LimitExceeded(error.msg) from None
            if options_are_utf(self.options) and -22 <= error.code <= -3:  # the subject is no UTF-8
                return None
            raise
        return found

    def all_texts(self, subject: bytes) -> Iterator[bytes]:
        """Yield the text of each match; ends where the limit ends it."""
        at = 0
        while at <= len(subject):
            try:
                match = self.search(subject[at:] if at else subject)
            except LimitExceeded:
                return
            if match is None:
                return
            yield match.group() or b""
            at += max(match.span()[1], 1)


def options_are_utf(options: int) -> bool:
    """True for a pattern that reads characters, not octets."""
    return bool(options & UTF)


def _compile(source: bytes, options: int, prefix: int) -> Any:
    try:
        return _cy.compile(source, options, _ALT_BSUX if options & UCP else _ALT_BSUX | UCP)
    except pcre2.PatternError as error:
        words = error.msg.partition("; ")[2] or error.msg
        raise PatternError(words, max(0, min(error.pos, len(source)) - prefix)) from None
