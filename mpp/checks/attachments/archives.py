"""Archives opened by libarchive: members with their names, contents, links and encryption.

Called by mpp.checks.attachments.containers, in the confined process. libarchive reads zip, 7z, rar, tar, cpio, ar, lha,
cab, iso, xar, rpm and warc.
"""

import ctypes
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import libarchive
import libarchive.ffi
from libarchive.exception import ArchiveError

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import BombError, Flag, Member, UnreadableError
from mpp.checks.attachments.names import escapes

_is_encrypted = libarchive.ffi.libarchive.archive_entry_is_encrypted
_is_encrypted.argtypes = [libarchive.ffi.c_archive_entry_p]
_holes = libarchive.ffi.libarchive.archive_entry_sparse_count
_holes.argtypes = [libarchive.ffi.c_archive_entry_p]
logging.getLogger("libarchive").disabled = True  # its warnings quote the file: no outside text goes to a log
_TRIED = 3  # encrypted members for which a password is looked for
_SAYS_UNKNOWN = ("unsupported", "not supported", "unknown", "unrecognized")
_SAYS_ENCRYPTED = ("encrypt", "passphrase", "password")


def members(data: bytes, meter: Meter, passwords: Sequence[str] = ()) -> Iterator[Member]:
    """Yield the members of an archive in any format. Raises UnreadableError where it ends early, and BombError.

    Where a member is encrypted, a password that opens it is looked for, and the rest is read with it.
    """
    tried = 0
    for place, member in enumerate(_read(data, meter)):
        if Flag.ENCRYPTED in member.flags and not member.readable and passwords and tried < _TRIED:
            tried += 1
            for password in passwords:
                if _opens(data, place, password, meter):
                    yield from _read(data, meter, password, place)
                    return
        yield member


def _read(data: bytes, meter: Meter, password: str = "", first: int = 0) -> Iterator[Member]:
    """Yield the members from the first wanted on, those before it unread."""
    try:
        with _reader(data, password) as archive:
            for entry in islice(archive, first, None):
                meter.budget.entry()
                member, bomb = _member(entry, meter)
                if Flag.ENCRYPTED in member.flags and not member.data:
                    member.readable = False
                yield member
                if bomb:
                    raise bomb
    except (ArchiveError, UnicodeError) as error:
        raise UnreadableError(str(error), _flags_of(error)) from error


def _reader(data: bytes, password: str) -> Any:
    more = {"passphrase": password} if password else {}
    return libarchive.memory_reader(data, filter_name=_filter(data), **more)


def _opens(data: bytes, place: int, password: str, meter: Meter) -> bool:
    """True where the password opens that member, to its end: a wrong one opens the beginning of one zip in 256."""
    meter.budget.in_time()
    left = meter.left()
    try:
        with _reader(data, password) as archive:
            for entry in islice(archive, place, None):
                for block in _blocks(entry._archive_p):
                    left -= len(block)
                    if left < 0:
                        return False
                return True
    except (ArchiveError, UnicodeError, ValueError):
        pass  # it does not fit
    return False


def _member(entry: Any, meter: Meter) -> tuple[Member, BombError | None]:
    """Return a member, and what has to be raised behind it: of one that grows too much its name and its beginning tell what it is."""
    name = entry.pathname or ""
    member = Member(name if isinstance(name, str) else name.decode("utf-8", "replace"))
    if entry.issym or entry.isdev or (entry.islnk and escapes(entry.linkname or "")):
        member.flags.add(Flag.UNSAFE_NAME)
    if _is_encrypted(entry._entry_p) > 0:
        member.flags.add(Flag.ENCRYPTED)
    if not entry.isfile:
        return member, None
    pieces: list[bytes] = []
    bomb: BombError | None = None
    try:
        if entry.size and not _holes(entry._entry_p):
            meter.announced(entry.size)
        for block in _blocks(entry._archive_p):
            meter.take(len(block))
            pieces.append(block)
    except (ArchiveError, UnicodeError) as error:
        member.readable = False
        member.flags |= _flags_of(error) or {Flag.DAMAGED}
    except BombError as error:
        bomb = error
        member.flags.add(Flag.BOMB)
        with suppress(ArchiveError, UnicodeError):
            pieces = pieces or list(islice(_blocks(entry._archive_p), 1))
    member.data = b"".join(pieces)
    return member, bomb


def _blocks(archive: Any) -> Iterator[bytes]:
    """Yield what is there of a member; holes of sparse files are left out."""
    buffer, size, offset = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_longlong()
    while libarchive.ffi.read_data_block(archive, ctypes.byref(buffer), ctypes.byref(size), ctypes.byref(offset)) == 0:
        yield ctypes.string_at(buffer, size.value)


def _filter(data: bytes) -> str:
    """Only what belongs to a format itself: with all filters a file that unpacks to itself is never done with."""
    return "rpm" if data.startswith(b"\xed\xab\xee\xdb") else "none"


def _flags_of(error: Exception) -> set[Flag]:
    said = str(error).lower()
    if any(word in said for word in _SAYS_ENCRYPTED):
        return {Flag.ENCRYPTED}
    return {Flag.DAMAGED, Flag.UNCHECKED} if any(word in said for word in _SAYS_UNKNOWN) else set()
