"""Finds the line of every key, table and list item of a TOML text (TOML 1.0), which tomllib does not tell.

Called by mpp.settings.read with text that tomllib has accepted already, so nothing is judged here; for any other text
the answer is undefined but comes in linear time, with RecursionError or ValueError at worst.
"""

import re
import tomllib
from bisect import bisect_right

from mpp.settings.problem import Path

_SPACE = re.compile(r"[ \t]*")
_GAP = re.compile(r"[ \t\r\n]*+(?:#[^\n]*+[ \t\r\n]*+)*+")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\r\n]+")
_STRING = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']++|'(?!''))*'{3,5}"
    r'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
    r"|'[^'\n]*+'",
    re.DOTALL,
)


def positions(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every key, table and list item: of its name, or of the item's first character."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._found: dict[Path, int] = {}
        self._items: dict[Path, int] = {}  # how many items a list of tables has so far

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._peek():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._found

    def _line(self) -> int:
        return bisect_right(self._newlines, self._at - 1) + 1

    def _peek(self) -> str:
        """Skip white space, line ends and comments; return the next character, "" at the end."""
        match = _GAP.match(self._text, self._at)
        assert match is not None  # it matches the empty text too
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _header(self) -> Path:
        """[table] or [[table]]: return its path, with the number of the item in a list."""
        line = self._line()
        is_list = self._text.startswith("[[", self._at)
        self._at += 2 if is_list else 1
        parts = self._key()
        self._at += 2 if is_list else 1
        path: Path = ()
        for number, part in enumerate(parts, 1):
            path = (*path, part)
            self._found.setdefault(path, line)
            if is_list and number == len(parts):
                self._items[path] = self._items.get(path, 0) + 1
            if path in self._items:
                path = (*path, self._items[path] - 1)
                self._found.setdefault(path, line)
        return path

    def _pair(self, table: Path) -> None:
        """key = value, dotted or not."""
        line = self._line()
        path = table
        for part in self._key():
            path = (*path, part)
            self._found.setdefault(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._at = _end(_SPACE, self._text, self._at)
            if self._text[self._at] in "\"'":
                end = _end(_STRING, self._text, self._at)
                parts.append(str(tomllib.loads("key = " + self._text[self._at : end])["key"]))
            else:
                end = _end(_BARE, self._text, self._at)
                parts.append(self._text[self._at : end])
            self._at = _end(_SPACE, self._text, end)
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _value(self, path: Path) -> None:
        first = self._peek()
        if first == "[":
            self._list(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._at = _end(_STRING if first in "\"'" else _SCALAR, self._text, self._at)

    def _list(self, path: Path) -> None:
        self._at += 1
        number = 0
        while self._peek() != "]":
            self._found[(*path, number)] = self._line()
            self._value((*path, number))
            number += 1
            if self._peek() == ",":
                self._at += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._peek() != "}":
            self._pair(path)
            if self._peek() == ",":
                self._at += 1
        self._at += 1


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    if match is None:
        raise ValueError(f"no TOML at character {at}")
    return match.end()
