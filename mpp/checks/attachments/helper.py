"""Has files inspected by a confined process of its own (design of the process: .confined, .confine).

    with Helper() as helper:
        items = helper.inspect(files, Limits())

The process is warm, serves many inspections, and is replaced after `_MOST` of them and after each that went wrong. Whatever goes
wrong there (it crashes, runs over its time, answers nonsense) makes all files of that inspection `damaged`: not checkable.
"""

import json
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from types import TracebackType
from typing import Any

from mpp.checks.attachments.item import File, Flag, Item, Limits

_MOST = 500  # inspections by one process
_START_S = 30.0  # for an interpreter on a busy machine
_LONGEST = 64 << 20  # octets of an answer
_PIECE = 1 << 16


class HelperError(Exception):
    """The confined process did not do its work. The text says what happened."""


class Helper:
    """One confined process at a time, for one caller at a time. Raises OSError where none can be started."""

    def __init__(self) -> None:
        self.lacking: list[str] = []  # walls that this host cannot build, known once a process was started
        self._process: subprocess.Popen[bytes] | None = None
        self._served = 0

    def __enter__(self) -> "Helper":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def inspect(self, files: Sequence[File], limits: Limits, passwords: Sequence[str] = ()) -> list[Item]:
        """Return the items as the confined process gives them, or each file as `damaged` where it gives none."""
        try:
            answer = self._ask(files, limits, passwords)
            return [_item(row) for row in answer["items"]]
        except (
            HelperError,
            ValueError,
            TypeError,
            KeyError,
            RecursionError,
        ):  # the last ones: what it says is nonsense
            self.close()
            return [_unchecked(file) for file in files]

    def _ask(self, files: Sequence[File], limits: Limits, passwords: Sequence[str]) -> Any:
        process = self._ready()
        header = json.dumps(
            {
                "files": [(file.path, file.name, file.declared, len(file.data)) for file in files],
                "limits": asdict(limits),
                "passwords": list(passwords),
            }
        ).encode()
        octets = b"".join((struct.pack(">Q", len(header)), header, *(file.data for file in files)))
        self._served += 1
        return _exchange(process, octets, time.monotonic() + limits.seconds + 1)

    def _ready(self) -> subprocess.Popen[bytes]:
        """Return the running process; a new one where there is none, or where it has served its time."""
        if self._served >= _MOST:
            self.close()
        if self._process is None:
            self._served = 0
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "mpp.checks.attachments.confined"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what it could say would be the words of others
                env={},
                cwd="/",
                bufsize=0,
            )
            self.lacking = list(_exchange(self._process, b"", time.monotonic() + _START_S)["lacking"])
        return self._process


def _exchange(process: subprocess.Popen[bytes], octets: bytes, until: float) -> Any:
    """Write the octets and read one answer. Raises HelperError, and ValueError for what is no JSON."""
    assert process.stdin is not None
    assert process.stdout is not None
    source, target = process.stdout.fileno(), process.stdin.fileno()
    os.set_blocking(target, False)
    rest, answer, length = memoryview(octets), bytearray(), 8
    while len(answer) < length:
        left = until - time.monotonic()
        if left <= 0:
            raise HelperError("over its time")
        readable, writable, _ = select.select([source], [target] if rest else [], [], left)
        try:
            if writable:
                rest = rest[os.write(target, rest[:_PIECE]) :]
            piece = os.read(source, min(_PIECE, length - len(answer))) if readable else None
        except OSError as error:
            raise HelperError(f"gone: {error.strerror}") from error
        if piece == b"":
            raise HelperError("ended")
        answer += piece or b""
        if length == 8 and len(answer) == 8:
            length += struct.unpack(">Q", answer)[0]
            if length > _LONGEST:
                raise HelperError("answers too much")
    return json.loads(answer[8:])


def _item(row: Any) -> Item:
    """Read an item as one reads what a liar says. Raises ValueError, TypeError and KeyError."""
    texts = [row[name] for name in ("path", "name", "declared", "type", "sha256")]
    if not all(isinstance(text, str) for text in texts) or type(row["size"]) is not int or row["size"] < 0:
        raise ValueError("not an item")
    path, name, declared, kind, digest = texts
    return Item(path, name, declared, kind, row["size"], digest, frozenset(Flag(flag) for flag in row["flags"]))


def _unchecked(file: File) -> Item:
    digest = sha256(file.data).hexdigest()
    flags = frozenset({Flag.DAMAGED})
    return Item(file.path, file.name, file.declared, "application/octet-stream", len(file.data), digest, flags)
