"""One gateway worker: a process with one event loop that accepts, judges and delivers (design section 5).

Started by the supervisor with its sockets and its slot of the node's table. Keeps no state that another worker could
not take over. SIGTERM: accepts no more, finishes what is in work within a deadline, returns.
"""

import asyncio
import ctypes
import gc
import signal
import ssl
import sys
from contextlib import suppress
from pathlib import Path

import uvloop

from mpp.checks.attachments.inspector import Inspector
from mpp.gateway.assembly import Shared, assemble, hostname_of
from mpp.gateway.budget import Budget
from mpp.gateway.doors import Doors
from mpp.gateway.hop import HopError
from mpp.gateway.hops import Hops
from mpp.gateway.load import load_settings
from mpp.gateway.log import event as log
from mpp.gateway.recorder import Recorder, spool_folder
from mpp.gateway.settings import Settings
from mpp.gateway.starting import WorkerContext
from mpp.gateway.storage import MemoChanges
from mpp.gateway.targets import Target
from mpp.gateway.watching import known_lists, watch
from mpp.net.dns import Resolver
from mpp.net.metrics import Counter, Histogram
from mpp.net.pool.member import Member
from mpp.net.pool.pools import Pools
from mpp.net.tls import client_contexts, server_context
from mpp.settings.read import SettingsError
from mpp.store.memo import Memo
from mpp.store.opening import open_writer
from mpp.store.segment import Limits

SWITCH_S = 0.001  # the interpreter's own is five times that
TICK_S = 0.25  # heartbeat and probe of the loop's lag
ASKING = 4  # connections that ask at one host; Postfix lets a client have 50 in all
MEET_S = 5.0  # between attempts to learn what a next hop offers
MEET_FIRST_S = 2.0  # before the worker says that it is ready, so that the first client is offered what the hops have
FINISH_S = 25.0  # for what is in work at SIGTERM
_M_MMAP_THRESHOLD = -3  # of mallopt(3)


def run_worker(context: WorkerContext) -> None:
    """Run until SIGTERM or until the supervisor has gone."""
    # glibc raises the size from which it maps buffers on their own with each one that is freed; large mails would then
    # stay in the heap. Fixed at 1 MiB, memory goes back to the system with the mail.
    with suppress(AttributeError):  # a C library without it, as musl, does no such thing
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)
    # A thread that reads a large message lets go of the interpreter when the loop has waited for so long, several times in a turn.
    sys.setswitchinterval(SWITCH_S)
    uvloop.run(Worker(context).run())


