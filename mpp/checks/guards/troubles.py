"""Which message a scanner crashed or stalled over, so that it does not get it again and again from those who retry.

Told by the adapters (mpp.checks.scanners.scanner), asked by mpp.checks.layers.judge. A trouble is laid to a message only where
the scanner is known to work for others: an answer to another message while this one was in hand, or for a crash shortly
before. Otherwise the scanner is at fault, and its on_failure holds. The counts are in memory that the node's workers share; mostly there never was
a trouble, and then no message is looked up.
"""

from dataclasses import dataclass, field

from mpp.net.rows import HOLD, TOUCHED
from mpp.net.shared import NOTED, SharedRows, key_of

KNOWN_TO_WORK_S = 600.0  # an answer so long before a crash counts
FORGET_S = 86_400.0
_WORD = 2  # of a message's row: its troubles; of a scanner's: when it last gave an answer, in milliseconds


@dataclass(slots=True)
class Troubles:
    """One worker's face of the node's memory. Times are seconds of time.monotonic()."""

    rows: SharedRows = field(default_factory=lambda: SharedRows(1, 64, 3))
    slot: int = 0
    _own: dict[str, int] = field(default_factory=dict)  # our row of a scanner: held, so it stays where it is

    def answered(self, scanner: str, digest: bytes, now: float) -> None:
        """A scanner gave an answer: it works, and the message is no trouble to it."""
        words = self.rows.words
        row = self._own.get(scanner) or self._hold(scanner)
        if row:
            words[row + _WORD] = int(now * 1000) + 1
        if words[NOTED]:
            for trouble in self.rows.find_all(key_of((scanner, digest))):
                words[trouble + _WORD] = 0  # other workers' too: one word, and to lose one trouble does no harm

    def _hold(self, scanner: str) -> int:
        """Return our row of a scanner, 0 where the memory has no room for it."""
        row = self.rows.claim(self.slot, key_of(scanner))
        if row:
            self._own[scanner] = row
            self.rows.words[row + HOLD] = 1  # stays, however many messages give trouble
        return row

    def crashed(self, scanner: str, digest: bytes, now: float) -> None:
        """A scanner closed over a message without an answer."""
        if self._last_answer(scanner) >= max(now - KNOWN_TO_WORK_S, 0.001):
            self._count(scanner, digest, now)

    def stalled(self, scanner: str, digest: bytes, begun: float, now: float) -> None:
        """A scanner gave no answer in time to a message that it got at `begun`."""
        if self._last_answer(scanner) >= begun:
            self._count(scanner, digest, now)

    def of(self, scanner: str, digest: bytes, now: float) -> int:
        """Return how often the scanner crashed or stalled over the message, all workers together, of the last day."""
        words, oldest = self.rows.words, int(now - FORGET_S)
        if not digest or not words[NOTED]:
            return 0
        rows = self.rows.find_all(key_of((scanner, digest)))
        return sum(words[row + _WORD] for row in rows if words[row + TOUCHED] > oldest)

    def _count(self, scanner: str, digest: bytes, now: float) -> None:
        if digest and (row := self.rows.claim(self.slot, key_of((scanner, digest)))):
            self.rows.words[row + TOUCHED] = int(now) + 1
            self.rows.words[row + _WORD] += 1
            self.rows.words[NOTED] = 1

    def _last_answer(self, scanner: str) -> float:
        """Return when any worker last got an answer of it; 0.0: none ever did."""
        rows, words = self.rows.find_all(key_of(scanner)), self.rows.words
        return max((words[row + _WORD] for row in rows), default=0) / 1000
