"""How many copies a pool may make: a share of its answers, saved up to a bound. For the dispatcher. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    share: float  # earned with each answer
    most: float
    left: float

    def earn(self) -> None:
        self.left = min(self.left + self.share, self.most)

    def spend(self) -> bool:
        if self.left < 1:
            return False
        self.left -= 1
        return True


def for_late() -> Budget:
    """Return what there is for jobs that are merely late: below one in a hundred."""
    return Budget(0.009, 4.0, 4.0)


def for_stuck() -> Budget:
    """Return what there is for jobs that are late twice over: their server hangs."""
    return Budget(0.03, 16.0, 16.0)
