"""Translates POSIX regular expressions, as the C library of Debian (glibc) reads them, into PCRE2.

For regexp: tables. Both flavours: extended, and basic where the table's `x` flag turns extended off. What glibc refuses is
refused with glibc's words. Known to differ: of several matches POSIX takes the longest, PCRE2 the first alternative that fits,
so $1 can hold less where a group has alternatives that begin alike (`(a|ab)`); whether a rule matches is the same.

Letter case: glibc turns pattern and subject into capitals when case does not matter. So `[Z-a]` is no range then, and
an escaped small letter that means nothing else (`\\d`) can never match. That is done here on sets of octets.
"""

from mpp.checks.content import pcre
from mpp.checks.content.postfix.bracket import EreError, capital, read_bracket, written

__all__ = ["EreError", "translate"]

_GNU = {
    ord("w"): b"[0-9A-Za-z_]", ord("W"): b"[^0-9A-Za-z_]", ord("s"): b"[ \\t\\n\\v\\f\\r]", ord("S"): b"[^ \\t\\n\\v\\f\\r]",
}  # fmt: skip
_ANCHORS = {
    ord("<"): b"\\b(?=\\w)", ord(">"): b"\\b(?<=\\w)", ord("b"): b"\\b", ord("B"): b"\\B", ord("`"): b"\\A", ord("'"): b"\\z",
}  # fmt: skip
_MOST = 0x7FFF  # RE_DUP_MAX
_DEEPEST = 200  # groups within groups; PCRE2 takes 250


def translate(source: bytes, options: int) -> tuple[bytes, int]:
    """Return a PCRE2 pattern and its options. `options`: CASELESS, MULTILINE (REG_NEWLINE) and EXTENDED (REG_EXTENDED).

    Raises EreError with glibc's words.
    """
    caseless, newline = bool(options & pcre.CASELESS), bool(options & pcre.MULTILINE)
    reader = _Reader(source, extended=bool(options & pcre.EXTENDED), caseless=caseless, newline=newline)
    return reader.read(), (pcre.CASELESS if caseless else 0) | (0 if newline else pcre.DOTALL | pcre.DOLLAR_ENDONLY)


# Kinds of tokens
_CHARACTER, _OPEN, _CLOSE, _ALTERNATIVE, _REPEAT, _INTERVAL, _END_INTERVAL = range(7)
_PERIOD, _BRACKET, _ANCHOR, _CLASS, _REFERENCE, _END, _BACKSLASH = range(7, 14)


