"""Servers that do the same job as one: the shell around the dispatcher, with its tasks, timers and names.

Called by mpp.checks.scanners, one pool for each of the settings' scanners in each worker. OSError and RemoteProtocolError
from a job are the server's fault, everything else passes through. Raises PoolError, and nothing else of its own.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mpp.net.connect import Server, UnreachedError
from mpp.net.pool.asking import Asking, Job, PoolError, Probe, Strategy, T
from mpp.net.pool.capacity import Capacity
from mpp.net.pool.choose import draw
from mpp.net.pool.dispatcher import Dispatcher
from mpp.net.pool.member import Member
from mpp.net.pool.names import Resolve, follow, is_name, servers_at, system_resolve
from mpp.net.pool.places import Node
from mpp.net.pool.ticket import How, Run, Ticket
from mpp.protocols.errors import RemoteProtocolError

TOO_LATE = "no answer in time"
_ANY = Asking()


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What the settings say of a pool."""

    servers: tuple[Server, ...]
    connections: int = 0  # places of each server, over all workers of the node; 0: learned
    strategy: Strategy = "expected"
    weights: tuple[float, ...] = ()  # of the servers; none: all alike
    groups: tuple[int, ...] = ()  # of the servers: a lower one is used first
    timeout: float = 40.0  # seconds for a trial's answer
    ahead: bool = False  # while many wait, a busy server is given one more, which waits there for its turn


@dataclass(frozen=True, slots=True)
class ServerState:
    name: str
    up: bool
    in_use: int
    places: int
    answers: int  # since the start
    failures: int
    cause: str  # of the last failure, "" where there was none


@dataclass(slots=True, eq=False)
class _Asked:
    """A job and who waits for its result."""

    job: Job[Any]
    result: asyncio.Future[Any]
    tasks: dict[Run, asyncio.Task[None]] = field(default_factory=dict)
    late: bool = False