class Worker:
    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        context, loop = self._context, asyncio.get_running_loop()
        settings = context.settings
        self._budget = Budget(settings.memory.in_flight)
        store = open_writer(settings.node.data, settings.store, hostname_of(settings))
        self._memo = Memo(store.change, MemoChanges(context.table), shared=bool(settings.store.catalog))
        self._shared = Shared(
            Hops(client_contexts(settings.tls)),
            Hops(client_contexts(settings.tls), most=ASKING),
            Pools(context.table, Resolver(settings.node.resolvers).addresses, _tell),
            store,
            self._memo,
            context.table,
            Recorder(spool_folder(settings.node.data), settings.store.trace_spool, context.table),
            known_lists(settings),
            Inspector(),
        )
        self._shared.pools.listen()
        self._take(settings)
        self._doors = Doors(lambda: self._assembly, self._budget, context.table, lambda: self._tls)
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C reaches the whole group; the supervisor decides
        context.control.setblocking(False)
        loop.add_reader(context.control.fileno(), self._control)
        for listener, listening in context.sockets:
            self._doors.open(listener, listening)
        gc.collect()
        gc.freeze()  # what lives as long as the worker is not looked at again by each collection
        gc.set_threshold(20_000, 20, 50)
        await self._memo.refresh()  # so that no retry comes before what is known of it
        tasks = [
            asyncio.create_task(self._tick(), name="tick"),
            asyncio.create_task(
                watch(self._shared.lists, lambda: self._assembly.directory.names, self._revised), name="lists"
            ),
        ]
        recording = asyncio.create_task(self._shared.recorder.run(), name="traces")
        if any(listener.dsn for listener, _ in context.sockets):
            await self._meet_all(MEET_FIRST_S)
            tasks.append(asyncio.create_task(self._meet(), name="meet"))
        context.table.beat(loop.time())  # before it is ready, so that /healthz never calls a ready worker silent
        context.control.send(b"R")
        await self._stopping.wait()
        await self._finish()
        for task in tasks:
            task.cancel()
        self._shared.recorder.end()
        await recording

    def _take(self, settings: Settings) -> None:
        """Put settings into force. Raises OSError where a certificate cannot be read; nothing has changed then."""
        tls: ssl.SSLContext | None = server_context(settings.tls)
        loop = asyncio.get_running_loop()
        self._assembly = assemble(settings, self._shared, loop.time)
        if self._assembly.attachments:
            self._starting = loop.create_task(self._start_inspector(), name="inspector")
        self._tls = tls
        self._budget.limit = settings.memory.in_flight
        self._shared.store.take(Limits.of(settings.store))

    async def _start_inspector(self) -> None:
        """Have the confined process ready; where that fails each message tries again, and says what is wrong."""
        try:
            lacking = await self._shared.inspector.start()
        except OSError as error:
            log("error", "inspector-failed", slot=self._context.slot, cause=str(error))
        else:
            if lacking:
                log("warning", "inspector-less-confined", slot=self._context.slot, lacking=" ".join(lacking))

    def _control(self) -> None:
        """The supervisor speaks: "r" to take the settings that it has accepted; an end means that it has gone."""
        try:
            said = self._context.control.recv(64)
        except BlockingIOError:
            return
        if not said:
            asyncio.get_running_loop().remove_reader(self._context.control.fileno())
            self._stopping.set()
        elif b"r" in said:
            self._reload(self._context.settings.node.data / "settings.good.toml")

    def _revised(self) -> None:
        """There is a new revision of the settings: one worker tells the supervisor."""
        if self._context.slot == 0:
            self._context.control.send(b"N")

    def _reload(self, path: Path) -> None:
        try:
            self._take(load_settings(path).settings)
        except (OSError, ValueError, SettingsError) as error:
            log("error", "reload-failed", slot=self._context.slot, cause=str(error))
            return
        self._context.control.send(b"L")

    async def _tick(self) -> None:
        """Beat, measure how late the loop is, sweep deadlines."""
        loop, table = asyncio.get_running_loop(), self._context.table
        due = loop.time() + TICK_S
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            now = loop.time()
            table.observe(Histogram.LOOP_LAG, max(0.0, now - due))
            table.beat(now)
            for sweep in (
                self._doors.sweep,
                self._shared.delivering.sweep,
                self._shared.asking.sweep,
                self._memo.sweep,
            ):
                try:
                    sweep(now)
                except Exception as error:  # noqa: BLE001 one connection's fault must not stop the heart of all
                    table.add(Counter.FAULTS)
                    log("error", "fault", task="sweep", cause=f"{type(error).__name__}: {error}")
            due = now + TICK_S

    async def _meet(self) -> None:
        """Learn what the next hops offer before clients ask: DSN is offered only where all of them have it."""
        while True:
            await asyncio.sleep(MEET_S)
            await self._meet_all(MEET_S)

    async def _meet_all(self, wait_s: float) -> None:
        async with asyncio.TaskGroup() as group:
            for target in self._assembly.targets.all_fixed():
                group.create_task(self._meet_one(target, wait_s), name=f"meet {target.name}")

    async def _meet_one(self, target: Target, wait_s: float) -> None:
        hops = self._shared.delivering
        if hops.seen_extensions(target.hosts) is None:
            with suppress(HopError):  # down: until it is met, DSN is not offered
                hops.release(await hops.acquire(target.hosts, asyncio.get_running_loop().time() + wait_s))

    async def _finish(self) -> None:
        """Let what is in work come to its end; idle connections are told at once."""
        loop = asyncio.get_running_loop()
        self._doors.close()
        until = loop.time() + FINISH_S
        while not self._doors.idle and loop.time() < until:
            for connection in list(self._doors.connections):
                connection.shut_down()
            await asyncio.sleep(0.05)
        self._shared.pools.keep(())
        self._shared.delivering.close()
        self._shared.asking.close()
        await self._shared.store.close()
        await self._shared.inspector.close()  # last: it may have to wait for an inspection whose message has gone


def _tell(pool: str, member: Member) -> None:
    """Log what became of a scanner's server."""
    if member.dead:
        log("warning", "scanner.down", scanner=pool, server=member.key, cause=member.cause)
    else:
        log("info", "scanner.up", scanner=pool, server=member.key)