class _Reader:
    """Recursive descent, one method a level, as glibc's regcomp.c has them."""

    def __init__(self, source: bytes, *, extended: bool, caseless: bool, newline: bool) -> None:
        self._text = source
        self._at = 0
        self._extended, self._caseless, self._newline = extended, caseless, newline
        self._groups = 0
        self._complete: set[int] = set()
        self._kind, self._value = _END, b""
        self._start = b"(?:\\A|(?<=\\n))" if newline else b"^"
        self._end = b"(?=\\n|\\z)" if newline else b"$"

    def read(self) -> bytes:
        self._next(caret=True)
        return self._alternatives(0)

    def _alternatives(self, nest: int) -> bytes:
        branches = [self._branch(nest)]
        while self._kind == _ALTERNATIVE:
            self._next(caret=True)
            branches.append(self._branch(nest))
        return b"|".join(branches)

    def _branch(self, nest: int) -> bytes:
        pieces = []
        while self._kind not in (_ALTERNATIVE, _END) and not (nest and self._kind == _CLOSE):
            pieces.append(self._expression(nest))
        return b"".join(pieces)

    def _expression(self, nest: int) -> bytes:
        kind, value = self._kind, self._value
        if kind == _ANCHOR:
            self._next(caret=True)
            return value
        if kind == _OPEN:
            piece = self._group(nest)
        elif kind == _BRACKET:
            octets, self._at = read_bracket(self._text, self._at, caseless=self._caseless, newline=self._newline)
            piece = written(octets)
        elif kind == _REFERENCE:
            if int(value) not in self._complete:
                raise EreError("Invalid back reference")
            piece = b"\\g{%b}" % value
        elif kind in (_REPEAT, _INTERVAL) and (self._extended or kind == _INTERVAL):
            raise EreError("Invalid preceding regular expression")
        elif kind == _CLOSE and not self._extended:
            raise EreError("Unmatched ( or \\(")
        elif kind == _BACKSLASH:
            raise EreError("Trailing backslash")
        elif kind in (_PERIOD, _CLASS):
            piece = value
        else:  # a character, or what is one here
            piece = self._literal(value)
        self._next()
        return self._repeated(piece)

    def _literal(self, value: bytes) -> bytes:
        if len(value) == 2:  # a small letter after a backslash, compared with capitals
            return b"(?!)" if self._caseless and value[1:].islower() else written({value[1]})
        return written({capital(value[0]) if self._caseless else value[0]})

    def _group(self, nest: int) -> bytes:
        if nest >= _DEEPEST:
            raise EreError("Regular expression too big")
        self._groups += 1
        number = self._groups
        self._next(caret=True)
        inner = self._alternatives(nest + 1) if self._kind != _CLOSE else b""
        if self._kind != _CLOSE:
            raise EreError("Unmatched ( or \\(")
        self._complete.add(number)
        return b"(%b)" % inner

    def _repeated(self, piece: bytes) -> bytes:
        count = 0
        while self._kind in (_REPEAT, _INTERVAL):
            operator = self._value if self._kind == _REPEAT else self._bounds()
            piece = b"(?:%b)%b" % (piece, operator) if count or len(piece) > 2 else piece + operator
            count += 1
            self._next()
            if not self._extended and (self._kind == _INTERVAL or (self._kind, self._value) == (_REPEAT, b"*")):
                raise EreError("Invalid preceding regular expression")
            if count > _DEEPEST:
                raise EreError("Regular expression too big")
        return piece

    def _bounds(self) -> bytes:
        """Read what follows a { up to its }: n, n, or n,m or ,m."""
        closing = b"}" if self._extended else b"\\}"
        end = self._text.find(closing, self._at)
        if end < 0:
            raise EreError("Unmatched \\{")
        first, comma, last = self._text[self._at : end].partition(b",")
        self._at = end + len(closing)
        if not all(not each or each.isdigit() for each in (first, last)) or (not first and not comma):
            raise EreError("Invalid content of \\{\\}")
        low = int(first[:9] or b"0")
        high = (int(last[:9]) if last else None) if comma else low
        if high is not None and low > high:
            raise EreError("Invalid content of \\{\\}")
        if max(low, high or 0) > _MOST:
            raise EreError("Regular expression too big")
        return b"{%d,}" % low if high is None else b"{%d,%d}" % (low, high)

    def _next(self, caret: bool = False) -> None:
        """Take the next token. `caret`: a ^ here is an anchor in the basic flavour too."""
        if self._at >= len(self._text):
            self._kind, self._value = _END, b""
            return
        octet = self._text[self._at]
        if octet == 0x5C:
            self._escaped()
            return
        at, self._at = self._at, self._at + 1
        self._value = bytes([octet])
        self._kind = self._plain(octet, at, caret)

    def _plain(self, octet: int, at: int, caret: bool) -> int:
        kind = _SPECIAL.get(octet, _CHARACTER)
        if octet == 0x2A:  # * repeats in both flavours, but for the basic one's at a beginning
            return _REPEAT
        if octet == 0x2E:
            self._value = b"[^\\n]" if self._newline else b"."
        elif octet == 0x5E:
            if not self._extended and not caret and at:
                return _CHARACTER
            self._value = self._start
        elif octet == 0x24:
            if not self._extended and not self._ends(at + 1):
                return _CHARACTER
            self._value = self._end
        elif octet != 0x5B and not self._extended:
            return _CHARACTER
        return kind

    def _ends(self, at: int) -> bool:
        """True where a $ before `at` is an anchor of the basic flavour."""
        return at >= len(self._text) or self._text[at : at + 2] in (b"\\|", b"\\)")

    def _escaped(self) -> None:
        if self._at + 1 >= len(self._text):
            self._at, self._kind = len(self._text), _BACKSLASH
            return
        octet = self._text[self._at + 1]
        self._at += 2
        if octet in _GNU:
            self._kind, self._value = _CLASS, _GNU[octet]
        elif octet in _ANCHORS:
            self._kind, self._value = _ANCHOR, _ANCHORS[octet]
        elif 0x31 <= octet <= 0x39:
            self._kind, self._value = _REFERENCE, bytes([octet])
        elif not self._extended and octet in _BASIC:
            self._kind, self._value = _BASIC[octet], bytes([octet])
        else:
            self._kind, self._value = _CHARACTER, b"\\" + bytes([octet])


_SPECIAL = {
    ord("("): _OPEN, ord(")"): _CLOSE, ord("|"): _ALTERNATIVE, ord("+"): _REPEAT, ord("?"): _REPEAT, ord("{"): _INTERVAL,
    ord("}"): _END_INTERVAL, ord("."): _PERIOD, ord("["): _BRACKET, ord("^"): _ANCHOR, ord("$"): _ANCHOR,
}  # fmt: skip
_BASIC = {
    ord("("): _OPEN, ord(")"): _CLOSE, ord("|"): _ALTERNATIVE, ord("+"): _REPEAT, ord("?"): _REPEAT, ord("{"): _INTERVAL,
    ord("}"): _END_INTERVAL,
}  # fmt: skip
