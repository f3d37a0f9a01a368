"""The values of an inspection: a file to look at, what is said of it, and up to where one looks. For all of this package."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Flag(StrEnum):
    """What can be said of a file (design section 8). The last words of each are what a person is told."""

    ENCRYPTED = "encrypted"  # it, or a member of it, opens only with a password
    MACRO = "macro"  # a document with VBA or Excel 4 macros
    EXECUTABLE = "executable"  # a program by content or name
    SCRIPT = "script"  # text that a system runs, by content or name
    BOMB = "bomb"  # it grows beyond the limits when it is opened
    UNSAFE_NAME = "unsafe-name"  # traversal, absolute, link, hidden or doubled end, over-long
    MISMATCH = "mismatch"  # the name's end says another type than the content
    DAMAGED = "damaged"  # an archive or document that cannot be opened: not checkable
    UNCHECKED = "unchecked"  # beside damaged: the inspection broke off, or there is nothing here that opens such a file
    ACTIVE = "active"  # script, launch, embedded files or remote content within a document


@dataclass(slots=True)
class File:
    """A file to be inspected: a MIME part, or a file by itself."""

    path: str
    name: str
    declared: str
    data: bytes
    other_name: str = ""  # where its header tells two: programs differ in which they go by
    depth: int = 0  # attached mails around it
    apart: bool = False  # a mail whose own files are given beside it
    flags: frozenset[Flag] = frozenset()  # what is known of it before it is looked into


@dataclass(slots=True)
class Member:
    """A file found within another one. `data` is empty where it could not be read; `flags` say why."""

    name: str
    data: bytes = b""
    flags: set[Flag] = field(default_factory=set)
    readable: bool = True
    other_name: str = ""  # these three as those of a File
    depth: int = 0
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """What is said of one file. `path`: the MIME part, then the names inside containers, joined by "/"; to be shown, for a name
    may hold slashes and may come twice. Where a file lies is told by the order, containers before what they hold, and `depth`.
    """

    path: str
    name: str
    declared: str  # type that the mail declares, "" inside containers
    type: str  # by content
    size: int  # octets
    sha256: str
    flags: frozenset[Flag]
    depth: int = 0  # files around it
    other_name: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Up to where containers are opened."""

    octets: int = 100 << 20  # unpacked, of one attached file
    entries: int = 10_000  # members, of one inspection
    ratio: int = 100  # unpacked to packed, of one container, above `ratio_from`
    ratio_from: int = 5 << 20  # octets
    depth: int = 8  # containers within containers
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a program of others made of an archive."""

    listing: bytes
    content: bytes  # of all members, one behind the other
    whole: bool  # it found no fault
    over: bool  # it was ended, since there was more than may come of it


Unpack = Callable[[bytes, str, int], Unpacked | None]  # archive, password, most octets; None: there is no such program


@dataclass(frozen=True, slots=True)
class Means:
    """What an inspection has beside the files."""

    passwords: Sequence[str] = ()
    unpack: Unpack = lambda data, password, most: None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A document without its macros, and the type and the end of its name that go with that."""

    data: bytes
    type: str
    suffix: str  # ".docx"


class BombError(Exception):
    """A container grows beyond the limits."""


class UnreadableError(Exception):
    """A container cannot be opened or not to its end. `flags` say what is known of it all the same."""

    def __init__(self, cause: str, flags: Iterable[Flag] = ()) -> None:
        super().__init__(cause)
        self.flags = frozenset(flags)
