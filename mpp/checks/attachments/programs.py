"""Archives that a program of others opens: 7-Zip, for what libarchive does not know. In the confined process.

The program runs elsewhere, confined for itself (.unpacking); here is only what it said: a listing, and the octets of all members
one behind the other. Where the two do not fit together everything is looked at as one file, so that nothing is missed.
"""

from collections.abc import Iterator

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import BombError, Flag, Means, Member, UnreadableError

_TRIED = 10  # passwords: each is a run of the program


def program_members(data: bytes, meter: Meter, means: Means, *, encrypted: bool = False) -> Iterator[Member]:
    """Yield the members. Raises UnreadableError where there is no program, or it does not open all of them; BombError."""
    flags = {Flag.ENCRYPTED} if encrypted else {Flag.DAMAGED, Flag.UNCHECKED}
    for password in means.passwords[:_TRIED] if encrypted else [""]:
        done = means.unpack(data, password, meter.left())
        if done is None:
            break
        if done.over:
            raise BombError("more than what may come of it")
        entries = [_entry(block) for block in done.listing.split(b"\n\n") if block.strip()]
        if done.whole and entries:
            yield from _split(entries, done.content, meter)
            return
        if done.content and not encrypted:  # with a wrong password these are octets by chance
            yield from _split(entries, done.content, meter)
    raise UnreadableError("no program opens it", flags)


def _entry(block: bytes) -> dict[str, str]:
    lines = (line.partition(" = ") for line in block.decode("utf-8", "replace").splitlines())
    return {key: value for key, equals, value in lines if equals}


def _split(entries: list[dict[str, str]], content: bytes, meter: Meter) -> Iterator[Member]:
    files = [
        entry for entry in entries if entry.get("Folder") != "+" and not entry.get("Attributes", "").startswith("D")
    ]
    sizes = [_size(entry) for entry in files]
    if len(files) == 1:
        sizes = [len(content)]  # some formats do not say it
    if sum(sizes) != len(content) or -1 in sizes:
        files, sizes = [*files, {"Path": "content"}], [*[0] * len(files), len(content)]
    at = 0
    for entry, size in zip(files, sizes, strict=True):
        meter.budget.entry()
        meter.take(size)
        flags = {Flag.ENCRYPTED} if entry.get("Encrypted") == "+" else set()
        yield Member(entry.get("Path", ""), content[at : at + size], flags)
        at += size


def _size(entry: dict[str, str]) -> int:
    size = entry.get("Size", "")
    return int(size) if size.isdecimal() and len(size) < 16 else -1
