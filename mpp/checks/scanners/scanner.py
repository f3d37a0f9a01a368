"""What all scanner adapters have in common: what failure and size mean; and for servers their pool and connections."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Generic, ParamSpec, TypeVar

from mpp.checks.guards.troubles import Troubles
from mpp.checks.scanners.settings import OnOversize, Scanner, Served, SpamScanner
from mpp.mail.escape import printable
from mpp.net.connect import Connection, Server, connect, server_of, why_silent
from mpp.net.lookups import Lookups
from mpp.net.pool.asking import Asking, Job, PoolError, T
from mpp.net.pool.pool import PoolSettings
from mpp.net.pool.pools import Pools
from mpp.net.tls import client_contexts
from mpp.protocols.errors import ClosedEarlyError, RemoteProtocolError
from mpp.settings.common import Tls
from mpp.settings.problem import Path, Problem
from mpp.verdict.finding import SCANNER_FAILED, SPAM_SCANNED, TOO_LARGE, VIRUS_SCANNED, Finding
from mpp.verdict.transaction import Transaction

ANSWER_S = 10.0  # for a server to tell what it is
HERE = 64 << 10  # octets that are digested without a thread
OLD_DAYS = 7  # from then on a virus scanner misses what everybody else knows
Contexts = Callable[[str], ssl.SSLContext | None]  # mpp.net.tls.client_contexts
_OVERSIZE_REPLIES: dict[OnOversize, str] = {
    "continue": "",
    "reject": "552 5.3.4 Message too large to be scanned",
    "defer": "452 4.3.1 Message too large to be scanned now",
}


@dataclass(slots=True)
class _Attempt:
    """One run of a job at one server."""

    begun: float
    in_hand: bool = True  # a server has the message, and has neither answered nor closed


_current: ContextVar[_Attempt] = ContextVar("attempt")  # of the job that runs in this task

S = TypeVar("S", bound=Scanner)
P = TypeVar("P", bound=Served)
A = ParamSpec("A")


PROBE_CONNECT_S = 0.8  # a host that was gone does not hear the connects begun before its return


@dataclass(frozen=True, slots=True)
class Tools:
    """What adapters are handed: pools that outlive a revision of the settings, TLS contexts by policy, and where troubles go."""

    pools: Pools = field(default_factory=Pools)
    contexts: Contexts = field(default_factory=lambda: client_contexts(Tls()))
    troubles: Troubles = field(default_factory=Troubles)
    resolvers: tuple[str, ...] = ()  # of DNS; none: the system's
    _lookups: dict[tuple[tuple[str, ...], float], Lookups] = field(default_factory=dict)

    def lookups(self, resolvers: tuple[str, ...], timeout_s: float) -> Lookups:
        """Return the cache of DNS answers that all who ask these resolvers share; none: the usual ones."""
        key = (resolvers or self.resolvers, timeout_s)
        if key not in self._lookups:
            self._lookups[key] = Lookups(key[0], timeout_s=timeout_s)
        return self._lookups[key]


@dataclass(frozen=True, slots=True)
class About:
    """What a server says of itself, and from when its signatures are where it tells."""

    text: str  # cleaned
    signatures: float | None = None  # seconds since 1970

    def problems(self, path: Path, now: float) -> Iterator[Problem]:
        """Yield a note; and a warning where the signatures are old."""
        if self.signatures is None:
            yield Problem(path, f"is {self.text}", "", "note")
            return
        days = max(0, int((now - self.signatures) / 86400))
        day = time.strftime("%Y-%m-%d", time.gmtime(self.signatures))
        yield Problem(path, f"is {self.text}, signatures of {day}", "", "note")
        if days > OLD_DAYS:
            what = f"has signatures of {day}, which are {days} days old"
            yield Problem(
                path, what, "see why they are not updated there (freshclam, sa-update, or the vendor's own)", "warning"
            )


class ScannerCheck(Generic[S]):
    """The base of the adapters: a Check by its settings, but for `examine`."""

    def __init__(self, settings: S, tools: Tools) -> None:
        self.settings = settings
        self.name = settings.name
        self.layer = settings.layer
        self.spam = isinstance(settings, SpamScanner)
        self.answered = Finding(settings.name, SPAM_SCANNED if self.spam else VIRUS_SCANNED)

    def deadline(self) -> float:
        """Return the moment by which an answer asked for now must be there."""
        return asyncio.get_running_loop().time() + self.settings.timeout

    def failed(self, server: str, cause: str, recipients: frozenset[str] = frozenset()) -> Finding:
        """Return the finding that says that no server gave an answer, with what the settings make of that."""
        evidence = f"{server}: {cause}" if server else cause
        failure = self.settings.on_failure
        return Finding(self.name, SCANNER_FAILED, evidence=evidence, failure=failure, recipients=recipients)

    async def told(self, path: Path) -> list[Problem]:
        """Return what `mpp check` says of it: what is wrong, and a note of what it is. `path` is its settings' place."""
        return []

    async def updates(self) -> dict[str, float]:
        """Return from when the signatures of each server are (seconds since 1970) that answers and tells it, by its name."""
        return {}

    def too_large(self, size: int, limit: str = "") -> Finding:
        """Return the finding for a message over a limit, "" for max_size; it refuses or defers where the settings say so."""
        limit = limit or f"{self.settings.max_size} (max_size)"
        refusal = _OVERSIZE_REPLIES[self.settings.on_oversize]
        return Finding(self.name, TOO_LARGE, evidence=f"{size} octets, limit {limit}", refusal=refusal)


