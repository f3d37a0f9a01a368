"""Runs an unpacker that is a program of others, in a process that may execute it and do nothing else (.warm, .confine).

It finds the file in memory, without a name, and writes what it unpacks to a pipe: nothing touches a disk. 7-Zip is the only
program that is known here: it opens arj, lha, chm, wim, szdd, images of disks, and the rarer methods of zip and 7z.
"""

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

from mpp.checks.attachments.exchange import ready
from mpp.checks.attachments.item import Unpacked

# Programs, not the scripts before them: only one may be executed.
_PLACES = ("/usr/lib/7zip/7z", "/usr/lib/p7zip/7z", "/usr/bin/7zz", "/usr/local/bin/7zz")
_LISTING = 4 << 20  # octets
_PIECE = 1 << 16
_ENDING_S = 1.0  # a program that has closed its output has so long to end
_FILE = "/proc/self/fd/3"  # where .warm puts it
_OPTIONS = ("-bd", "-y", "-mmt=off", "-sccUTF-8")

Begin = Callable[[list[str], int, int], object]  # command, where to write, file
End = Callable[[float], int]  # patience; how it ended


def find_unpacker() -> str:
    """Return where 7-Zip is installed, else ""."""
    return next((place for place in _PLACES if Path(place).is_file()), "")


def unpacked(program: str, data: bytes, password: str, most: int, until: float, begin: Begin, end: End) -> Unpacked:
    """Run the program to list, then to unpack up to `most` octets. Raises OSError. `until`: time.monotonic()."""
    file = os.memfd_create("file")
    try:
        with os.fdopen(os.dup(file), "wb") as target:
            target.write(data)
        secret = f"-p{password}"
        listing, _, _ = _output(
            [program, "l", "-slt", "-ba", *_OPTIONS, secret, "--", _FILE], file, _LISTING, until, begin, end
        )
        content, ended, over = _output(
            [program, "x", "-so", *_OPTIONS, secret, "--", _FILE], file, most, until, begin, end
        )
    finally:
        os.close(file)
    return Unpacked(listing, content, ended == 0, over)


def _output(command: list[str], file: int, most: int, until: float, begin: Begin, end: End) -> tuple[bytes, int, bool]:
    """Return what it wrote, how it ended, and whether it would have written more than it may."""
    source, writes = os.pipe()
    try:
        try:
            begin(command, writes, file)
        finally:
            os.close(writes)
        pieces: list[bytes] = []
        size = 0
        while size <= most and (left := until - time.monotonic()) > 0 and ready(source, select.POLLIN, left):
            piece = os.read(source, _PIECE)
            if not piece:
                return b"".join(pieces), end(_ENDING_S), False
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces), end(0.0), size > most
    finally:
        os.close(source)
