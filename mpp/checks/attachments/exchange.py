"""Speaking with a confined process over two pipes, with a limit for everything: it may be slow, dead, or lie.

A message is 8 octets of length, that many of JSON, and octets that the JSON tells of. Raises HelperError only.
"""

import fcntl
import json
import math
import os
import select
import struct
import time
from contextlib import suppress
from typing import Any

_LONGEST = 64 << 20  # octets of JSON
_PIECE = 1 << 16
_PIPE = 1 << 20  # octets that wait in it: a process is woken once for a usual mail


class HelperError(Exception):
    """The confined process did not do its work. The text says what happened."""


class Exchange:
    """Our ends of the pipes to one process: `target` is what it reads, `source` what it writes."""

    def __init__(self, target: int, source: int) -> None:
        self._target, self._source = target, source
        os.set_blocking(target, False)
        with suppress(OSError):  # more than one user may have: then it goes in smaller steps
            fcntl.fcntl(target, fcntl.F_SETPIPE_SZ, _PIPE)

    def silent(self) -> bool:
        """True where it waits to be asked; False where it has ended, or says what nobody asked for."""
        return not ready(self._source, select.POLLIN, 0)

    def close(self) -> None:
        os.close(self._target)
        os.close(self._source)

    def ask(self, header: dict[str, Any], octets: list[bytes], until: float) -> Any:
        """Write a message, and return the JSON of the answer to it. `until`: time.monotonic()."""
        text = json.dumps(header).encode()
        self._write(b"".join((struct.pack(">Q", len(text)), text, *octets)), until)
        return self.answer(until)

    def answer(self, until: float) -> Any:
        """Return the JSON of the next message."""
        length = struct.unpack(">Q", self.read(8, until))[0]
        if length > _LONGEST:
            raise HelperError("answers too much")
        try:
            return json.loads(self.read(length, until))
        except (ValueError, RecursionError) as error:
            raise HelperError("answers nonsense") from error

    def read(self, size: int, until: float) -> bytes:
        """Return exactly so many octets."""
        answer = bytearray()
        while len(answer) < size:
            self._wait(self._source, select.POLLIN, until)
            piece = _tried(os.read, self._source, min(_PIECE, size - len(answer)))
            if not piece:
                raise HelperError("ended")
            answer += piece
        return bytes(answer)

    def _write(self, octets: bytes, until: float) -> None:
        rest = memoryview(octets)
        while rest:
            written = _tried(os.write, self._target, rest)
            if written is None:
                self._wait(self._target, select.POLLOUT, until)
            else:
                rest = rest[written:]

    def _wait(self, file: int, event: int, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0 or not ready(file, event, left):
            raise HelperError("over its time")


def ready(file: int, event: int, patience_s: float) -> bool:
    """Wait until a file can be read or written, or has ended; False where it does not in time.

    Not by select(2), which takes no file number above 1023: a worker has more.
    """
    poll = select.poll()
    poll.register(file, event)
    return bool(poll.poll(max(0, math.ceil(patience_s * 1000))))


def _tried(call: Any, *arguments: Any) -> Any:
    """Return what the call does, None where it would have to wait."""
    try:
        return call(*arguments)
    except BlockingIOError:
        return None
    except OSError as error:
        raise HelperError(f"gone: {error.strerror}") from error
