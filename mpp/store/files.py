"""Whole segments on this node's disk: which there are, and every record of one, for check, rebuild and compaction."""

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mpp.store.record import HEAD_SIZE, DamagedError, Record, read_head, scan
from mpp.store.segment import segment_path, segments_folder


def segments_here(data: Path) -> list[str]:
    """Return the ids of the segments of this node, oldest first."""
    return sorted(path.stem for path in segments_folder(data).glob("*.seg"))


def being_written(data: Path, segment: str) -> bool:
    """True while a process writes it: it holds a lock that ends with it."""
    descriptor = os.open(segment_path(data, segment), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def mapped(data: Path, segment: str) -> Iterator[mmap.mmap | bytes]:
    """The octets of a segment, without reading it into memory."""
    with segment_path(data, segment).open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
            yield octets


def records(data: Path, segment: str) -> Iterator[Record | DamagedError]:
    """Yield every record of a segment and each damaged place in it."""
    with mapped(data, segment) as octets:
        try:
            identifier, _ = read_head(octets[:HEAD_SIZE])
            if identifier != segment:
                raise DamagedError(0, "the head is of another segment")
        except DamagedError as error:
            yield error
        yield from scan(octets)
