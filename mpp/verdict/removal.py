"""Which header fields of a message are not to be believed, and therefore removed (RFC 8601, 5; design section 3).

From outside: top-level fields that only we or the next hop may put (settings.marks.remove), and Authentication-Results
that claim to be ours, signed or not. Called by mpp.verdict.marks. Linear in the header, whatever it holds.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from mpp.mail.message import Field, Message
from mpp.settings.values import glob_pattern

AUTHENTICATION_RESULTS = b"authentication-results"
_COMMENTS = 4  # levels of comments taken off; deeper than any sender of good will
_LOOKED_AT = 256  # octets of an Authentication-Results field in which its name must stand

_NAMES_KEPT, _LONGEST_KEPT = 2000, 100  # names, octets of one

_COMMENT = re.compile(rb"\([^()\\]*+(?:\\.[^()\\]*+)*+\)", re.DOTALL)
_AUTHSERV_ID = re.compile(rb'[ \t\r\n]*(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^ \t\r\n;"()]+))', re.DOTALL)


class _Interest(dict[bytes, bool]):
    """Which field names might have to go, learnt name by name: one look-up for each field is cheaper than any test."""

    def __init__(self, globs: tuple[str, ...], names: tuple[bytes, ...]) -> None:
        super().__init__()
        self._names, self._test = frozenset({AUTHENTICATION_RESULTS, *names}), name_test(globs)

    def __missing__(self, key: bytes) -> bool:
        answer = key in self._names or bool(self._test(key))
        if len(self) < _NAMES_KEPT and len(key) <= _LONGEST_KEPT:
            self[key] = answer
        return answer


_interest = lru_cache(64)(_Interest)


@lru_cache(64)
def name_test(globs: tuple[str, ...]) -> Callable[[bytes], object]:
    """Return a test of a lower-case field name against the globs; only * and ? mean something."""
    return re.compile("|".join(map(glob_pattern, globs)).encode() if globs else rb"(?!)").match


def forged(field: Field, globs: tuple[str, ...], hostname: str) -> bool:
    """True where a field from outside has to go."""
    if name_test(globs)(field.key):
        return True
    return field.key == AUTHENTICATION_RESULTS and claims(field.value, hostname)


def claims(value: bytes, hostname: str) -> bool:
    """True where the authserv-id of an Authentication-Results value is `hostname`, however it is written.

    A value that names us and cannot be read, or only by a parser with more patience, counts as a claim: a lenient
    reader behind us might believe it.
    """
    ours = hostname.lower().rstrip(".").encode()
    if not ours or ours not in value.replace(b"\\", b"").lower():
        return False
    text, left = value[:_LOOKED_AT], 1
    for _ in range(_COMMENTS):
        text, left = _COMMENT.subn(b" ", text)
        if not left:
            break
    match = _AUTHSERV_ID.match(text)
    if left or not match or (match.end() == len(text) and len(value) > _LOOKED_AT):
        return True
    identity: bytes = match[2] if match[1] is None else re.sub(rb"\\(.)", rb"\1", match[1], flags=re.DOTALL)
    return identity.strip().rstrip(b".").lower() == ours


def candidates(message: Message, globs: tuple[str, ...], names: tuple[bytes, ...]) -> list[Field]:
    """Return the few fields that might have to go, in their order."""
    interesting = _interest(globs, names)
    if not any(map(interesting.__getitem__, message.keys)):  # as in most mail, whose fields then nobody needs
        return []
    return [field for field in message.fields if interesting[field.key]]
