"""Compressed single files, unpacked piece by piece: gzip, bzip2, xz, lzma and zstd by the standard library and zstandard,
rarer methods by libarchive.

libarchive is not asked for the usual ones: it unpacks what it has unpacked as long as it finds the same method again, and is
never done with a file that unpacks to itself.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

import libarchive
import zstandard
from libarchive.exception import ArchiveError

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import BombError, Flag, Member, UnreadableError

_PIECE = 1 << 20
_STEP = 1 << 12  # octets; so little that what comes of it stays within a few MiB
_WINDOW = 1 << 27  # octets that a method may keep in memory; its usual packers need half of that at most
_BY_LIBARCHIVE = {
    "application/x-compress": "compress",
    "application/x-lzip": "lzip",
    "application/x-lz4": "lz4",
    "text/x-uuencode": "uu",
}
_TAR_ENDS = ("tgz", "tbz", "tbz2", "txz", "tzst", "taz", "tlz")


class _Unpacker(Protocol):
    @property
    def unused_data(self) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, /) -> bytes: ...


_MAKERS: dict[str, Callable[[], _Unpacker]] = {
    "application/gzip": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    "application/x-bzip2": bz2.BZ2Decompressor,
    "application/x-xz": lambda: lzma.LZMADecompressor(memlimit=_WINDOW),
    "application/x-lzma": lambda: lzma.LZMADecompressor(memlimit=_WINDOW),
    "application/zstd": lambda: zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj(),
}
KINDS = frozenset(_MAKERS) | frozenset(_BY_LIBARCHIVE)
_BROKEN = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError)


def decompressed(data: bytes, name: str, kind: str, meter: Meter) -> Iterator[Member]:
    """Yield the one file within, named as the file without its last end. Raises UnreadableError and BombError.

    Where it breaks off or grows too much, what came before is yielded first.
    """
    pieces: list[bytes] = []
    unpack = _streams(data, kind) if kind in _MAKERS else _by_libarchive(data, kind)
    broken = ""
    meter.budget.entry()
    try:
        for piece in unpack:
            meter.take(len(piece))
            pieces.append(piece)
    except (*_BROKEN, ArchiveError) as error:
        broken = str(error) or type(error).__name__
    except BombError:
        yield Member(inner_name(name), b"".join(pieces), {Flag.BOMB})
        raise
    if pieces or not broken:
        yield Member(inner_name(name), b"".join(pieces))
    if broken:
        raise UnreadableError(broken)


def _streams(data: bytes, kind: str) -> Iterator[bytes]:
    """Yield what all streams of the file hold, one behind the other; octets behind the last are padding."""
    rest = memoryview(data)
    first = True
    while rest and (first or bytes(rest[:2]) in (b"\x1f\x8b", b"BZ", b"\xfd7", b"\x28\xb5")):
        unpacker, first = _MAKERS[kind](), False
        for start in range(0, len(rest), _STEP):
            piece = bytes(rest[start : start + _STEP])
            try:
                yield unpacker.decompress(piece)
            except zlib.error:  # it keeps back what came before the fault, as a wrong sum at the end
                yield _before_the_fault(bytes(rest), start)
                raise
            if unpacker.eof:
                rest = rest[start + len(piece) - len(unpacker.unused_data) :]
                break
        else:
            raise EOFError("breaks off")


def _before_the_fault(data: bytes, start: int) -> bytes:
    """Return what the octets of a gzip file from `start` on unpack to, up to the first that is wrong."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    unpacker.decompress(data[:start])
    found = bytearray()
    with suppress(zlib.error):  # here it is
        for at in range(start, start + _STEP):
            found += unpacker.decompress(data[at : at + 1])
    return bytes(found)


def inflated(stream: bytes, meter: Meter) -> tuple[bytes, bool]:
    """Return what a zlib stream within a file unpacks to, and whether that is all of it. Raises BombError."""
    unpacker, pieces = zlib.decompressobj(), []
    try:
        for start in range(0, len(stream), _STEP):
            pieces.append(unpacker.decompress(stream[start : start + _STEP]))
            meter.take(len(pieces[-1]))
    except zlib.error:
        return b"".join(pieces), False
    return b"".join(pieces), unpacker.eof


def _by_libarchive(data: bytes, kind: str) -> Iterator[bytes]:
    with libarchive.memory_reader(data, format_name="raw", filter_name=_BY_LIBARCHIVE[kind]) as archive:
        if not archive.filter_names:
            raise UnreadableError(f"not {kind}")
        for entry in archive:
            for block in entry.get_blocks(_PIECE):
                yield bytes(block)


def inner_name(name: str) -> str:
    """Return the name without its last end; what says that a tar is within says so still."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, end = base.rpartition(".")
    if not (dot and stem):
        return base or "content"
    return f"{stem}.tar" if end.lower() in _TAR_ENDS else stem
