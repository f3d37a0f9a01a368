"""Reads a message as another program does (mpp.mail.dialects.dialect): the same tree of parts, by that program's rules.

For mpp.mail.readings. Recursive as those programs are, within the limits of the scan: parts, depth, false delimiters. Nothing
raises; what is beyond a limit stays one part and is named in `exceeded`.
"""

from typing import NamedTuple

from mpp.mail.content import Content
from mpp.mail.dialects.dialect import MAX_HEADER, Dialect, Head
from mpp.mail.mime import Limits
from mpp.mail.part import Part

_VOID = Content("text/plain", {}, "", "", None, b"")


class _Hit(NamedTuple):
    """A delimiter line."""

    start: int
    next: int  # where the line after it begins
    level: int  # of the open multiparts, outermost 0
    closing: bool


def read(raw: bytes, dialect: Dialect, limits: Limits, exceeded: set[str]) -> Part | None:
    """Return the outermost part, or None where the program would refuse the message."""
    return _Reader(raw, dialect, limits, exceeded).entity(0, "", "text/plain", whole=True)


class _Reader:
    def __init__(self, raw: bytes, dialect: Dialect, limits: Limits, exceeded: set[str]) -> None:
        self._raw = raw
        self._dialect = dialect
        self._limits = limits
        self._exceeded = exceeded
        self._open: list[bytes] = []  # boundaries
        self._hit: _Hit | None = None  # the delimiter that ended what was read last; None: the octets ended
        self._parts = 0
        self._false = 0
        self._depth = 0

    def entity(self, start: int, path: str, default: str, *, whole: bool) -> Part | None:
        """Read header and body at `start` to the next delimiter, which stands in `_hit` then. None: there is no part."""
        dialect = self._dialect
        self._parts += 1
        found = self._header(start, top=whole and not path, whole=whole)
        if found is None:
            return None
        head, void = found
        content = _VOID if void else dialect.content(head.fields, default)
        split = not void and dialect.is_multipart(content)
        path_of_it = _below(path, 1) if whole and not split else path
        part = Part(self._raw, path_of_it, start, head.end, head.body, content)
        part.decoder = dialect.decoder(content)
        self._body(part, path, split=split)
        return part

    def _header(self, start: int, *, top: bool, whole: bool) -> tuple[Head, bool] | None:
        """Read a header, and say whether a delimiter that cuts it off leaves a void part; None: no part at all."""
        dialect = self._dialect
        hit = self._hit = self._next(start)
        stop = hit.start if hit else len(self._raw)
        head = dialect.head(self._raw, start, min(stop, start + MAX_HEADER), top=top)
        if head is None or hit is None or head.body < stop or head.end < head.body or dialect.cut_header == "no body":
            return head and (head, False)
        if dialect.cut_header == "no part":
            return None if not head.fields and (not whole or start == stop) else (head, False)
        if not hit.closing and hit.level == len(self._open) - 1:
            return head, True
        return Head(head.fields, head.end, hit.next), False  # the program passes over the delimiter

    def _body(self, part: Part, path: str, *, split: bool) -> None:
        """Read on from the header of `part`; where it is divided, read what is in it."""
        if split and not self._full():
            self._multipart(part, path)
            return
        if self._dialect.is_message(part.content) and not self._full():
            self._depth += 1
            inner = self.entity(part.body, part.path, "text/plain", whole=True)
            self._depth -= 1
            if inner is not None:
                part.children.append(inner)
        elif self._hit is not None and self._hit.start < part.body:
            self._hit = self._next(part.body)
        part.end = self._end(part.body)

    def _full(self) -> bool:
        """True where nothing more may be divided."""
        if self._depth >= self._limits.depth:
            self._exceeded.add("depth")
        elif self._parts >= self._limits.parts:
            self._exceeded.add("parts")
        else:
            return False
        return True

    def _multipart(self, part: Part, path: str) -> None:
        dialect, level = self._dialect, len(self._open)
        self._open.append(dialect.boundary(self._raw, part.body, part.content, self._open))
        self._depth += 1
        self._hit = self._next(part.body, outer_first=dialect.outer_first)
        preamble = self._end(part.body)
        self._parts_of(part, path, level)
        self._open.pop()
        self._depth -= 1
        if self._hit is not None and self._hit.level == level:  # what follows its end belongs to nothing
            self._hit = self._next(self._hit.next)
        if part.children:
            part.end = self._end(part.body)
        else:
            part.end = part.body if dialect.childless == "empty" else preamble

    def _parts_of(self, part: Part, path: str, level: int) -> None:
        dialect = self._dialect
        default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
        while (hit := self._hit) is not None and hit.level == level and not hit.closing and not self._full():
            start = self._behind_repeated(hit) if dialect.repeated else hit.next
            if start >= len(self._raw) and dialect.last_needs_octets:
                self._hit = None
                return
            child = self.entity(start, _below(path, len(part.children) + 1), default, whole=False)
            if child is not None:
                part.children.append(child)

    def _behind_repeated(self, hit: _Hit) -> int:
        """Return where the part begins before which delimiter lines stand one behind the other."""
        while True:
            match = self._dialect.line.match(self._raw, hit.next)
            again = self._judge(match[0], hit.next, match.end(), outer_first=True) if match else None
            if again is None or again.level != hit.level:
                return hit.next
            hit = again

    def _end(self, start: int) -> int:
        """Return where the octets end that `_hit` ended, their last line break left out."""
        if self._hit is None:
            return len(self._raw)
        end = self._hit.start
        if self._dialect.break_as_delimiter:
            lost = 2 if self._raw.endswith(b"\r\n", 0, self._hit.next) else 1
            return max(end - lost, start)
        if end > start and self._raw[end - 1] == 10:
            end -= 1
        if end > start and self._raw[end - 1] == 13:
            end -= 1
        return max(end, start)

    def _next(self, start: int, *, outer_first: bool = False) -> _Hit | None:
        """Find the next delimiter whose line begins at `start` or later."""
        if not self._open:
            return None
        raw, ends = self._raw, self._dialect.line_ends
        for match in self._dialect.line.finditer(raw, start):
            at = match.start()
            if at > start and raw[at - 1] not in ends:
                continue
            hit = self._judge(match[0], at, match.end(), outer_first=outer_first)
            if hit is not None:
                return hit
            self._false += 1
            if self._false > self._limits.delimiters:
                self._exceeded.add("delimiters")
                break
        return None

    def _judge(self, line: bytes, start: int, end: int, *, outer_first: bool) -> _Hit | None:
        """Return the delimiter that the line is; the innermost multipart is asked first, and last where `outer_first`."""
        raw, dialect, own = self._raw, self._dialect, len(self._open) - 1
        inwards = range(own, -1, -1)
        order = (*inwards[1:], own) if outer_first else inwards[:1] if dialect.innermost else inwards
        for level in order:
            closing = dialect.delimiter(line, self._open[level])
            if closing is not None:
                after = end + (2 if raw.startswith(b"\r\n", end) else 1 if end < len(raw) else 0)
                return _Hit(start, after, level, closing)
        return None


def _below(path: str, number: int) -> str:
    return f"{path}.{number}" if path else str(number)
