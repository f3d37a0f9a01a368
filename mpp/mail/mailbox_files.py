"""Mails out of files and folders: a mail a file, or many in an mbox (RFC 4155), told apart by `From ` behind an empty line.

Only one mail is in memory at a time but for files with several: those are read as a whole. Raises OSError.
"""

import re
from collections.abc import Iterator
from pathlib import Path

_FROM = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\r\n\r\n))From [^\r\n]*\r?\n")


def mails(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and octets of each mail: of a file, of an mbox ("box:3", counted from 1), of all files below a folder."""
    if path.is_dir():
        for each in sorted(path.rglob("*")):
            if each.is_file():
                yield from mails(each)
        return
    data = path.read_bytes()
    starts = list(_FROM.finditer(data)) if data.startswith(b"From ") else []
    if len(starts) <= 1:
        yield str(path), data[starts[0].end() :] if starts else data
        return
    ends = [match.start() for match in starts[1:]] + [len(data)]
    for number, (match, end) in enumerate(zip(starts, ends, strict=True), 1):
        yield f"{path}:{number}", data[match.end() : end].replace(b"\n>From ", b"\nFrom ")
