"""Revisions: settings as numbered values that never change, with who made them, when and why (design section 6). Pure.

What a node needs to start (its folder, catalog, keys, listeners: BOOTSTRAP) stands in its file and in no revision. The rest is
the revision's. A file that says something new makes a revision; where file and catalog have both moved on, neither wins by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Any, TypeVar

from mpp.mail.escape import printable
from mpp.settings.effective import effective
from mpp.settings.model import Section
from mpp.settings.problem import Lines, Path, dotted, line_of
from mpp.settings.write import toml_value, write

S = TypeVar("S", bound=Section)

BOOTSTRAP: tuple[Path, ...] = (
    ("node",),
    ("listeners",),
    ("store", "catalog"),
    ("store", "catalog_password"),
    ("store", "master_key"),
)


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a tenant's settings."""

    number: int
    at_ms: int
    who: str
    why: str
    body: str  # TOML, without what is in BOOTSTRAP
    file: bytes  # digest of what the settings file said when it was last taken

    @property
    def name(self) -> str:
        return f"revision {self.number}"


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs; None where one side has no such key."""

    path: Path
    old: Any
    new: Any
    line: int | None = None  # of the new file

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {_shown(self.old)} -> {_shown(self.new)}"


class Standing(Enum):
    """How a settings file and the newest revision stand to each other."""

    SAME = "same"
    FIRST = "first"  # there is no revision yet: the file makes the first one
    FILE = "file"  # only the file has moved on: it makes a new one
    CATALOG = "catalog"  # only the catalog has moved on: its revision holds
    BOTH = "both"  # refused


def standing(body: str, newest: Revision | None) -> Standing:
    """Say who has moved on since they were last alike; `body` is what the file says."""
    if newest is None:
        return Standing.FIRST
    if body == newest.body:
        return Standing.SAME
    if digest(body) == newest.file:
        return Standing.CATALOG
    return Standing.FILE if digest(newest.body) == newest.file else Standing.BOTH


def body_of(settings: Section) -> str:
    """Return what a revision keeps of a settings value: TOML, only what differs from the defaults."""
    return write(_with(settings, type(settings).model_construct()))


def merged(bootstrap: S, revision: S) -> S:
    """Return the revision's settings with the start's own of a node."""
    return _with(revision, bootstrap)


def digest(body: str) -> bytes:
    return sha256(body.encode()).digest()


def differences(old: Section, new: Section, lines: Lines | None = None) -> list[Change]:
    """Return each key that differs, in the model's order, what is gone at the end. BOOTSTRAP is left out."""
    before, after = dict(_revisable(old)), dict(_revisable(new))
    changes = [
        Change(path, before.get(path), value, line_of(path, lines) if lines else None)
        for path, value in after.items()
        if path not in before or before[path] != value
    ]
    return changes + [Change(path, value, None) for path, value in before.items() if path not in after]


def _revisable(settings: Section) -> Iterator[tuple[Path, Any]]:
    return (
        (path, value)
        for path, value in effective(settings)
        if not any(path[: len(start)] == start for start in BOOTSTRAP)
    )


def _with(settings: S, start: Section) -> S:
    """Return `settings` with the BOOTSTRAP of `start`."""
    update: dict[str, Any] = {}
    for section, *key in BOOTSTRAP:
        name = str(section)
        if not key:
            update[name] = getattr(start, name)
        else:
            inner = update.get(name, getattr(settings, name))
            update[name] = inner.model_copy(update={str(key[0]): getattr(getattr(start, name), str(key[0]))})
    return settings.model_copy(update=update)


def _shown(value: Any) -> str:
    return "(not set)" if value is None else printable(toml_value(value), 200)
