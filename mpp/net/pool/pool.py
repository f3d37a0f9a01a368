"""Servers that do the same job, used in turn by the jobs of this worker; a server that fails is left alone for a while.

Called by mpp.checks.scanners. OSError and RemoteProtocolError from a job are the server's fault, everything else passes
through. Raises PoolError, and nothing else of its own.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mpp.net.connect import Server
from mpp.net.pool.asking import Asking, Job, PoolError, T
from mpp.protocols.errors import RemoteProtocolError

BACK_OFF_S = 0.5  # after the first failure; doubled with each further one
BACK_OFF_MOST_S = 30.0
BRIEFLY_S = 60.0  # down no longer than this, a server is tried again
BACK_OFF_MOST_BRIEFLY_S = 1.6  # ... at least so often, and so is found back within 2 s of its return
_ANY = Asking()
TRIAL_S = 1.0  # jobs wait so long for the one that tries a server whose time has come


@dataclass(frozen=True, slots=True)
class ServerState:
    name: str
    up: bool
    in_use: int
    answers: int  # since the start
    failures: int
    cause: str  # of the last failure, "" where there was none


@dataclass(slots=True)
class _Member:
    server: Server
    in_use: int = 0
    answers: int = 0
    failures: int = 0
    cause: str = ""
    in_a_row: int = 0  # failures since the last answer; 0: up
    down_since: float = 0.0
    retry_at: float = 0.0
    on_trial: bool = False  # down, and one job is trying it


@dataclass(slots=True, eq=False)
class _Waiter:
    besides: _Member | None  # not this server: it has failed the job
    place: asyncio.Future[_Member]


class Pool:
    """`run` gives a job to a server with a free place, at most `connections` of them at a time to each server."""

    def __init__(
        self, servers: Sequence[Server], *, connections: int, jitter: Callable[[], float] = random.random
    ) -> None:
        self._members = [_Member(server) for server in servers]
        self._connections = connections
        self._jitter = jitter
        self._turn = 0
        self._waiting: deque[_Waiter] = deque()

    def state(self) -> tuple[ServerState, ...]:
        return tuple(
            ServerState(m.server.name, m.in_a_row == 0, m.in_use, m.answers, m.failures, m.cause) for m in self._members
        )

    async def run(self, job: Job[T], deadline: float, asking: Asking = _ANY) -> T:
        """Return the job's result from the first server that gives one by `deadline`.

        Waits for a free place; where no server is up it fails at once. After a failure one other server is tried.
        Raises PoolError.
        """
        member = await self._place(None, deadline)
        try:
            return await self._run_at(member, job, deadline)
        except (OSError, RemoteProtocolError):
            failed = member
        if not self._promising(failed) or _now() >= deadline:
            raise PoolError(failed.server.name, failed.cause)
        member = await self._place(failed, deadline)
        try:
            return await self._run_at(member, job, deadline)
        except (OSError, RemoteProtocolError):
            raise PoolError(member.server.name, member.cause) from None

    async def _run_at(self, member: _Member, job: Job[T], deadline: float) -> T:
        """Run the job at a server whose place is taken, and note what became of it."""
        trial = member.on_trial
        until = deadline
        if trial and self._promising(member):
            until = (deadline + _now()) / 2  # time is left for a server that is known to answer
        try:
            async with asyncio.timeout_at(until):
                result = await job(member.server, until)
        except (OSError, RemoteProtocolError) as error:
            self._note_failure(member, error, trial)
            raise
        else:
            member.answers += 1
            member.in_a_row = 0
            return result
        finally:
            self._release(member, trial)

    def _note_failure(self, member: _Member, error: Exception, trial: bool) -> None:
        member.failures += 1
        member.cause = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
        if member.in_a_row and not trial:
            return  # begun before the server was known to be down; its trial alone moves the back-off
        now = _now()
        if not member.in_a_row:
            member.down_since = now
        most = BACK_OFF_MOST_BRIEFLY_S if now - member.down_since < BRIEFLY_S else BACK_OFF_MOST_S
        back_off = min(BACK_OFF_S * 2.0 ** min(member.in_a_row, 10), most)
        member.in_a_row += 1
        member.retry_at = now + back_off * (0.5 + self._jitter() / 2)

    async def _place(self, besides: _Member | None, deadline: float) -> _Member:
        """Take a place at the server whose turn it is. Raises PoolError: none is up, or no place is free in time."""
        if not self._waiting and (member := self._pick(besides)) is not None:
            return member
        until = deadline if self._promising(besides) else min(deadline, _now() + TRIAL_S)
        waiter = _Waiter(besides, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._grant()
        taken = False
        try:
            async with asyncio.timeout_at(until):
                member = await waiter.place
                taken = True
            return member
        except TimeoutError:
            if until < deadline:
                raise self._none_up(besides) from None
            raise PoolError(self._names(besides), "no place became free in time") from None
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            place = waiter.place
            if not taken and place.done() and not place.cancelled() and place.exception() is None:
                self._release(place.result(), place.result().on_trial)

    def _grant(self) -> None:
        """Give free places to those who wait, in the order they came; and the bad news where nothing is left to hope."""
        while self._waiting:
            waiter = self._waiting[0]
            if waiter.place.done():  # given up, and not yet gone
                self._waiting.popleft()
                continue
            member = self._pick(waiter.besides)
            if member is not None:
                waiter.place.set_result(member)
            elif self._hopeless(waiter.besides):
                waiter.place.set_exception(self._none_up(waiter.besides))
            else:
                return
            self._waiting.popleft()

    def _release(self, member: _Member, trial: bool) -> None:
        member.in_use -= 1
        if trial:
            member.on_trial = False
        self._grant()

    def _pick(self, besides: _Member | None) -> _Member | None:
        """Take a place: at a server due for its trial, else at the one least in use, in turn where equal."""
        now = _now()
        best: _Member | None = None
        count = len(self._members)
        for step in range(count):
            member = self._members[(self._turn + step) % count]
            if member is besides:
                continue
            if member.in_a_row:
                if not member.on_trial and member.retry_at <= now:
                    member.on_trial = True
                    best = member
                    break
            elif member.in_use < self._connections and (best is None or member.in_use < best.in_use):
                best = member
        if best is not None:
            best.in_use += 1
            self._turn = (self._members.index(best) + 1) % count
        return best

    def _promising(self, besides: _Member | None) -> bool:
        """True where another server is up."""
        return any(not member.in_a_row for member in self._members if member is not besides)

    def _hopeless(self, besides: _Member | None) -> bool:
        """True where every other server is down and nobody is trying one."""
        return not any(not member.in_a_row or member.on_trial for member in self._members if member is not besides)

    def _none_up(self, besides: _Member | None) -> PoolError:
        causes = {member.cause for member in self._members if member is not besides and member.in_a_row}
        return PoolError(self._names(besides), "not up: " + "; ".join(sorted(causes)))

    def _names(self, besides: _Member | None) -> str:
        return ", ".join(member.server.name for member in self._members if member is not besides)


def _now() -> float:
    return asyncio.get_running_loop().time()
