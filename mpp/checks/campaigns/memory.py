"""Remembers what spam said, so that more of the same needs no scanner; and what ham said, so that it always gets one.

Called by mpp.checks.layers.judge: `recall` before the spam scanners are asked, `learn` with what a full examination came to. A
message is known when enough of its keys were found in spam of enough different envelopes lately, none of those keys in
ham, and each of its URL hosts and attachments in some of that spam. Known means spam: there is no memory that says ham.

The bound for whoever sends another's text marked as spam: each worker sends every `recheck`-th known message through the
scanners, so at most `recheck` - 1 are decided wrongly before one is found ham; from then on, and likewise where it was
found ham within `ham_for` before, the text goes to the scanners.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from mpp.checks.campaigns.settings import Campaigns
from mpp.checks.campaigns.signature import KEYS, Signature
from mpp.net.rows import TOUCHED
from mpp.net.shared import Learned, key_of

NEEDED = 20  # of the KEYS: texts that share about two thirds of their pairs
_BITS, _SUM, _COUNT, _RECALLED = (
    2,
    3,
    4,
    5,
)  # words of a row; the first holds it against eviction, the second is its time
_MOST = 1_000_000  # thousandths of a point that one message adds


@dataclass(frozen=True, slots=True)
class Known:
    """A campaign that a message belongs to."""

    envelopes: int  # different ones whose message was found spam, of the key with the fewest; 64 are told apart
    score: float  # what the scanners gave on average, of the key with the lowest


class Memory:
    """One worker's face of the node's memory. `slot` is its own; times are in seconds of time.monotonic()."""

    def __init__(self, settings: Campaigns, learned: Learned, slot: int) -> None:
        self._settings, self._slot = settings, slot
        self._rows, self._spam, self._ham = learned.campaigns, learned.spam, learned.ham

    def recall(self, content: Signature, now: float) -> Known | None:
        """Return the campaign whose content this is; None where it is not known, or the scanners are to be asked again."""
        minute = _minute(now)
        known: list[tuple[int, Known]] = []
        misses = 0
        for key in content.text:
            evidence = self._evidence(key, minute)
            if evidence is None:
                misses += 1
                if misses > KEYS - NEEDED:
                    return None
            else:
                known.append((key, evidence))
        if len(known) < NEEDED or any(self._spam.minute(key) < self._oldest(minute) for key in content.rest):
            return None
        if self._due(known[0][0], minute):
            return None
        return Known(min(each.envelopes for _, each in known), min(each.score for _, each in known))

    def learn(self, content: Signature, score: float | None, envelope: Hashable, now: float) -> None:
        """Note what a full examination came to: spam with that score, or ham (None)."""
        minute = _minute(now)
        if score is None:
            self._ham.put(content.text, minute)
            return
        bit = 1 << (key_of(envelope) & 63)
        thousandths = max(0, min(int(score * 1000), _MOST))
        for key in content.text:
            if self._rows.find_all(key) or self._spam.minute(key) >= self._oldest(minute):
                self._count(key, bit, thousandths, minute)
        self._spam.put(content.text, minute)  # what is seen once takes no row: most spam is no campaign
        self._spam.put(content.rest, minute)

    def _oldest(self, minute: int) -> int:
        """Return from when on spam counts; 0 stands for never and is not among it."""
        return max(1, minute - int(self._settings.within // 60))

    def _evidence(self, key: int, minute: int) -> Known | None:
        words, bits, total, count = self._rows.words, 0, 0, 0
        for row in self._rows.find_all(key):
            if words[row + TOUCHED] >= self._oldest(minute):
                bits |= words[row + _BITS]
                total += words[row + _SUM]
                count += words[row + _COUNT]
        envelopes = bits.bit_count()
        if envelopes < self._settings.envelopes or not count:
            return None
        if self._ham.minute(key) > max(0, minute - int(self._settings.ham_for // 60)):
            return None
        return Known(envelopes, total / count / 1000)

    def _count(self, key: int, bit: int, thousandths: int, minute: int) -> None:
        row = self._rows.claim(self._slot, key)
        words = self._rows.words
        if words[row + TOUCHED] < self._oldest(minute):
            words[row + _BITS] = words[row + _SUM] = words[row + _COUNT] = 0
        words[row + TOUCHED] = minute
        words[row + _BITS] |= bit
        words[row + _SUM] += thousandths
        words[row + _COUNT] += 1

    def _due(self, key: int, minute: int) -> bool:
        """Count a message that is known, and say whether it is one for the scanners all the same."""
        row = self._rows.claim(self._slot, key)
        words = self._rows.words
        if not words[row + TOUCHED]:  # another worker's campaign: a row of our own for our count
            words[row + TOUCHED] = minute
        words[row + _RECALLED] += 1
        return words[row + _RECALLED] % self._settings.recheck == 0


def _minute(now: float) -> int:
    return int(now // 60) + 1  # 0 stands for never
