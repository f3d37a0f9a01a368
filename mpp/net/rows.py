"""Keyed rows in the node's shared memory: a set-associative table for each worker slot, without locks.

For mpp.net.table only. A key of 64 bits belongs to one set of eight places; the keys of all slots for one set lie side
by side, so that one read shows where every slot keeps a host. Each row belongs to one writer. Another process may see
a row while it is being given to another key; it then reads zeros, never another key's values: words are 8 octets,
aligned, and stored whole. Addresses are numbers of 8-octet words.
"""

import struct
from mmap import mmap

WAYS = 8  # rows that one key may be in
HOLD, TOUCHED = 0, 1  # the first words of every row: not evicted while HOLD is not 0; then the least TOUCHED first


class Rows:
    """A part of the memory. `width` is the words of a row, HOLD and TOUCHED among them."""

    def __init__(self, memory: mmap, words: memoryview, base: int, slots: int, sets: int, width: int) -> None:
        self.memory, self.words, self._base = memory, words, base
        self._slots, self._sets, self.width = slots, sets, width
        self._rows = base + slots * sets * WAYS
        self._one = struct.Struct(f"{WAYS}Q").unpack_from
        self._all = struct.Struct(f"{WAYS * slots}Q").unpack_from
        self._empty = bytes(8 * width)

    @staticmethod
    def size(slots: int, sets: int, width: int) -> int:
        """Return the words that such a table takes."""
        return slots * sets * WAYS * (1 + width)

    def find(self, slot: int, key: int) -> int:
        """Return the address of the slot's row of `key`, or 0."""
        place = ((key % self._sets) * self._slots + slot) * WAYS
        keys = self._one(self.memory, (self._base + place) * 8)
        return self._rows + (place + keys.index(key)) * self.width if key in keys else 0

    def find_all(self, key: int) -> list[int]:
        """Return the addresses of the rows of `key`, of every slot that has one."""
        place = (key % self._sets) * self._slots * WAYS
        keys = self._all(self.memory, (self._base + place) * 8)
        found, way = [], -1
        for _ in range(keys.count(key)):
            way = keys.index(key, way + 1)
            found.append(self._rows + (place + way) * self.width)
        return found

    def slot_of(self, row: int) -> int:
        """Return whose row this is."""
        return (row - self._rows) // self.width // WAYS % self._slots

    def claim(self, slot: int, key: int) -> int:
        """Return the address of the slot's row of `key`, made where there is none; 0 where all eight are held."""
        if row := self.find(slot, key):
            return row
        place = ((key % self._sets) * self._slots + slot) * WAYS
        keys = self._one(self.memory, (self._base + place) * 8)
        if 0 in keys:
            way = keys.index(0)
        else:
            rows = [self._rows + (place + number) * self.width for number in range(WAYS)]
            idle = [(self.words[row + TOUCHED], number) for number, row in enumerate(rows) if not self.words[row]]
            if not idle:
                return 0
            way = min(idle)[1]
        return self._take(place + way, key)

    def _take(self, place: int, key: int) -> int:
        row = self._rows + place * self.width
        self.words[self._base + place] = 0
        self.memory[row * 8 : (row + self.width) * 8] = self._empty
        self.words[self._base + place] = key
        return row

    def rows(self, slot: int) -> list[tuple[int, int]]:
        """Return key and address of every row in use by the slot. Slow: for the supervisor and the status page."""
        found = []
        for number in range(self._sets):
            place = (number * self._slots + slot) * WAYS
            keys = self._one(self.memory, (self._base + place) * 8)
            if any(keys):
                rows = range(self._rows + place * self.width, self._rows + (place + WAYS) * self.width, self.width)
                found += [(key, row) for key, row in zip(keys, rows, strict=True) if key]
        return found

    def drop(self, slot: int, key: int) -> None:
        """Forget the slot's row of `key`; its words are emptied when the row is next taken."""
        place = ((key % self._sets) * self._slots + slot) * WAYS
        keys = self._one(self.memory, (self._base + place) * 8)
        if key in keys:
            self.words[self._base + place + keys.index(key)] = 0
