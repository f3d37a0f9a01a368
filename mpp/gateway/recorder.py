"""Records traces: gathered as lines while the loop goes on, written to the spool by a thread four times a second.

A crash loses the traces of the last quarter of a second, a power cut those of the last second; the spool is loaded into the
catalog by the background process (mpp.gateway.background). Where the spool takes no more, mail goes on and what is lost is
counted and logged. One for each worker; what is thrown away waits for `durable` before it is answered.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mpp.gateway.log import event as log
from mpp.mail.envelope import Client
from mpp.net.metrics import Counter
from mpp.net.table import SlotWriter
from mpp.store.clock import now_ms
from mpp.store.spool import SpoolError, SpoolWriter
from mpp.store.trace import Trace
from mpp.store.trace_line import write

TURN_S = 0.25
SYNC_S = 1.0
TOLD = 10  # refusals before DATA, of a host in a minute, that have a trace of their own
MOST_WAITING = 50_000  # lines, where the disk does not take them in time
MOST_HOSTS = 10_000  # of which refusals are counted in a minute
QUIET_S = 60.0  # between two log lines about a spool that takes no more


def spool_folder(data: Path) -> Path:
    return data / "spool"


class Recorder:
    def __init__(self, folder: Path, bound: int, table: SlotWriter) -> None:
        self._table = table
        self._writer = SpoolWriter(folder, str(table.slot), bound)
        self._lines: list[str] = []
        self._wanted: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._ending = False
        self._synced = self._told_at = 0.0
        self._minute = 0
        self._counted: dict[str, int] = {}  # refusals of this minute beyond those told, by host

    def add(self, trace: Trace) -> None:
        """Record a trace behind the reply."""
        if len(self._lines) < MOST_WAITING:
            self._lines.append(write(trace))
        else:
            self._lost(1, "the disk is too slow for traces")

    def refusal(self, trace: Trace, now: float) -> None:
        """Record a transaction that was refused before its content; of a host that does so often only the number."""
        host = trace.client.address
        if self._table.tell(host, now, TOLD):
            self.add(trace)
            return
        self._table.add(Counter.REFUSALS_COUNTED)
        if host in self._counted or len(self._counted) < MOST_HOSTS:
            self._counted[host] = self._counted.get(host, 0) + 1

    async def durable(self, trace: Trace) -> None:
        """Record a trace and wait until it would outlive a power cut. Raises SpoolError."""
        waiter = asyncio.get_running_loop().create_future()
        self._lines.append(write(trace))
        self._wanted.append(waiter)
        self._wake.set()
        await waiter

    async def run(self) -> None:
        """Write, until `end` is called; then the rest, and let go of the file. Not to be cancelled: a thread may write."""
        while not self._ending:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TURN_S)
            self._wake.clear()
            await self.flush()
        self._tell_counted(-1)
        await self.flush()
        try:
            await asyncio.to_thread(self._writer.close)
        except SpoolError as error:
            log("error", "traces.lost", cause=str(error))

    def end(self) -> None:
        """No more traces come."""
        self._ending = True
        self._wake.set()

    async def flush(self) -> None:
        """Write what is there. Raises nothing: whoever waits for it is told."""
        now = time.monotonic()
        self._tell_counted(int(now) // 60)
        lines, self._lines = self._lines, []
        wanted, self._wanted = self._wanted, []
        try:
            await asyncio.to_thread(self._write, lines, now, bool(wanted))
        except SpoolError as error:
            self._lost(error.lost, str(error))
            for waiter in wanted:
                if not waiter.done():
                    waiter.set_exception(SpoolError(str(error)))
        else:
            for waiter in wanted:
                if not waiter.done():
                    waiter.set_result(None)

    def _write(self, lines: Sequence[str], now: float, sync: bool) -> None:
        """In a thread: the disk may be slow."""
        self._writer.turn(now)
        if lines:
            self._writer.write(lines)
            self._table.add(Counter.TRACES_SPOOLED, len(lines))
        if sync or now - self._synced >= SYNC_S:
            self._synced = now
            self._writer.sync()

    def _tell_counted(self, minute: int) -> None:
        """Once a minute is over, record how many refusals were only counted in it."""
        if minute == self._minute:
            return
        self._minute, counted = minute, self._counted
        self._counted = {}
        at = now_ms()
        for host, number in counted.items():
            self.add(Trace(f"counted-{at}-{host}", at, "counted", client=Client(host), number=number))

    def _lost(self, number: int, cause: str) -> None:
        self._table.add(Counter.TRACES_LOST, number)
        now = time.monotonic()
        if now - self._told_at >= QUIET_S or not self._told_at:
            self._told_at = now
            log(
                "error",
                "traces.lost",
                traces=number,
                cause=cause,
                cure="make room, and see that the background process runs",
            )
