"""A table that is in use: read from its file, read again when that changes, asked about messages.

The file is looked at once a second at most, when a message comes. A change is read and compiled in a thread; until that is
done, and where it cannot be read, the table stays what it was. Warnings go to the log, with their lines.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mpp.checks.content.compiled import Shelf
from mpp.checks.content.engine import Patience
from mpp.checks.content.postfix.gate import Gate
from mpp.checks.content.postfix.keys import body_keys, body_text, header_keys, header_text
from mpp.checks.content.postfix.lookup import Answer
from mpp.checks.content.postfix.read import Kind, read_table
from mpp.mail.escape import printable
from mpp.mail.message import Message
from mpp.settings.stamp import Stamp, stamp_of

LOOK_S = 1.0
_log = logging.getLogger(__name__)


class LiveTable:
    def __init__(self, name: str, shelf: Shelf | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`name`: "pcre:/path". Raises OSError where it cannot be read now."""
        kind, _, path = name.partition(":")
        self._kind: Kind = "pcre" if kind == "pcre" else "regexp"
        self.name, self._path, self._shelf, self._clock = name, Path(path), shelf, clock
        self._stamp = stamp_of(self._path)  # of what was read
        self.gate = self._read()
        self._looked = clock()
        self._reading: threading.Thread | None = None

    def headers(self, message: Message, patience: Patience) -> Iterator[tuple[bytes, Answer]]:
        """Yield what the table says of the logical header lines."""
        self.follow()
        return self.gate.answers(header_text(message), header_keys(message), patience)

    def body(self, message: Message, patience: Patience) -> Iterator[tuple[bytes, Answer]]:
        """Yield what the table says of the lines of the body."""
        self.follow()
        text = body_text(message)
        return self.gate.answers(text, body_keys(text), patience)

    def keys(self, keys: Iterable[bytes], patience: Patience) -> Iterator[tuple[bytes, Answer]]:
        """Yield what the table says of keys of the envelope."""
        self.follow()
        listed = list(keys)
        return self.gate.answers(b"\n".join(listed), listed, patience)

    def follow(self) -> None:
        """Look whether the file has changed, if that is due."""
        now = self._clock()
        if now - self._looked < LOOK_S or (self._reading and self._reading.is_alive()):
            return
        self._looked = now
        try:
            stamp = stamp_of(self._path)
        except OSError as error:
            _log.error("filters: %s cannot be read, it stays as it was: %s", printable(self.name), error.strerror)
            return
        if stamp != self._stamp:
            name = f"read {self.name}"
            self._reading = threading.Thread(target=self._read_again, args=(stamp,), name=name, daemon=True)
            self._reading.start()

    def _read_again(self, stamp: Stamp) -> None:
        try:
            self.gate, self._stamp = self._read(), stamp
        except OSError as error:
            _log.error("filters: %s cannot be read, it stays as it was: %s", printable(self.name), error.strerror)

    def _read(self) -> Gate:
        table = read_table(self._path.read_bytes(), self._kind)
        for warned in table.warnings:
            _log.warning("filters: %s, line %d: %s", printable(self.name), warned.line, printable(warned.text))
        return Gate(table, self._shelf)
