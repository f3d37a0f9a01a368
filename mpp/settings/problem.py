"""What is wrong with a settings file: one line for each fault, with its place and its cure.

Made by mpp.settings.read and by the rules of the gateway; shown at start, at reload, by `mpp settings check` and
`mpp check`. Paths are escaped here, values of the file by those who put them into a text.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mpp.mail.escape import printable

Path = tuple[str | int, ...]
"""Way to a value from the top of the file: ("listeners", 0, "address"). Numbers count the items of a list from 0."""

Severity = Literal["error", "warning", "note"]
Lines = Mapping[Path, int]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `path` names the value, not where it stands in the text: a default can be at fault too."""

    path: Path
    what: str  # what is wrong and why, as it follows the key: "is above mark_above (6.2), so it never holds"
    cure: str  # what to write instead, an instruction: "write a lower number"; "" for a note, which is no fault
    severity: Severity = "error"

    @property
    def text(self) -> str:
        """One line without its place; it names the key unless the fault is the whole file's."""
        told = f"{self.what}; {self.cure}" if self.cure else self.what
        key = dotted(self.path)
        return f"{key} {told}" if key else told


_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")

Rule = Callable[[Any], Iterable[Problem]]
"""Looks at a whole settings value for what contradicts itself or can never hold. Pure."""


class SettingsError(ValueError):
    """The settings cannot be taken. `str()` is all the lines, sorted by their place."""

    def __init__(self, lines: Iterable[str], problems: Iterable[Problem] = (), at: Lines | None = None) -> None:
        self.lines = tuple(lines)
        self.problems = tuple(problems)
        self.at = at or {}  # lines of the keys that the file has
        super().__init__("\n".join(self.lines))


def dotted(path: Path) -> str:
    """Return a path as people write it: listeners[2].address, the items of a list counted from 1. It is escaped."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
            continue
        key = part if _BARE.fullmatch(part) else f'"{printable(part, 60)}"'
        text += f".{key}" if text else key
    return text


def line_of(path: Path, lines: Lines) -> int:
    """Return the line of a value, of the table around it where the value is a default, and 1 for the whole file."""
    for length in range(len(path), 0, -1):
        line = lines.get(path[:length])
        if line is not None:
            return line
    return 1


def report(problems: Iterable[Problem], name: str, lines: Lines) -> list[str]:
    """Return `name:line: text` for each problem, sorted by line; a warning says that it is one."""
    placed = sorted(((line_of(problem.path, lines), problem) for problem in problems), key=lambda each: each[0])
    marks = {"error": "", "warning": "warning: ", "note": "note: "}
    return [f"{name}:{line}: {marks[problem.severity]}{problem.text}" for line, problem in placed]
