"""What one inspection may still unpack: members and time over all, octets of each attached file, growth of each container."""

import time

from mpp.checks.attachments.item import BombError, Limits


class Budget:
    """Counts what is unpacked. Raises BombError when a limit is passed; `clock` gives monotonic seconds."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._octets, self._entries = limits.octets, limits.entries
        self._until = time.monotonic() + limits.seconds

    def next_file(self) -> bool:
        """Go on with another attached file; False where members or time have run out for all."""
        self._octets = self.limits.octets
        return self._entries >= 0 and time.monotonic() <= self._until

    def entry(self) -> None:
        """One more member."""
        self._entries -= 1
        if self._entries < 0:
            raise BombError(f"more than {self.limits.entries} members")
        self.in_time()

    def announced(self, members: int) -> None:
        """A directory names so many: what cannot be opened whole is not even begun."""
        if members > self._entries:
            raise BombError(f"announces more than {self.limits.entries} members")

    def in_time(self) -> None:
        """Raise BombError where the time is over."""
        if time.monotonic() > self._until:
            raise BombError(f"not opened within {self.limits.seconds:g} s")

    def left(self) -> int:
        return self._octets

    def meter(self, packed: int) -> "Meter":
        """Begin a container of `packed` octets."""
        return Meter(self, packed)

    def take(self, octets: int) -> None:
        self._octets -= octets
        if self._octets < 0:
            raise BombError(f"more than {self.limits.octets} octets unpacked")
        self.in_time()


class Meter:
    """The growth of one container."""

    def __init__(self, budget: Budget, packed: int) -> None:
        self.budget, self._unpacked = budget, 0
        self._most = max(budget.limits.ratio_from, packed * budget.limits.ratio)

    def take(self, octets: int) -> None:
        """Count unpacked octets, before they are kept."""
        self._unpacked += octets
        if self._unpacked > self._most:
            raise BombError(f"over {self._most} octets from one container")
        self.budget.take(octets)

    def left(self) -> int:
        """Return how many octets may still come of it."""
        return min(self._most - self._unpacked, self.budget.left())

    def announced(self, octets: int) -> None:
        """A member says that it is so large: what cannot be kept is not even begun."""
        if self._unpacked + octets > self._most:
            raise BombError(f"announces more than {self._most} octets")

    def only_begun(self, octets: int) -> bool:
        """All members say that they are so large together: return True where that is a bomb, of which a beginning is opened."""
        bomb = self._unpacked + octets > self._most
        if bomb:
            self._most = min(self._most, self.budget.limits.ratio_from)
        return bomb
