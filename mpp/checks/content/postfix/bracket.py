"""Bracket expressions of POSIX ([...]) as glibc reads them in the C locale: into the set of octets they stand for."""

import string


class EreError(ValueError):
    """A pattern that glibc refuses; the text is glibc's own."""


_CLASSES = {
    "alpha": string.ascii_letters, "digit": string.digits, "alnum": string.ascii_letters + string.digits,
    "upper": string.ascii_uppercase, "lower": string.ascii_lowercase, "space": " \t\n\v\f\r", "blank": " \t",
    "punct": string.punctuation, "print": string.ascii_letters + string.digits + string.punctuation + " ",
    "graph": string.ascii_letters + string.digits + string.punctuation, "xdigit": string.hexdigits,
    "cntrl": "".join(map(chr, (*range(32), 127))),
}  # fmt: skip
_ALL = frozenset(range(256))
_SMALL = frozenset(range(0x61, 0x7B))
_UNENDED = "Unmatched [, [^, [:, [., or [="
_LONGEST_NAME = 32


def capital(octet: int) -> int:
    """Return the capital of an octet in the C locale."""
    return octet - 32 if octet in _SMALL else octet


def written(octets: "set[int] | frozenset[int]") -> bytes:
    """Return a PCRE2 class that matches exactly these octets; one that never matches for none."""
    if not octets:
        return b"(?!)"
    if len(octets) == 1:
        (octet,) = octets
        return bytes([octet]) if chr(octet).isalnum() and octet < 128 else b"\\x%02x" % octet
    return b"[%b]" % b"".join(b"\\x%02x" % a if a == b else b"\\x%02x-\\x%02x" % (a, b) for a, b in _runs(octets))


def _runs(octets: "set[int] | frozenset[int]") -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for octet in sorted(octets):
        if runs and runs[-1][1] == octet - 1:
            runs[-1] = (runs[-1][0], octet)
        else:
            runs.append((octet, octet))
    return runs


def read_bracket(text: bytes, at: int, *, caseless: bool, newline: bool) -> tuple[frozenset[int], int]:
    """Read from behind the [; return the octets and the place behind the ]. Raises EreError.

    `caseless`: the set holds no small letters, the caller matches without regard to case. `newline`: [^...] leaves it out.
    """
    return _Bracket(text.translate(_CAPITALS) if caseless else text, text, at, caseless, newline).read()


_CAPITALS = bytes(map(capital, range(256)))


class _Bracket:
    def __init__(self, text: bytes, raw: bytes, at: int, caseless: bool, newline: bool) -> None:
        self._text, self._raw, self._at = text, raw, at
        self._caseless, self._newline = caseless, newline
        self._found: set[int] = set()

    def read(self) -> tuple[frozenset[int], int]:
        if self._at >= len(self._text):
            raise EreError("Invalid regular expression")
        negated = self._peek() == b"^"
        self._at += negated
        first = True
        while first or self._peek() != b"]":
            self._element(first)
            first = False
        self._at += 1
        found = frozenset(self._found)
        if negated:
            found = _ALL - found - (frozenset({10}) if self._newline else frozenset())
        if self._caseless:
            found -= _SMALL
        return found - {0}, self._at

    def _peek(self) -> bytes:
        if self._at >= len(self._text):
            raise EreError(_UNENDED)
        return self._text[self._at : self._at + 1]

    def _element(self, first: bool) -> None:
        start = self._one(hyphen=first)
        if start is None:
            return
        if self._hyphen() and self._text[self._at + 1 : self._at + 2] != b"]":
            self._at += 1
            if self._at >= len(self._text):
                raise EreError(_UNENDED)
            end = self._one(hyphen=True)
            if end is None or start > end:
                raise EreError("Invalid range end")
            self._found.update(range(start, end + 1))
        else:
            self._found.add(start)

    def _hyphen(self) -> bool:
        return self._peek() == b"-"

    def _one(self, *, hyphen: bool) -> int | None:
        """Read one element: return an octet, or None for a class, which is added."""
        octet = self._peek()
        if octet == b"[" and self._text[self._at + 1 : self._at + 2] in (b".", b"=", b":"):
            return self._symbol(chr(self._text[self._at + 1]))
        if self._hyphen() and not hyphen and self._text[self._at + 1 : self._at + 2] != b"]":
            raise EreError("Invalid range end" if self._at + 1 < len(self._text) else _UNENDED)
        self._at += 1
        return octet[0]

    def _symbol(self, kind: str) -> int | None:
        end = self._text.find(kind.encode() + b"]", self._at + 2)
        if end < 0 or end - self._at - 2 >= _LONGEST_NAME:
            raise EreError(_UNENDED)
        source = self._raw if kind == ":" else self._text
        name = source[self._at + 2 : end].decode("latin-1")
        self._at = end + 2
        if kind == ":":
            if name not in _CLASSES:
                raise EreError("Invalid character class name")
            both = self._caseless and name in ("upper", "lower")
            self._found.update(map(ord, _CLASSES["alpha" if both else name]))
            return None
        if len(name) != 1:
            raise EreError("Invalid collation character")
        if kind == "=":
            self._found.add(ord(name))
            return None
        return ord(name)
