"""Key files: fixed slots, overwritten in place and synced, so that a key that is forgotten is gone (design section 6).

One beside each segment holds the wrapped data keys of its records; `tenants.keys` holds the tenants' key pairs. Nothing of them is
ever in segments or catalog, and they are backed up apart. A slot carries its crc: a torn one is told, never taken for a key.
"""

import os
import struct
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from zlib import crc32

from mpp.store.errors import KeysError

HEAD_SIZE = 256
_HEAD = struct.Struct("<4sHHI")  # magic, version, octets of a slot, octets of the head's content
_MAGIC, _VERSION = b"MPPk", 1
_SLOT = struct.Struct("<BxHI")  # state, nothing, length of the content, crc of content, state and number
SLOT_HEAD = _SLOT.size
_ROOM = 1 << 16  # octets by which a file grows: a write within them changes no metadata


class State(IntEnum):
    EMPTY = 0
    LIVE = 1
    FORGOTTEN = 2


class KeyFile:
    """An open key file. Raises KeysError where it is none, OSError where the disk fails."""

    def __init__(self, path: Path, slot_size: int, *, writing: bool) -> None:
        self.path, self.slot_size = path, slot_size
        self._descriptor = os.open(path, (os.O_RDWR if writing else os.O_RDONLY) | os.O_CLOEXEC)
        try:
            self.head = self._read_head()
        except BaseException:
            os.close(self._descriptor)
            raise
        self._size = os.fstat(self._descriptor).st_size

    @classmethod
    def create(cls, path: Path, slot_size: int, head: bytes) -> "KeyFile":
        """Make a new file with its first room, synced; the caller syncs the folder. Raises FileExistsError, OSError."""
        start = _HEAD.pack(_MAGIC, _VERSION, slot_size, len(head)) + head
        start += struct.pack("<I", crc32(start))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, start.ljust(HEAD_SIZE, b"\0") + bytes(_ROOM), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return cls(path, slot_size, writing=True)

    def _read_head(self) -> bytes:
        data = os.pread(self._descriptor, HEAD_SIZE, 0)
        if len(data) == HEAD_SIZE:
            magic, version, slot_size, length = _HEAD.unpack_from(data)
            end = _HEAD.size + length
            if (
                (magic, version, slot_size) == (_MAGIC, _VERSION, self.slot_size)
                and end <= HEAD_SIZE - 4
                and data[end : end + 4] == struct.pack("<I", crc32(data[:end]))
            ):
                return data[_HEAD.size : end]
        raise KeysError(f"{self.path} is no key file of this version, or damaged; restore it from your backup of keys")

    def write(self, first: int, contents: Sequence[bytes]) -> None:
        """Write consecutive slots; durable after `sync`. Raises OSError."""
        slots = b"".join(_slot(first + n, State.LIVE, each, self.slot_size) for n, each in enumerate(contents))
        at = HEAD_SIZE + first * self.slot_size
        if at + len(slots) > self._size:
            room = bytes(at + len(slots) - self._size + _ROOM)
            write_all(self._descriptor, room, self._size)
            self._size += len(room)
        write_all(self._descriptor, slots, at)

    def forget(self, slots: Sequence[int]) -> None:
        """Overwrite slots for good and sync. Raises OSError."""
        for slot in slots:
            content = _slot(slot, State.FORGOTTEN, b"", self.slot_size)
            write_all(self._descriptor, content, HEAD_SIZE + slot * self.slot_size)
        self.sync()

    def read(self, slot: int) -> bytes | None:
        """Return a slot's content; None where it was forgotten or never written. Raises KeysError where it is damaged."""
        return read_slot(os.pread(self._descriptor, self.slot_size, HEAD_SIZE + slot * self.slot_size), slot, self.path)

    def read_all(self) -> list[bytes | KeysError | None]:
        """Return every slot as `read` does, with its fault in place of one that is damaged."""
        data = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, HEAD_SIZE)
        found: list[bytes | KeysError | None] = []
        for slot in range(len(data) // self.slot_size):
            try:
                found.append(read_slot(data[slot * self.slot_size : (slot + 1) * self.slot_size], slot, self.path))
            except KeysError as error:
                found.append(error)
        return found

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def _slot(number: int, state: State, content: bytes, size: int) -> bytes:
    check = crc32(content, number * 4 + state & 0xFFFFFFFF)
    return (_SLOT.pack(state, len(content), check) + content).ljust(size, b"\0")


def read_slot(data: bytes, number: int, path: Path) -> bytes | None:
    """Return the content of one slot's octets; None where it holds no key. Raises KeysError where it is damaged."""
    if len(data) < SLOT_HEAD or not any(data):
        return None
    state, length, check = _SLOT.unpack_from(data)
    content = data[SLOT_HEAD : SLOT_HEAD + length]
    if len(content) != length or check != crc32(content, number * 4 + state & 0xFFFFFFFF) or state not in (1, 2):
        raise KeysError(f"{path}: slot {number} is damaged; restore it from your backup of keys")
    return content if state == State.LIVE else None


def write_all(descriptor: int, data: bytes, at: int) -> None:
    """Write all of `data` at an offset. Raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
