"""The C library's own regular expressions (regcomp(3), regexec(3)): what Postfix's regexp: tables are asked with."""

import ctypes
from dataclasses import dataclass

ICASE, EXTENDED, NEWLINE = 2, 1, 4
_NOMATCH = 1


class _Span(ctypes.Structure):
    _fields_ = (("start", ctypes.c_int), ("end", ctypes.c_int))


_library = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Refused:
    words: str


def search(pattern: bytes, subject: bytes, flags: int, groups: int = 10) -> list[tuple[int, int]] | Refused | None:
    """Return the spans of the match and its groups, None for no match."""
    space = ctypes.create_string_buffer(256)  # regex_t has 64 octets on all our platforms
    code = _library.regcomp(space, pattern, flags)
    if code:
        words = ctypes.create_string_buffer(200)
        _library.regerror(code, space, words, 200)
        return Refused(words.value.decode())
    spans = (_Span * groups)()
    try:
        code = _library.regexec(space, subject, groups, spans, 0)
        return None if code == _NOMATCH else [(span.start, span.end) for span in spans]
    finally:
        _library.regfree(space)
