"""Segments on the disk: `segments/ID.seg`, append-only, with its key file `keys/ID.keys` (design section 6).

`SegmentWriter` is for the one thread that writes; it holds a lock on the file as long as it does, which ends with its process.
A write or sync that fails leaves nothing behind: the file is cut back to what was synced before, and where even that cannot be done,
or a sync failed (after which the kernel forgets what it could not write), the segment is left and the next message begins another.
"""

import fcntl
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mpp.store.beside import Beside
from mpp.store.clock import now_ms
from mpp.store.errors import StoreError
from mpp.store.keyfile import KeyFile, sync_folder, write_all
from mpp.store.record import HEAD_SIZE, seal_of, write_head, write_record
from mpp.store.rows import Place
from mpp.store.seals import SegmentKeys
from mpp.store.settings import Store
from mpp.store.tenants import Public, keys_folder

SLOT_SIZE = 64


def segments_folder(data: Path) -> Path:
    return data / "segments"


def segment_path(data: Path, identifier: str) -> Path:
    return segments_folder(data) / f"{identifier}.seg"


def key_path(data: Path, identifier: str) -> Path:
    return keys_folder(data) / f"{identifier}.keys"


class NoRoomError(StoreError):
    """The disk has less free room than store.min_free."""


def forget_slots(data: Path, segment: str, slots: Sequence[int]) -> None:
    """Overwrite data keys for good. Raises OSError, KeysError."""
    keys = KeyFile(key_path(data, segment), SLOT_SIZE, writing=True)
    try:
        keys.forget(slots)
    finally:
        keys.close()


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be a record: compressed, not yet sealed."""

    kind: int
    tenant: Public
    dictionary: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Moved:
    """A record of another segment, sealed as it was, with its data key."""

    kind: int
    tenant_mark: bytes
    tenant_public: bytes
    dictionary: int
    content: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """Of [store]."""

    size: int
    age_s: float
    min_free: int

    @classmethod
    def of(cls, settings: Store) -> "Limits":
        return cls(settings.segment_size, settings.segment_age, settings.min_free)


class SegmentWriter:
    """The segment that one process writes, begun with its first record. Raises StoreError, OSError, KeysError."""

    def __init__(self, data: Path, limits: Limits) -> None:
        self._data, self.limits = data, limits
        self._open: _Open | None = None
        self._beside = Beside("key sync")

    def append(self, contents: Sequence[Content]) -> list[Place]:
        """Seal and write records and make them durable. Where it raises, none of them is there."""
        self._need_room(sum(len(each.data) for each in contents))
        segment = self._current()
        try:
            return segment.append(contents)
        except BaseException:
            if not segment.usable:
                self._leave()
            raise

    def begin(self) -> str:
        """Begin a segment, where none is open, and return its id."""
        return self._current().identifier

    def move(self, records: Sequence[Moved]) -> list[Place]:
        """Write records of another segment and make them durable."""
        self._need_room(sum(len(each.content) for each in records))
        assert self._open
        return self._open.move(records)

    def forget(self, places: Sequence[Place]) -> None:
        """Make records unreadable that were just appended, and will never be in the catalog."""
        for segment in {place.segment for place in places}:
            forget_slots(self._data, segment, [place.slot for place in places if place.segment == segment])

    def close(self) -> None:
        self._leave()
        self._beside.close()

    def _need_room(self, more: int) -> None:
        state = os.statvfs(self._data)
        free = state.f_bavail * state.f_frsize
        if free < self.limits.min_free + more:
            raise NoRoomError(
                f"{self._data} has {free >> 20} MiB of free disk, store.min_free is {self.limits.min_free >> 20} MiB"
            )

    def _current(self) -> "_Open":
        segment, limits = self._open, self.limits
        if segment and (segment.size >= limits.size or not -60 < time.time() - segment.made < limits.age_s):
            self._leave()
        if self._open is None:
            self._open = _Open(self._data, self._beside)
        return self._open

    def _leave(self) -> None:
        segment, self._open = self._open, None
        if segment:
            segment.close()


class _Open:
    """One segment while it is written."""

    def __init__(self, data: Path, beside: Beside) -> None:
        self.made, self._beside = time.time(), beside
        self.identifier = f"{now_ms():012x}{os.urandom(6).hex()}"
        self.usable = True
        self._sealing, self._slot = SegmentKeys(), 0
        path = segment_path(data, self.identifier)
        self.keys = KeyFile.create(
            key_path(data, self.identifier), SLOT_SIZE, self.identifier.encode() + self._sealing.public
        )
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except BaseException:
            self._undo(None, path)
            raise
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            write_all(self._descriptor, write_head(self.identifier, int(self.made * 1000)), 0)
            os.fsync(self._descriptor)
            sync_folder(path.parent)
            sync_folder(self.keys.path.parent)
        except BaseException:
            self._undo(self._descriptor, path)
            raise
        self.size = HEAD_SIZE

    def _undo(self, descriptor: int | None, path: Path) -> None:
        if descriptor is not None:
            os.close(descriptor)
            path.unlink(missing_ok=True)
        self.keys.close()
        self.keys.path.unlink(missing_ok=True)

    def append(self, contents: Sequence[Content]) -> list[Place]:
        return self._add(self._sealed(each, slot) for slot, each in enumerate(contents, self._slot))

    def move(self, moved: Sequence[Moved]) -> list[Place]:
        return self._add(self._wrapped(each, slot) for slot, each in enumerate(moved, self._slot))

    def _sealed(self, each: Content, slot: int) -> tuple[bytes, bytes]:
        mark = each.tenant.mark
        sealed = self._sealing.seal(each.data, seal_of(each.kind, each.dictionary, mark), slot, each.tenant.public)
        return write_record(each.kind, each.dictionary, slot, mark, sealed.content), sealed.wrapped

    def _wrapped(self, each: Moved, slot: int) -> tuple[bytes, bytes]:
        record = write_record(each.kind, each.dictionary, slot, each.tenant_mark, each.content)
        return record, self._sealing.wrap(each.key, slot, each.tenant_public)

    def _add(self, made: Iterable[tuple[bytes, bytes]]) -> list[Place]:
        """Write records with their wrapped keys, made for the slots from the next one on."""
        records, wrapped, places = [], [], []
        at = self.size
        for slot, (record, key) in enumerate(made, self._slot):
            records.append(record)
            wrapped.append(key)
            places.append(Place(self.identifier, at, len(record), slot))
            at += len(record)
        self._write(b"".join(records), wrapped)
        self.size, self._slot = at, self._slot + len(records)
        return places

    def _write(self, data: bytes, wrapped: list[bytes]) -> None:
        try:
            write_all(self._descriptor, data, self.size)
            self.keys.write(self._slot, wrapped)
        except OSError:
            self._cut_back()
            raise
        self.usable = False  # until both syncs have come back well
        try:
            self._sync()
        except OSError:
            with suppress(
                OSError
            ):  # what was not promised is better unreadable; if it cannot be, it comes back in a rebuild
                self.keys.forget(range(self._slot, self._slot + len(wrapped)))
            raise
        self.usable = True

    def _sync(self) -> None:
        """Sync both files at the same time: a message waits for one of them, not for both."""
        self._beside.begin(self.keys.sync)
        try:
            os.fdatasync(self._descriptor)
        finally:
            self._beside.wait()

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            self.usable = False

    def close(self) -> None:
        self.keys.close()
        os.close(self._descriptor)
