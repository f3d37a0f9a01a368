"""Traces on their way to the catalog: files beside it that the workers append to and the background process loads.

A frame is written whole or counts as never written; its file and number name it, so that it is loaded once however often
the loader begins again. A writer holds the lock of the file that it appends to: what is unlocked is complete, and removed
once it is loaded. Frames hold lines (mpp.store.trace), compressed together.

    file   MAGIC, 8 random octets that name it, then frames
    frame  b"\\xf5MPT", length, crc32 of all that follows, number, milliseconds since 1970, number of lines, zstd

Raises SpoolError where the disk does not take what is given; what was there before then stays whole.
"""

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import zstandard

from mpp.store.clock import now_ms

MAGIC = b"MPPSPOL1"
FILE_SIZE = 4 << 20  # octets from which a new file is begun
FILE_AGE_S = 60.0
MOST_LINES = 1000  # in a frame
LARGEST = 8 << 20  # octets of a frame's lines
SUFFIX = ".traces"
_UNFINISHED = ".new"
_HEAD = struct.Struct(">4sII")
_ABOUT = struct.Struct(">IQI")
_MARK = b"\xf5MPT"


class SpoolError(Exception):
    """Frames were not written: the disk is full or fails, or the spool has reached its bound."""

    def __init__(self, text: str, lost: int = 0) -> None:
        super().__init__(text)
        self.lost = lost  # lines that are in no file


@dataclass(frozen=True, slots=True)
class Frame:
    spool: int  # the file's name, 63 bits
    number: int  # within the file, from 1
    at_ms: int
    count: int
    packed: bytes  # the lines as they are kept
    end: int  # offset behind it

    @property
    def day(self) -> int:
        """Days since 1970."""
        return max(self.at_ms, 0) // 86_400_000

    def lines(self) -> list[bytes]:
        return unpack(self.packed)


def unpack(packed: bytes) -> list[bytes]:
    """Return the lines of a frame. Raises ValueError where they are not what a writer makes."""
    return decompressed(packed).split(b"\n")


def decompressed(packed: bytes) -> bytes:
    """Return the lines of a frame as they stand there, a line end between two. Raises ValueError as `unpack`."""
    try:
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=LARGEST)
    except zstandard.ZstdError as error:
        raise ValueError(f"frame of traces: {error}") from error


class SpoolWriter:
    """One worker's way into the spool; used by one thread at a time."""

    def __init__(self, folder: Path, name: str, bound: int) -> None:
        self._folder, self._name, self._bound = folder, name, bound
        self._descriptor = -1
        self._path = folder
        self._size = self._number = 0
        self._begun = 0.0
        self._synced = True
        self._pack = zstandard.ZstdCompressor(level=1).compress

    def write(self, lines: Sequence[str]) -> None:
        """Append the lines, a frame for each MOST_LINES. Raises SpoolError; frames before the failed one are written."""
        for start in range(0, len(lines), MOST_LINES):
            part = lines[start : start + MOST_LINES]
            body = self._pack("\n".join(part).encode("ascii"))
            try:
                self._append(body, len(part))
            except OSError as error:
                raise SpoolError(f"{self._path}: {error.strerror or error}", len(lines) - start) from error
            except SpoolError as error:
                error.lost = len(lines) - start
                raise

    def sync(self) -> None:
        """Wait until what was written would outlive a power cut. Raises SpoolError."""
        if not self._synced:
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                raise SpoolError(f"{self._path}: {error.strerror or error}") from error
            self._synced = True

    def close(self) -> None:
        """Let go of the file, so that it is loaded to its end and removed. Raises SpoolError."""
        if self._descriptor >= 0:
            try:
                self.sync()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def turn(self, now: float) -> None:
        """Begin a new file with the next frame where this one is old (`now` monotonic). Raises SpoolError."""
        if self._descriptor >= 0 and (now - self._begun > FILE_AGE_S or self._size >= FILE_SIZE):
            self.close()

    def _append(self, body: bytes, count: int) -> None:
        if self._descriptor < 0:
            self._begin()
        about = _ABOUT.pack(self._number + 1, now_ms(), count)
        frame = _HEAD.pack(_MARK, len(body), zlib.crc32(body, zlib.crc32(about))) + about + body
        self._synced = False
        try:
            written = os.write(self._descriptor, frame)
            if written < len(frame):
                os.write(self._descriptor, frame[written:])  # raises the reason
                raise OSError(28, "written in part")
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(frame)
        self._number += 1

    def _begin(self) -> None:
        waiting = sum(path.stat().st_size for path in spool_files(self._folder))
        if waiting >= self._bound:
            raise SpoolError(f"{self._folder} holds {waiting >> 20} MiB of traces that nobody has loaded")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = os.urandom(8)
        path = self._folder / f"{self._name}-{name.hex()}{SUFFIX}"
        unfinished = path.with_suffix(_UNFINISHED)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, MAGIC + name)
            unfinished.rename(path)  # locked before anybody can see it
        except OSError:
            os.close(descriptor)
            unfinished.unlink(missing_ok=True)
            raise
        self._descriptor, self._path = descriptor, path
        self._size, self._number, self._begun = len(MAGIC) + 8, 0, time.monotonic()


def spool_files(folder: Path) -> list[Path]:
    """Return the files of a spool, in no order."""
    return [path for path in folder.iterdir() if path.suffix == SUFFIX] if folder.is_dir() else []


def remove_unfinished(folder: Path) -> None:
    """Remove what writers left that died while they made a file. One that lives needs a moment for it, not FILE_AGE_S."""
    old = time.time() - FILE_AGE_S
    for path in folder.glob(f"*{_UNFINISHED}"):
        with suppress(FileNotFoundError):  # finished meanwhile
            if path.stat().st_mtime < old:
                path.unlink()


class SpoolFile:
    """A file as the loader reads it: from where it stopped, as far as frames are whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.damaged = 0  # octets passed over, since they are no frame
        self.name: int | None = None

    def frames(self, most: int = LARGEST + 64) -> Iterator[Frame]:
        """Yield whole frames from `offset` on, and move it behind each; at most `most` octets, or as many as the largest has."""
        with self.path.open("rb") as file:
            if self.name is None:
                head = file.read(len(MAGIC) + 8)
                if len(head) < len(MAGIC) + 8 or not head.startswith(MAGIC):
                    return
                self.name = int.from_bytes(head[len(MAGIC) :], "big") >> 1
                self.offset = len(head)
            file.seek(self.offset)
            data = file.read(max(most, LARGEST + 64))
        at, base = 0, self.offset
        while (found := data.find(_MARK, at)) >= 0:
            frame = _frame(data, found, self.name, base)
            if frame is None:
                at = found + 1  # a flipped bit, or the tail of a writer that died: the next mark may be good
                continue
            self.damaged += base + found - self.offset
            self.offset = frame.end
            at = frame.end - base
            yield frame

    @property
    def complete(self) -> bool:
        """True where no writer has it: nothing more comes."""
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True


def _frame(data: bytes, at: int, spool: int, base: int) -> Frame | None:
    """Return the frame at `at`; None where there is no whole one."""
    start = at + _HEAD.size
    body = start + _ABOUT.size
    if body > len(data):
        return None
    _, length, crc = _HEAD.unpack_from(data, at)
    end = body + length
    if end > len(data) or zlib.crc32(data[start:end]) != crc:
        return None
    number, at_ms, count = _ABOUT.unpack_from(data, start)
    return Frame(spool, number, at_ms, count, data[body:end], base + end)
