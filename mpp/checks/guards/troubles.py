"""Which message a scanner crashed or stalled over, so that it does not get it again and again from those who retry.

Told by the adapters (mpp.checks.scanners.scanner), asked by mpp.checks.layers.judge. A trouble is laid to a message only where
the scanner is known to work for others: an answer to another message while this one was in hand, or for a crash shortly
before. Otherwise the scanner is at fault, and its on_failure holds. The counts are in memory that the node's workers share.
"""

from dataclasses import dataclass, field

from mpp.net.rows import TOUCHED
from mpp.net.shared import SharedRows, key_of

KNOWN_TO_WORK_S = 600.0  # an answer so long before a crash counts
FORGET_S = 86_400.0
_COUNT = 2  # a word of a row


@dataclass(slots=True)
class Troubles:
    """One worker's face of the node's memory. Times are seconds of time.monotonic()."""

    rows: SharedRows = field(default_factory=lambda: SharedRows(1, 64, 3))
    slot: int = 0
    _answered: dict[str, float] = field(default_factory=dict)  # by scanner, when it last gave an answer
    _any: bool = False  # most nodes never see one: no look without need

    def answered(self, scanner: str, digest: bytes, now: float) -> None:
        """A scanner gave an answer: it works, and the message is no trouble to it."""
        self._answered[scanner] = now
        if self._any and (row := self._row(scanner, digest)):
            self.rows.words[row + _COUNT] = 0

    def crashed(self, scanner: str, digest: bytes, now: float) -> None:
        """A scanner closed over a message without an answer."""
        if self._answered.get(scanner, -KNOWN_TO_WORK_S) >= now - KNOWN_TO_WORK_S and scanner in self._answered:
            self._count(scanner, digest, now)

    def stalled(self, scanner: str, digest: bytes, begun: float, now: float) -> None:
        """A scanner gave no answer in time to a message that it got at `begun`."""
        if self._answered.get(scanner, begun - 1) >= begun:
            self._count(scanner, digest, now)

    def of(self, scanner: str, digest: bytes, now: float) -> int:
        """Return how often the scanner crashed or stalled over the message, all workers together, of the last day."""
        if not digest:
            return 0
        words, oldest = self.rows.words, int(now - FORGET_S)
        rows = self.rows.find_all(key_of((scanner, digest)))
        return sum(words[row + _COUNT] for row in rows if words[row + TOUCHED] > oldest)

    def _count(self, scanner: str, digest: bytes, now: float) -> None:
        if digest:
            row = self.rows.claim(self.slot, key_of((scanner, digest)))
            self.rows.words[row + TOUCHED] = int(now) + 1
            self.rows.words[row + _COUNT] += 1
            self._any = True

    def _row(self, scanner: str, digest: bytes) -> int:
        key = key_of((scanner, digest))
        return self.rows.claim(self.slot, key) if self.rows.find_all(key) else 0
