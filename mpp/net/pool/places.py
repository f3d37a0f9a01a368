"""The places of servers, which nobody may use twice, and what the workers of a node tell each other about servers.

For the dispatcher. LocalNode is a node of one worker, or of several dispatchers in one process (`mpp scan`, tests);
mpp.net.pool.node is the one over shared memory.
"""

from dataclasses import dataclass, field
from typing import Protocol

from mpp.net.pool.speeds import Level


@dataclass(frozen=True, slots=True)
class Word:
    """What one worker says of a server. Times are monotonic seconds."""

    dead: bool = False
    changed_at: float = 0.0  # when it last died or came back
    cause: str = ""
    suspect: bool = False
    level: Level = field(default_factory=Level)
    limit: int = 0  # places that it is believed to have; 0: nothing learned
    limit_at: float = 0.0
    answers: int = 0
    failures: int = 0
    copies: int = 0

    @property
    def news(self) -> tuple[bool, float, bool, int, str]:
        """What the others should hear at once where it has changed."""
        return self.dead, self.changed_at, self.suspect, self.limit, self.cause if self.dead else ""


class Node(Protocol):
    """What a dispatcher sees of its node. `server` is the key of a server: a name that all workers give it."""

    def take(self, server: str, most: int) -> int | None:
        """Take a free place out of the first `most`; None where none is free."""
        ...

    def release(self, server: str, place: int) -> None: ...

    def busy(self, server: str) -> int:
        """Return how many places are in use at the node."""
        ...

    def finished(self, server: str) -> int:
        """Return how often a place was released at the node."""
        ...

    def try_trial(self, server: str) -> bool:
        """Take the right to try a dead server, which one worker has at a time."""
        ...

    def end_trial(self, server: str) -> None: ...

    def say(self, server: str, word: Word) -> None:
        """Tell the others."""
        ...

    def remembered(self, server: str) -> Word | None:
        """Return what the worker before this one in its place has said last."""
        ...

    def forget(self, server: str) -> None:
        """The pool no longer has this server."""
        ...

    def news(self) -> bool:
        """True where the others have said something since this was last asked that should be heard at once."""
        ...

    def words(self, server: str) -> list[Word]:
        """Return what the others say, of those who said anything."""
        ...

    def drained(self, server: str) -> bool:
        """True where the operator wants nothing new given to it."""
        ...

    def wait(self, waiting: int, oldest: float) -> None:
        """Tell the others how many wait here, and since when the first of them does."""
        ...

    def others(self) -> tuple[int, float]:
        """Return how many wait in other workers, and since when the first of them does."""
        ...

    def wake(self) -> None:
        """Have the worker whose waiter is the oldest look again."""
        ...


class LocalNode:
    """A worker of a node that is one process. `shared` holds the places; give the same one to all of its workers."""

    def __init__(self, shared: "LocalPlaces | None" = None) -> None:
        self._shared = shared or LocalPlaces()
        self._shared.workers.append(self)
        self._words: dict[str, Word] = {}
        self._told = self._heard = 0  # news
        self._waiting, self._oldest = 0, 0.0
        self.woken = False

    def take(self, server: str, most: int) -> int | None:
        used = self._shared.used.setdefault(server, set())
        place = next((each for each in range(most) if each not in used), None)
        if place is not None:
            used.add(place)
        return place

    def release(self, server: str, place: int) -> None:
        self._shared.used[server].remove(place)
        self._shared.finished[server] = self.finished(server) + 1

    def finished(self, server: str) -> int:
        return self._shared.finished.get(server, 0)

    def busy(self, server: str) -> int:
        return len(self._shared.used.get(server, ()))

    def try_trial(self, server: str) -> bool:
        return self._shared.trials.setdefault(server, self) is self

    def end_trial(self, server: str) -> None:
        self._shared.trials.pop(server, None)

    def say(self, server: str, word: Word) -> None:
        before = self._words.get(server)
        self._words[server] = word
        if before is None or before.news != word.news:
            self._told += 1

    def news(self) -> bool:
        before = self._heard
        self._heard = sum(each._told for each in self._shared.workers if each is not self)
        return self._heard != before

    def remembered(self, server: str) -> Word | None:
        return None

    def forget(self, server: str) -> None:
        self._words.pop(server, None)

    def words(self, server: str) -> list[Word]:
        return [each._words[server] for each in self._shared.workers if each is not self and server in each._words]

    def drained(self, server: str) -> bool:
        return server in self._shared.drained

    def wait(self, waiting: int, oldest: float) -> None:
        self._waiting, self._oldest = waiting, oldest

    def others(self) -> tuple[int, float]:
        waiting = [each for each in self._shared.workers if each is not self and each._waiting]
        return (sum(each._waiting for each in waiting), min(each._oldest for each in waiting)) if waiting else (0, 0.0)

    def wake(self) -> None:
        waiting = [each for each in self._shared.workers if each is not self and each._waiting]
        if waiting:
            min(waiting, key=lambda each: each._oldest).woken = True


class LocalPlaces:
    """What the workers of a LocalNode share."""

    def __init__(self) -> None:
        self.used: dict[str, set[int]] = {}
        self.finished: dict[str, int] = {}
        self.trials: dict[str, LocalNode] = {}
        self.drained: set[str] = set()
        self.workers: list[LocalNode] = []
