"""One server of a pool as one worker knows it: what it can take, whether it is there, what it has in hand.

For the dispatcher. A refused connect means dead now. Answers that do not count, three in a row, put it out for a while. Silence
makes it suspect: nothing new is given to it until it answers. A dead server is tried after a pause; when it is back it
gets one job, and one more with each answer. Pure: time comes in as `now`, seconds.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mpp.net.connect import Server
from mpp.net.pool.capacity import Capacity
from mpp.net.pool.places import Word
from mpp.net.pool.speeds import Level, merged
from mpp.net.pool.ticket import How, Run

STRIKES = 3
REFUSED_FIRST_S, REFUSED_MOST_S = 0.05, 0.2  # a refused connect costs next to nothing
REFUSED_LONG_S = 0.7  # ... but after a minute it need not be quite so often; still back within 1 s
LONG_S = 60.0
PAUSE_FIRST_S, PAUSE_MOST_S = 0.2, 30.0  # a server that takes jobs and gives no answer costs each of them its time


@dataclass(slots=True, eq=False)
class Member:
    server: Server
    key: str  # what all workers of the node call it
    weight: float = 1.0
    group: int = 1
    capacity: Capacity = field(default_factory=Capacity)
    own: Level = field(default_factory=Level)  # what this worker has learned
    level: Level = field(default_factory=Level)  # what the node has
    runs: set[Run] = field(default_factory=set)
    dead: bool = False
    cause: str = ""  # of the last failure
    changed_at: float = 0.0  # when it last died or came back
    drained: bool = False
    doubted: bool = False  # by another worker
    strikes: int = 0
    ramp: int | None = None  # answers since its return; None: it has all its places
    proven: bool = False  # it has answered since its return, or at all
    pause: float = PAUSE_FIRST_S
    tries: int = 0  # in vain, since it died
    try_at: float = 0.0
    trying: bool = False
    ours: bool = False  # to try, of all the workers of the node
    answers: int = 0
    answered_at: float = 0.0
    failures: int = 0
    copies: int = 0
    heard: int = 0  # answers of the pool when it last answered
    credit: float = 0.0  # of weighted turns
    changed: bool = True  # the others are to be told, and soon
    learned: bool = False  # the others are to be told, some time
    told_dead: bool = False  # what the shell has last told of it

    def places(self) -> int:
        """Return how many places it has now."""
        places = self.capacity.set_to or self.capacity.limit
        return places if self.ramp is None else min(places, 1 + self.ramp)

    def overdue(self, now: float) -> bool:
        """True while an answer of it to this worker is overdue; `doubted` says the same of the others."""
        return any(now - run.since > run.patience for run in self.runs)

    def up(self, now: float) -> bool:
        """True where new jobs may be given to it, were there a place."""
        return self.open and not self.overdue(now)

    @property
    def open(self) -> bool:
        """True where new jobs may be given to it, did no answer stay away."""
        return not (self.dead or self.drained or self.doubted)

    def answered(self, now: float) -> None:
        self.answers += 1
        self.answered_at = now
        self.strikes, self.proven, self.pause, self.learned = 0, True, PAUSE_FIRST_S, True
        if self.ramp is not None:
            self.ramp = self.ramp + 1 if self.ramp + 1 < self.capacity.places() else None

    def struck(self, how: How, cause: str, now: float, jitter: Callable[[], float]) -> None:
        """Note a failure; it may be the one that makes it dead."""
        self.failures += 1
        self.cause, self.changed = cause, True
        self.strikes += 1
        if not self.dead and (how != "broke" or self.strikes >= (STRIKES if self.proven else 1)):
            self._die(how, now, jitter)

    def _die(self, how: How, now: float, jitter: Callable[[], float]) -> None:
        self.dead, self.changed_at, self.changed, self.tries = True, now, True, 0
        if how == "refused":
            wait = REFUSED_FIRST_S
        else:
            wait, self.pause = self.pause, min(self.pause * 2, PAUSE_MOST_S)
        self.try_at = now + wait * (0.5 + jitter() / 2)

    def tried_in_vain(self, cause: str, now: float, jitter: Callable[[], float]) -> None:
        self.cause, self.changed = cause, True
        self.tries += 1
        most = REFUSED_MOST_S if now - self.changed_at < LONG_S else REFUSED_LONG_S
        self.try_at = now + min(REFUSED_FIRST_S * 2.0 ** min(self.tries, 10), most) * (0.5 + jitter() / 2)

    def came_back(self, at: float) -> None:
        """It is there again, by our own trial or by the word of another worker."""
        self.dead, self.trying, self.changed_at, self.changed = False, False, at, True
        self.strikes, self.ramp, self.proven = 0, 0, False

    def word(self, now: float) -> Word:
        """Return what the others are told."""
        return Word(
            self.dead,
            self.changed_at,
            self.cause,
            self.overdue(now),
            self.own,
            self.capacity.places(),
            self.capacity.changed_at,
            self.answers,
            self.failures,
            self.copies,
        )

    def hear(self, words: Iterable[Word], now: float) -> None:
        """Take in what the others say: the newest word on life and death counts, of speeds the mean."""
        self.doubted = False
        levels = []
        for word in words:
            self.doubted = self.doubted or word.suspect
            levels.append(word.level)
            self.capacity.adopt(word.limit, word.limit_at)
            if word.changed_at > self.changed_at:
                if word.dead and not self.dead:
                    self.dead, self.cause, self.tries = True, word.cause, 0
                    self.try_at = now + REFUSED_MOST_S
                elif self.dead and not word.dead:
                    self.came_back(word.changed_at)
                self.changed_at = word.changed_at
        self.level = merged(self.own, levels, now) if levels else self.own