class Pool:
    """`run` has a job done by the server that will have it done first."""

    def __init__(
        self,
        settings: PoolSettings,
        probe: Probe,
        node: Node,
        *,
        resolve: Resolve = system_resolve,
        tell: Callable[[Member], None] = lambda member: None,
        jitter: Callable[[], float] = draw,
    ) -> None:
        """`tell` hears of each server that dies or comes back."""
        self._core = Dispatcher(node, settings.strategy, jitter, ahead=settings.ahead)
        self._resolve, self._tell = resolve, tell
        self._asked: dict[Ticket, _Asked] = {}  # while somebody waits or something runs
        self._following: dict[Server, asyncio.Task[None]] = {}
        self._addresses: dict[Server, tuple[Server, ...]] = {}
        self._trials: set[asyncio.Task[None]] = set()
        self._resolved = asyncio.Event()
        self._timer: asyncio.Handle | None = None
        self._due_at = 0.0  # of the timer; uvloop's may not know
        self._expiry: asyncio.Handle | None = None  # one timer for all: most have their answer long before
        self._expires_at = 0.0  # of that timer
        self.configure(settings, probe)

    def configure(self, settings: PoolSettings, probe: Probe) -> None:
        """Take other settings; what is known of servers that stay is kept."""
        self._settings, self._probe = settings, probe
        self._core.strategy, self._core.ahead = settings.strategy, settings.ahead
        self._named = frozenset(filter(is_name, settings.servers))
        for server in self._following.keys() - set(settings.servers):
            self._following.pop(server).cancel()
        self._use_servers()

    def state(self) -> tuple[ServerState, ...]:
        busy = self._core.node.busy
        return tuple(
            ServerState(m.key, not m.dead, busy(m.key), m.places(), m.answers, m.failures, m.cause)
            for m in self._core.members
        )

    async def run(self, job: Job[T], deadline: float, asking: Asking = _ANY) -> T:
        """Return the job's result from the first server that gives one by `deadline`, waiting for a free place.

        Where no server is up it fails at once. Raises PoolError.
        """
        if self._named or not self._core.members:
            await self._names(deadline)
        core, loop = self._core, asyncio.get_running_loop()
        ticket = core.arrive(asking, deadline, time.monotonic())
        asked = self._asked[ticket] = _Asked(job, loop.create_future())
        if self._expiry is None or deadline < self._expires_at:
            self._expire_at(deadline)
        self._step()
        try:
            result: T = await asked.result
            return result
        except BaseException:  # nobody wants it any longer, or it failed: what still runs is of no use
            if not asked.late:
                self._stop(asked)
            raise
        finally:
            if not ticket.over:
                core.give_up(ticket)
            self._rest(ticket, asked)

    def _rest(self, ticket: Ticket, asked: _Asked) -> None:
        """Forget what nobody waits for where nothing of it runs."""
        if not asked.tasks and asked.result.done():
            self._asked.pop(ticket, None)

    def _expire_at(self, deadline: float) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = asyncio.get_running_loop().call_at(deadline, self._expire)
        self._expires_at = deadline

    def _expire(self) -> None:
        """For some the time is over: tell who waits, and end what runs, a copy that nobody waits for too."""
        self._expiry = None
        now = asyncio.get_running_loop().time()
        for ticket, asked in [each for each in self._asked.items() if each[0].deadline <= now]:
            asked.late = True
            if not asked.result.done():
                asked.result.set_exception(self._too_late(ticket))
                self._core.give_up(ticket)
            self._stop(asked)
        left = [ticket.deadline for ticket, asked in self._asked.items() if not asked.late]
        if left:
            self._expire_at(
                max(min(left), now + 0.001)
            )  # uvloop's timers know milliseconds, and may be early by half of one

    def _stop(self, asked: _Asked) -> None:
        for run, task in asked.tasks.items():
            task.cancel()
            task.add_done_callback(partial(self._ended, run, asked))

    def look(self) -> None:
        """Another worker says that there may be something to do."""
        if self._asked:
            self._step()

    def close(self) -> None:
        """Stop following names and trying servers; jobs that run come to their end."""
        self._settings = PoolSettings(())
        for task in (*self._following.values(), *self._trials):
            task.cancel()
        self._following.clear()
        self._core.use((), time.monotonic())

    def _step(self) -> None:
        """Carry out what the dispatcher wants now, and come back when it may want more."""
        now = time.monotonic()
        self._begin(now)
        self._tend(now)

    def _begin(self, now: float, idle: asyncio.Task[None] | None = None) -> tuple[Run, _Asked] | None:
        """Begin the runs that the dispatcher wants, each in a task of its own.

        The first is for the task `idle`, where there is one: it is returned.
        """
        core = self._core
        taken: tuple[Run, _Asked] | None = None
        for run in core.step(now):
            asked = self._asked.get(run.ticket)
            if asked is None:
                core.dropped(run, now)
            elif idle is not None and taken is None:
                asked.tasks[run] = idle
                taken = run, asked
            else:
                asked.tasks[run] = asyncio.create_task(self._work(run, asked), name="pool")
        return taken

    def _tend(self, now: float) -> None:
        """See after those who wait in vain and the servers that are dead, and set the timer."""
        core = self._core
        if core.queue:
            for ticket in core.hopeless():
                self._failed(ticket)
        if [member for member in core.members if member.dead or member.told_dead]:
            self._care(now)
        self._wind(core.wait_s(now))

    def _care(self, now: float) -> None:
        """See after servers that are dead, or were."""
        for member in self._core.trials(now):
            task = asyncio.create_task(self._try(member), name=f"try {member.key}")
            self._trials.add(task)
            task.add_done_callback(self._trials.discard)
        for member in self._core.members:
            if member.told_dead != member.dead:
                member.told_dead = member.dead
                self._tell(member)

    def _wind(self, wait_s: float | None) -> None:
        """Set the timer, unless it is set to a moment that is early enough."""
        if wait_s is None:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + wait_s
        if self._timer is not None:
            if self._due_at <= due + 0.001:
                return
            self._timer.cancel()
        self._timer, self._due_at = loop.call_at(due, self._due), due

    def _due(self) -> None:
        self._timer = None
        self._step()

    async def _work(self, run: Run, asked: _Asked) -> None:
        """Carry out a run, and then those that its place becomes free for: the next request leaves in the same turn of the loop."""
        task = asyncio.current_task()
        assert task is not None
        going: tuple[Run, _Asked] | None = (run, asked)
        while going is not None:
            going = await self._attempt(*going, task)

    async def _attempt(self, run: Run, asked: _Asked, task: asyncio.Task[None]) -> tuple[Run, _Asked] | None:
        """Do a job at a server whose place is taken, and tell the dispatcher what became of it; return what `task` does next.

        Whoever waits for the result wakes when the next job is on its way: until then a server stands idle.
        """
        core, ticket = self._core, run.ticket
        try:
            result = await asked.job(run.member.server, ticket.deadline)
        except (OSError, RemoteProtocolError) as error:
            now = time.monotonic()
            core.failed(run, how(error, now >= ticket.deadline), cause_of(error), now)
            self._step()
            self._failed(ticket)
            return None
        except BaseException as error:  # cancelled, or a fault of the job itself: the place must come back
            if asked.late:
                core.failed(run, "silent", TOO_LATE, time.monotonic())
            else:
                core.dropped(run, time.monotonic())
            self._step()
            if not isinstance(error, Exception) or asked.result.done():
                raise
            asked.result.set_exception(error)
            return None
        finally:
            del asked.tasks[run]
            self._rest(ticket, asked)
        now = time.monotonic()
        if core.answered(run, now) and not asked.result.done():
            asked.result.set_result(result)
        if not core.queue:
            core.learn(run, now)
            return None  # nothing begins now: what is to be told the timer tells
        taken = self._begin(now, task)
        asyncio.get_running_loop().call_soon(self._after, run, now)  # what `task` does now comes before
        return taken

    def _after(self, run: Run, now: float) -> None:
        """Do what an answer asks for, that came at `now`, beside giving its place away."""
        self._core.learn(run, now)
        self._tend(now)

    def _ended(self, run: Run, asked: _Asked, _: asyncio.Task[None]) -> None:
        """Take the place back from a task that was cancelled before it had begun."""
        if asked.tasks.pop(run, None) is not None:
            self._rest(run.ticket, asked)
            self._core.dropped(run, time.monotonic())
            self._step()

    def _failed(self, ticket: Ticket) -> None:
        """Tell who waits for a ticket, where it has failed for good."""
        asked = self._asked.get(ticket)
        if asked is None:
            return
        if ticket.over and ticket.error is not None and not asked.result.done():
            asked.result.set_exception(ticket.error)

    def _too_late(self, ticket: Ticket) -> PoolError:
        if ticket.runs:
            return PoolError(ticket.runs[-1].member.key, TOO_LATE)
        if ticket.error:
            return ticket.error
        return PoolError(", ".join(member.key for member in self._core.members), "no place became free in time")

    async def _try(self, member: Member) -> None:
        """See whether a dead server is there again."""
        cause = "given up"
        try:
            deadline = asyncio.get_running_loop().time() + self._settings.timeout
            async with asyncio.timeout_at(deadline):
                await self._probe(member.server, deadline)
            cause = ""
        except (OSError, RemoteProtocolError) as error:
            cause = cause_of(error)
        finally:
            self._core.tried(member, cause, time.monotonic())
            self._step()

    # Names

    async def _names(self, deadline: float) -> None:
        """Follow the names among the servers; wait for the first answer where no server is known yet."""
        for server in self._named:
            if server not in self._following:
                following = follow(server, self._resolve, self._use_addresses)
                self._following[server] = asyncio.create_task(following, name=f"follow {server.name}")
        if not self._core.members:
            self._resolved.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._resolved.wait()
            except TimeoutError:
                names = ", ".join(server.name for server in self._settings.servers)
                raise PoolError(names, "the name was not resolved in time") from None

    def _use_addresses(self, server: Server, addresses: tuple[str, ...], cause: str) -> None:
        before = self._addresses.get(server)
        # a name without addresses keeps those that it had; where it never had one, the name stands for them
        places = servers_at(server, addresses) if addresses else before or (server,)
        if places != before:
            self._addresses[server] = places
            self._use_servers()
            for member in self._core.members if not addresses else ():
                if member.server == server:
                    member.dead, member.cause, member.trying = True, cause, True
        self._resolved.set()
        self._step()

    def _use_servers(self) -> None:
        """Give the dispatcher a member for each server or address, those that stay with all that is known of them."""
        settings = self._settings
        known = {member.server: member for member in self._core.members}
        members = []
        for number, server in enumerate(settings.servers):
            for place in self._addresses.get(server, ()) if server in self._named else (server,):
                member = known.get(place) or Member(place, place.name, capacity=Capacity())
                member.weight = settings.weights[number] if settings.weights else 1.0
                member.group = settings.groups[number] if settings.groups else 1
                member.capacity.set_to = settings.connections
                members.append(member)
        self._core.use(members, time.monotonic())


def how(error: Exception, late: bool) -> How:
    """Return what an error from a job says of its server."""
    if isinstance(error, (UnreachedError, ConnectionRefusedError, FileNotFoundError)):
        return "refused"
    return "silent" if late and isinstance(error, TimeoutError) else "broke"


def cause_of(error: Exception) -> str:
    return str(error) or (TOO_LATE if isinstance(error, TimeoutError) else type(error).__name__)