class ServedCheck(ScannerCheck[P]):
    """The base of the adapters of servers: a Check whose servers are a pool of one kind.

    An adapter gives `ask` a job, which speaks with a server (by `connect`) and returns its answer or raises OSError or
    RemoteProtocolError; `probe` is its kind's way to ask whether a server is there.
    """

    waits_its_turn = False  # a connection that finds a server of this kind busy is served as soon as it is free

    def __init__(self, settings: P, tools: Tools) -> None:
        super().__init__(settings, tools)
        servers: list[Server] = [server_of(text) for text in settings.servers]
        self._troubles = tools.troubles
        self.context = tls_context(settings.verify, settings.servers, tools.contexts)
        weights = settings.weights if settings.balance == "weighted" else ()
        ahead = self.waits_its_turn and self.context is None  # TLS begins when its turn comes, and would wait for that
        wanted = PoolSettings(
            tuple(servers), settings.connections, settings.balance, weights, settings.groups, settings.timeout, ahead
        )
        self.pool = tools.pools.pool(settings.name, wanted, self.probe)

    async def ask(
        self,
        job: Job[T],
        size: int,
        transaction: Transaction,
        *,
        deadline: float | None = None,
        key: str = "",
        copies: bool = True,
    ) -> T:
        """Have a server of the pool do a job and return its result. `size` is the octets that it is about.

        `key` is whose job it is, for strategies that stay with a server. `copies` must be false where doing it twice
        is not the same as doing it once. Raises PoolError.
        """
        recipients = transaction.envelope.recipients
        tenant = recipients[0].address.rpartition("@")[2].lower() if recipients else ""
        attempts: list[_Attempt] = []
        until = deadline or self.deadline()
        try:
            asking = Asking(size, tenant, self._key(transaction, key), copies)
            return await self.pool.run(self._watched(job, transaction.digest, attempts), until, asking)
        except PoolError:
            if asyncio.get_running_loop().time() >= until:
                begun = [attempt.begun for attempt in attempts if attempt.in_hand]
                if begun:  # a copy of it may have been given to a second server: that is one trouble
                    self._troubles.stalled(self.name, transaction.digest, max(begun), time.monotonic())
            raise

    def _key(self, transaction: Transaction, key: str) -> str:
        """Return by what a strategy that stays with a server chooses it."""
        recipients = transaction.envelope.recipients
        if self.settings.balance == "hash-message" and transaction.message is not None:
            return blake2b(transaction.message.raw, digest_size=8).hexdigest()
        if self.settings.balance == "hash-user" and recipients:
            return key or recipients[0].address.lower()
        return key

    def _watched(self, job: Job[T], digest: bytes, attempts: "list[_Attempt]") -> Job[T]:
        """Return the job; over which message a server crashes is noted, and in `attempts` what it has in hand."""

        async def watched(server: Server, until: float) -> T:
            attempt = _Attempt(time.monotonic())
            attempts.append(attempt)
            _current.set(attempt)
            try:
                result = await job(server, until)
            except (ConnectionError, ClosedEarlyError):
                if attempt.in_hand:
                    self._troubles.crashed(self.name, digest, time.monotonic())
                attempt.in_hand = False
                raise
            attempt.in_hand = False
            self._troubles.answered(self.name, digest, time.monotonic())
            return result

        return watched

    async def connect(self, server: Server, deadline: float, first: bytes = b"") -> Connection:
        """Open a connection to a server, and say `first`. Raises OSError."""
        attempt = _current.get(None)
        if attempt is not None:
            attempt.in_hand = False  # what fails before it is open is no fault of the message
        connection = await connect(server, self.connect_deadline(deadline), self.context, first)
        if attempt is not None:
            attempt.in_hand = True
        return connection

    async def probe(self, server: Server, deadline: float) -> None:
        """Return where a server is there again; OSError and RemoteProtocolError say that it is not."""
        soon = asyncio.get_running_loop().time() + PROBE_CONNECT_S
        connection = await connect(server, min(deadline, soon), self.context)
        try:
            await self.ping(server, connection)
        finally:
            connection.close()

    async def ping(self, server: Server, connection: Connection) -> None:
        """Ask a server that was just connected to whether it works; a kind without a question for that asks nothing.

        May wait as long as a busy server needs. Raises OSError and RemoteProtocolError.
        """

    async def tell(self, server: Server, deadline: float) -> About:
        """Return what a server says of itself. Raises OSError, and RemoteProtocolError where it is something else."""
        await self.probe(server, deadline)
        return About("answers")

    async def told(self, path: Path) -> list[Problem]:
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(self._told((*path, "servers", item), server_of(server)), name=f"tell {server}")
                for item, server in enumerate(self.settings.servers)
            ]
        return [problem for task in asked for problem in task.result()]

    async def updates(self) -> dict[str, float]:
        servers = list(map(server_of, self.settings.servers))
        times = await asyncio.gather(*map(self._updated, servers))
        return {server.name: at for server, at in zip(servers, times, strict=True) if at is not None}

    async def _updated(self, server: Server) -> float | None:
        """Return from when the signatures of a server are; that it does not answer is told by others."""
        deadline = asyncio.get_running_loop().time() + ANSWER_S
        try:
            async with asyncio.timeout_at(deadline):
                return (await self.tell(server, deadline)).signatures
        except (OSError, RemoteProtocolError):  # a timeout is an OSError
            return None

    async def _told(self, path: Path, server: Server) -> list[Problem]:
        cure = f"start {self.settings.kind}, or correct the address"
        deadline = asyncio.get_running_loop().time() + ANSWER_S
        try:
            async with asyncio.timeout_at(deadline):
                told = await self.tell(server, deadline)
        except RemoteProtocolError as error:
            what = f'"{printable(server.name)}" is no {self.settings.kind}: {printable(str(error), 200)}'
            return [Problem(path, what, cure)]
        except OSError as error:  # a timeout is one
            return [Problem(path, f'"{printable(server.name)}" does not answer: {why_silent(error, ANSWER_S)}', cure)]
        return list(told.problems(path, time.time()))

    def connect_deadline(self, deadline: float) -> float:
        """Return the moment by which a connection begun now must be open."""
        return min(deadline, asyncio.get_running_loop().time() + self.settings.connect_timeout)


async def beside_loop(size: int, work: Callable[A, T], *arguments: A.args, **more: A.kwargs) -> T:
    """Have work done that takes longer the more octets it is about, in a thread where it would hold up the loop."""
    if size <= HERE:
        return work(*arguments, **more)
    return await asyncio.to_thread(work, *arguments, **more)


def tls_context(verify: bool, servers: Iterable[str], contexts: Contexts) -> ssl.SSLContext | None:
    """Return how the tls: servers among some are spoken to, None where there is none."""
    return contexts("verify" if verify else "must") if any(each.startswith("tls:") for each in servers) else None
