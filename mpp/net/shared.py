"""Tables in memory that the processes forked after their making share: what a node has learned of mail.

Beside mpp.net.table, with its rules: no locks, each worker writes only rows of its own slot and reads those of all. Stamps
are the exception: a cell may be written by anybody, but a cell is one word, written whole, and a lost one is only
forgotten. Keys are 64 bits and not 0. Nothing here grows.
"""

from collections.abc import Iterable
from mmap import mmap

from mpp.net.rows import Rows

_CAMPAIGN_SETS, CAMPAIGN_WORDS = 2048, 6  # times eight rows a slot
_HIT_SETS, HIT_WORDS = 256, 6
_TROUBLE_SETS, TROUBLE_WORDS = 64, 3
_STAMPS = 1 << 19
_MASK = (1 << 64) - 1
_TAG = _MASK >> 24 << 24


NOTED = 0  # the first word of all: free for whoever uses the rows, and written by anybody


class SharedRows:
    """Keyed rows, for each slot its own; `words` is the memory, addressed as mpp.net.rows has it."""

    def __init__(self, slots: int, sets: int, width: int) -> None:
        memory = mmap(-1, 8 * (1 + Rows.size(slots, sets, width)))  # not touched, it takes no memory
        self.words = memoryview(memory).cast("Q")
        rows = Rows(memory, self.words, 1, slots, sets, width)
        self.find_all, self.claim = rows.find_all, rows.claim


class Stamps:
    """When a key was last seen, in minutes; keys that share a cell push each other out."""

    def __init__(self, cells: int = _STAMPS) -> None:
        self._words = memoryview(mmap(-1, 8 * cells)).cast("Q")
        self._mask = cells - 1

    def put(self, keys: Iterable[int], minute: int) -> None:
        words, mask, stamp = self._words, self._mask, minute & 0xFFFFFF
        for key in keys:
            words[key & mask] = key & _TAG | stamp

    def minute(self, key: int) -> int:
        """Return when the key was last put, 0 where that is not known."""
        word = self._words[key & self._mask]
        return word & 0xFFFFFF if word >> 24 == key >> 24 else 0


class Learned:
    """What the workers of a node learn together. Made before the first fork."""

    def __init__(self, slots: int) -> None:
        self.campaigns = SharedRows(slots, _CAMPAIGN_SETS, CAMPAIGN_WORDS)
        self.spam, self.ham = Stamps(), Stamps()  # content that a full examination found to be that
        self.hits = SharedRows(slots, _HIT_SETS, HIT_WORDS)
        self.troubles = SharedRows(slots, _TROUBLE_SETS, TROUBLE_WORDS)


def key_of(value: object) -> int:
    """Return the key of a hashable value. Python's secret of this process and its forks is in it: nobody can aim at one."""
    return hash(value) & _MASK or 1
