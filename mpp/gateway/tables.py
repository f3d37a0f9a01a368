"""Tables of recipients: who exists, where the next hop cannot be asked (settings: a route's `recipients`).

A text file, an address a line, `#` begins a comment; "@example.org" stands for every address of a domain. Letter case
does not matter. Read again when the file has changed; a file that cannot be read leaves the last reading in force, and
raises OSError only where there never was one.
"""

import time
from contextlib import suppress
from pathlib import Path

from mpp.settings.stamp import Stamp, stamp_of

LOOK_S = 1.0  # a change of the file is seen so soon


class RecipientTable:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: Stamp | None = None  # of what was read
        self._looked = 0.0
        self._addresses: frozenset[str] = frozenset()
        self._read()

    def holds(self, address: str) -> bool:
        """True where the table has the address or its whole domain."""
        now = time.monotonic()
        if now - self._looked > LOOK_S:
            self._looked = now
            with suppress(OSError):  # being replaced, or gone: `mpp check` tells, and the last reading holds
                self._read()
        address = address.lower()
        return address in self._addresses or "@" + address.rpartition("@")[2] in self._addresses

    def _read(self) -> None:
        stamp = stamp_of(self._path)
        if stamp != self._stamp:
            lines = (
                line.partition("#")[0].strip().lower() for line in self._path.read_text("utf-8", "replace").splitlines()
            )
            self._addresses = frozenset(line for line in lines if line)
            self._stamp = stamp
