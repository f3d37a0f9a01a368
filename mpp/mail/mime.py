"""The scan that finds the parts of a message (RFC 2046, 5.1): one pass, iterative, linear on every input.

Called by mpp.mail.message for whoever asks for parts. It only finds lines; what a header means is mpp.mail.content's to
say. Delimiters of all open multiparts are looked for at the same time, an outer one ends all within it. Nothing raises;
odd things are named in `defects`, limits that were hit in `exceeded`.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

from mpp.mail.content import Content, content_of
from mpp.mail.fields import header_end
from mpp.mail.part import Part
from mpp.mail.pieces import find

_CANDIDATE = re.compile(rb"\n(--[^ \t\r\n]*+(?:[ \t\r]++[^ \t\r\n][^ \t\r\n]*+)*+)")
_AFTER = re.compile(rb"(--)?[ \t]*+(?:\r?\n|\r?\Z)")
_PATIENCE = 100  # lines that only begin like the delimiter before its pattern is compiled


@dataclass(frozen=True, slots=True)
class Limits:
    """Up to where a message is read."""

    parts: int = 1000  # leaves and containers, nested messages' too
    depth: int = 50  # containers within containers
    encoded_depth: int = 4  # nested messages that are themselves encoded, which costs a decoded copy each
    delimiters: int = 50_000  # lines that look like a delimiter and are none, where several multiparts are open
    mendings: int = 1 << 16  # broken escapes, and padding of base64, that are mended as each program does it
    header_fields: int = 2000  # of one header
    header_size: int = 1 << 19  # octets of one header that are read


@dataclass(slots=True)
class Found:
    """What a scan says beside the parts."""

    parts: int = 0
    false_delimiters: int = 0
    near_delimiter: bool = False  # one of them begins like one
    defects: dict[str, None] = field(default_factory=dict)  # in order, each once
    exceeded: dict[str, None] = field(default_factory=dict)


class _Hit(NamedTuple):
    end: int  # of the content before it, the line break left out
    next: int  # where the line after it begins
    level: int  # index in the stack of open containers
    closing: bool


class _Open:
    """A container whose end has not been seen."""

    __slots__ = ("delimiter", "keys", "part", "prefix")

    def __init__(self, part: Part, prefix: str, delimiter: bytes) -> None:
        self.part = part
        self.prefix = prefix  # of the paths of its children
        self.delimiter = delimiter  # b"" for a message, and behind the closing delimiter
        self.keys: list[bytes] = []


def scan(raw: bytes, header: tuple[int, int], limits: Limits, found: Found) -> Part:
    """Find the parts of a whole message whose `header_end` is known. Encoded messages within are decoded and scanned too."""
    fields_end, body = header
    content = content_of(raw[:fields_end])
    if "header-size" in found.exceeded or not (content.multipart or content.message):  # one part, as most mail
        found.parts = 1
        return Part(raw, "1", 0, fields_end, body, content)
    root, waiting = _Scan(raw, limits, found, "", 0, 0).run()
    depth = 0
    while waiting:
        if depth == limits.encoded_depth:
            found.exceeded["depth"] = None
            break
        depth += 1
        inner: list[tuple[Part, int]] = []
        for part, level in waiting:
            if found.parts >= limits.parts:
                found.exceeded["parts"] = None
                break
            child, more = _Scan(part.decode(), limits, found, part.path, 0, level + 1).run()
            for below in child.walk():
                below.nested = True
            part.children.append(child)
            inner += more
        waiting = inner
    return root


class _Scan:
    def __init__(self, raw: bytes, limits: Limits, found: Found, prefix: str, start: int, depth: int) -> None:
        self._raw = raw
        self._limits = limits
        self._found = found
        self._prefix = prefix
        self._start = start
        self._depth = depth  # containers around these octets
        self._stack: list[_Open] = []
        self._delimiters: dict[bytes, tuple[int, bool]] = {}  # line -> level, closing
        self._beginnings: list[bytes] | None = None  # of the delimiters, sorted, none of another; None: to be made
        self._blank = (-1, -1)  # the last header's end, good for every start before it
        self._encoded: list[tuple[Part, int]] = []
        self._bodies: list[Part] = []  # multiparts that are the body of a whole message

    def run(self) -> tuple[Part, list[tuple[Part, int]]]:
        root, leaf, hit, position = self._open(self._start, self._prefix, True, "text/plain")
        while True:
            if hit is None and self._delimiters:
                hit = self._next(position, len(self._raw))
            if hit is None:
                break
            if leaf is not None:
                leaf.end = max(min(leaf.end, hit.end), leaf.body)
            self._close(hit)
            if hit.closing:
                position, hit = hit.next, None
                continue
            if self._found.parts >= self._limits.parts:
                self._found.exceeded["parts"] = None
                break
            opened = self._stack[hit.level]
            path = _below(opened.prefix, len(opened.part.children) + 1)
            default = "message/rfc822" if opened.part.type == "multipart/digest" else "text/plain"
            part, leaf, hit, position = self._open(hit.next, path, False, default)
            opened.part.children.append(part)
        self._finish()
        return root, self._encoded

    def _open(self, start: int, path: str, whole: bool, default: str) -> tuple[Part, Part | None, _Hit | None, int]:
        """Read the header at `start`; descend where the body is a message. Returns the part, the innermost part
        (None where that is a container, which the stack knows), and the delimiter that cut its header off, or else where
        to look for one."""
        raw, outer = self._raw, None
        while True:
            self._found.parts += 1
            fields_end, body, hit = self._header(start)
            header = raw[start : min(fields_end, start + self._limits.header_size)]
            if fields_end - start > self._limits.header_size:
                self._found.exceeded["header-size"] = None
            content = content_of(header, default)
            if whole and not content.multipart:
                path = _below(path, 1)
            part = Part(raw, path, start, fields_end, body, content)
            if whole and content.multipart:
                self._bodies.append(part)
            if outer is None:
                first = part
            else:
                outer.children.append(part)
            deep = self._depth + len(self._stack) >= self._limits.depth
            if deep and (content.multipart or content.message):
                self._found.exceeded["depth"] = None
            elif hit is None and content.multipart:
                return first, None if self._push(part, path, content) else part, None, body
            elif hit is None and content.message:
                if content.encoding in ("base64", "quoted-printable"):
                    self._encoded.append((part, self._depth + len(self._stack)))
                elif self._found.parts >= self._limits.parts:
                    self._found.exceeded["parts"] = None
                else:
                    self._stack.append(_Open(part, path, b""))
                    start, whole, default, outer = body, True, "text/plain", part
                    continue
            return first, part, hit, body

    def _header(self, start: int) -> tuple[int, int, _Hit | None]:
        raw = self._raw
        if raw.startswith((b"\n", b"\r\n"), start) or start >= self._blank[0]:
            fields_end, body = header_end(raw, start, len(raw))
            if fields_end > start:
                self._blank = fields_end, body
        else:
            fields_end, body = self._blank
        if self._delimiters and fields_end > start and raw.find(b"\n--", max(start - 1, 0), fields_end) >= 0:
            hit = self._next(start, fields_end)
        else:
            hit = None
        if hit is None:
            return fields_end, body, None
        self._found.defects["header-without-end"] = None
        return max(hit.end, start), max(hit.end, start), hit

    def _push(self, part: Part, path: str, content: Content) -> bool:
        if not content.boundary:
            self._found.defects["no-boundary"] = None
            return False
        opened = _Open(part, path, b"--" + content.boundary)
        for line, closing in ((opened.delimiter, False), (opened.delimiter + b"--", True)):
            if line not in self._delimiters:
                self._delimiters[line] = len(self._stack), closing
                opened.keys.append(line)
        self._beginnings = None
        self._stack.append(opened)
        return True

    def _close(self, hit: _Hit) -> None:
        keep = hit.level + 1
        while len(self._stack) > keep:
            opened = self._stack.pop()
            opened.part.end = max(min(opened.part.end, hit.end), opened.part.body)
            self._forget(opened)
            if opened.delimiter:
                self._found.defects["not-closed"] = None
        if hit.closing:
            self._forget(self._stack[hit.level])
            self._stack[hit.level].delimiter = b""

    def _forget(self, opened: _Open) -> None:
        for line in opened.keys:
            del self._delimiters[line]
        self._beginnings = None
        opened.keys.clear()

    def _finish(self) -> None:
        if any(opened.delimiter for opened in self._stack):
            self._found.defects["not-closed"] = None
        for part in self._bodies:
            if not part.children:  # nothing in it was found: it is the message's one part
                part.path = _below(part.path, 1)
                self._found.defects["no-parts"] = None

    def _next(self, start: int, end: int) -> _Hit | None:
        """Find the next delimiter whose line begins in [start, end)."""
        if len(self._stack) == 1 and len(self._delimiters) == 2:
            return self._next_of_one(start, end)
        delimiters, raw, found = self._delimiters, self._raw, self._found
        position = max(start - 1, 0)
        while (position := find(raw, b"\n--", position, end)) >= 0:
            match = _CANDIDATE.match(raw, position, end)
            assert match is not None  # it begins with what was found
            known = delimiters.get(match[1])
            if known is not None:
                return self._hit(match.start(), match.end(), *known)
            position = match.end()
            found.near_delimiter = found.near_delimiter or self._begins_like_one(match[1])
            found.false_delimiters += 1
            if found.false_delimiters > self._limits.delimiters:
                found.exceeded["delimiters"] = None
                break
        return None

    def _begins_like_one(self, line: bytes) -> bool:
        """True where the line begins with a delimiter. Where none begins another, only the last one before it in order can."""
        if self._beginnings is None:
            self._beginnings = []
            for each in sorted(self._delimiters):
                if not (self._beginnings and each.startswith(self._beginnings[-1])):
                    self._beginnings.append(each)
        place = bisect_right(self._beginnings, line)
        return place > 0 and line.startswith(self._beginnings[place - 1])

    def _next_of_one(self, start: int, end: int) -> _Hit | None:
        raw, needle = self._raw, b"\n" + self._stack[0].delimiter
        position = max(start - 1, 0)
        for _ in range(_PATIENCE):
            position = find(raw, needle, position, end)
            if position < 0:
                return None
            after = position + len(needle)
            match = _AFTER.match(raw, after)
            if match is not None:
                return self._hit(position, after, 0, match[1] is not None)
            position = after
            self._found.near_delimiter = True
        pattern = re.compile(re.escape(needle) + rb"(--)?[ \t]*+(?=\r?\n|\r?\Z)")
        match = pattern.search(raw, position, end)
        return None if match is None else self._hit(match.start(), match.end(), 0, match[1] is not None)

    def _hit(self, line_break: int, after: int, level: int, closing: bool) -> _Hit:
        raw = self._raw
        following = raw.find(b"\n", after)
        before = line_break - 1 if line_break and raw[line_break - 1] == 13 else line_break
        return _Hit(before, len(raw) if following < 0 else following + 1, level, closing)


def _below(path: str, number: int) -> str:
    return f"{path}.{number}" if path else str(number)
