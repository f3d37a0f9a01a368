"""The background process: what must be done and no mail waits for (design section 5). One for a node, under the supervisor.

Of several on one data folder the one that holds the folder's lock works, the others stand by; of several nodes at one PostgreSQL
the one that holds an advisory lock does what is to be done once for all. Locks end with their process. A task that fails is tried
again at its next turn; nothing here is needed for mail to go on. The last runs are in the catalog (table nodes), for `mpp check`
and for the process that comes after this one: what is not done for long is missed, however often it was begun anew.
"""

import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mpp.gateway.alarms import Alarms
from mpp.gateway.assembly import hostname_of
from mpp.gateway.election import Election
from mpp.gateway.log import event as log
from mpp.gateway.recorder import spool_folder
from mpp.gateway.starting import BackgroundContext
from mpp.gateway.work import work
from mpp.net.metrics import Counter, Gauge
from mpp.store.background import Tasks, open_tasks
from mpp.store.clock import now_ms
from mpp.store.errors import StoreError

TURN_S = 0.25
OPEN_AGAIN_S = 2.0  # between attempts to open the catalog
HEAR_S = 60.0  # between looks at what is silent
TOLD_S = 10.0  # between words about the last runs in the catalog
QUIET_S = 60.0  # between log lines about the same failure
LOCK = "background.lock"


@dataclass(slots=True)
class Task:
    """`run` does a slice of its work, of at most about a second, and returns True where there is more to do at once."""

    name: str
    every_s: float
    run: Callable[[], bool]
    everywhere: bool = False  # on each node; else on the elected one alone
    due: float = 0.0
    runs: int = 0
    failures: int = 0
    last_ms: int = 0
    error: str = ""
    told_at: float = field(default=float("-inf"))


def run_background(context: BackgroundContext) -> None:
    """Work until SIGTERM or until the supervisor has gone."""
    _Background(context).run()


class _Background:
    def __init__(self, context: BackgroundContext) -> None:
        self._settings, self._table, self._control = context.settings, context.table, context.control
        self._stopping = False
        self._lock = -1
        self._open: Tasks | None = None
        self._tasks: list[Task] = []
        self._election: Election | None = None
        self._elected = False  # as far as the catalog has answered
        self._open_at = self._tell_at = 0.0
        self._refused_at = float("-inf")
        self._alarms = Alarms(self._settings, self._table, hostname_of(self._settings), context.began)
        self._loaded = self._hear_at = 0.0

    def run(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_stopping", True))
        while not self._stopping:
            now = time.monotonic()
            self._table.beat(now)
            more = self._turn(now)
            self._wait(0.0 if more else TURN_S)
        self._close()

    def _wait(self, seconds: float) -> None:
        readable, _, _ = select.select([self._control], [], [], seconds)
        if readable:  # the supervisor has gone, or there are new settings: another process begins with them
            self._stopping = True

    def _turn(self, now: float) -> bool:
        """Do what is due; True where more is to be done at once."""
        if self._lock < 0 and not self._take_lock():
            self._table.set(Gauge.BACKGROUND_ROUND, int(time.time()))  # another gateway's process makes them
            return False
        if now >= self._hear_at:
            self._hear_at = now + HEAR_S
            self._alarms.hear_tasks(self._done())
        if self._open is None and (now < self._open_at or not self._begin(now)):
            return False
        more = False
        for task in self._tasks:
            if now >= task.due and not self._stopping and (task.everywhere or self._is_elected()):
                task.due = now + task.every_s
                if self._run(task, now):
                    task.due, more = now, True
                self._table.beat(time.monotonic())
        self._table.set(Gauge.BACKGROUND_ROUND, int(time.time()))
        if now >= self._tell_at:
            self._tell_at = now + TOLD_S
            self._tell()
        return more

    def _take_lock(self) -> bool:
        """True where this process works for this data folder now."""
        descriptor = os.open(self._settings.node.data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        log("info", "background.elected", folder=str(self._settings.node.data))
        return True

    def _begin(self, now: float) -> bool:
        self._open_at = now + OPEN_AGAIN_S
        try:
            opened, last = self._opened()
        except (StoreError, OSError) as error:
            if now - self._refused_at >= QUIET_S:
                self._refused_at = now
                log("error", "background.waits", cause=str(error), cure="see `mpp check`; it is tried again")
            return False
        self._open, self._election = opened, Election(opened.catalog)
        folder = spool_folder(self._settings.node.data)
        self._tasks = [
            Task("load traces", 1.0, lambda: self._load(opened, folder), everywhere=True),
            Task("write back", 10.0, opened.write_back, everywhere=True),
            Task("write journal", 1.0, opened.write_journal, everywhere=True),
            Task("overwrite keys", 1.0, opened.overwrite_keys, everywhere=True),
            Task("compact", 3600.0, opened.compact, everywhere=True),
            Task("log leaves", 1.0, opened.append_leaves),
            Task("sign log", 60.0, lambda: self._sign(opened)),
            Task("drop traces", 600.0, lambda: self._drop(opened)),
            Task("expire", 30.0, opened.expire),
            Task("give up releases", 60.0, opened.give_up),
            Task("ask scanners", 1800.0, lambda: self._ask(opened), everywhere=True),
            Task("hear scanners", HEAR_S, lambda: self._hear_engines(opened), everywhere=True),
            Task("hear mail", HEAR_S, lambda: self._hear_mail(opened)),
        ]
        for task in self._tasks:
            task.last_ms = last.get(task.name, 0)
        log("info", "background.ready")
        return True

    def _opened(self) -> tuple[Tasks, dict[str, int]]:
        """Return what is open now, and when this node's earlier processes last did each task."""
        own = hostname_of(self._settings)
        opened = open_tasks(self._settings.store, self._settings.node.data, own)
        try:
            nodes = work(opened.catalog)
        except BaseException:
            opened.close()
            raise
        return opened, {each.name: each.last_ms for node in nodes if node.node == own for each in node.done}

    def _is_elected(self) -> bool:
        assert self._election is not None
        assert self._open is not None
        try:
            held = self._election.held()
            if held != self._elected:
                self._win(self._open) if held else self._lose()
        except StoreError:
            return False  # and nothing is known of the election: it is asked again
        return held

    def _win(self, opened: Tasks) -> None:
        """What is to be done once was last done by whoever was elected before."""
        nodes = work(opened.catalog)
        for task in self._tasks:
            if not task.everywhere:
                task.last_ms = max(
                    (each.last_ms for node in nodes for each in node.done if each.name == task.name), default=0
                )
        self._elected = True

    def _lose(self) -> None:
        """Another node does what is to be done once, and misses what is not."""
        for task in self._tasks:
            if not task.everywhere:
                task.error = ""
        self._alarms.end_streams()
        self._elected = False

    def _run(self, task: Task, now: float) -> bool:
        try:
            more = task.run()
        except Exception as error:  # noqa: BLE001 the edge of a task: a fault in one must not keep the others from being done
            task.failures += 1
            foreseen = isinstance(error, StoreError | OSError | ValueError)
            task.error = str(error) if foreseen else f"{type(error).__name__}: {error}"
            self._table.add(Counter.BACKGROUND_FAILURES)
            if now - task.told_at >= QUIET_S:
                task.told_at = now
                log("error", "background.failed", task=task.name, cause=task.error)
            return False
        task.runs, task.error = task.runs + 1, ""
        task.last_ms = now_ms()
        self._table.add(Counter.BACKGROUND_RUNS)
        return more

    def _load(self, opened: Tasks, folder: Path) -> bool:
        loaded = opened.load_traces(folder)
        self._table.add(Counter.TRACES_LOADED, loaded.traces)
        self._table.set(Gauge.SPOOL_BYTES, loaded.waiting)
        if loaded.damaged or loaded.unreadable:
            log("error", "traces.damaged", octets=loaded.damaged, lines=loaded.unreadable)
        if not loaded.more:
            self._loaded = time.time()
        return loaded.more

    def _done(self) -> list[tuple[str, float, float]]:
        """The tasks, when each last was done, and how often it is to be; those that are another node's are left out."""
        if self._open is None:
            return [("open the catalog", float(max(self._table.table.gauge(Gauge.BACKGROUND_ROUND))), OPEN_AGAIN_S)]
        return [
            (task.name, task.last_ms / 1000, task.every_s) for task in self._tasks if task.everywhere or self._elected
        ]

    def _ask(self, opened: Tasks) -> bool:
        self._alarms.ask_engines(opened.catalog)
        return False

    def _hear_engines(self, opened: Tasks) -> bool:
        self._alarms.hear_engines(opened.catalog)
        return False

    def _hear_mail(self, opened: Tasks) -> bool:
        if self._loaded:
            self._alarms.hear_streams(opened.days, self._loaded)
        return False

    @staticmethod
    def _sign(opened: Tasks) -> bool:
        for (
            checkpoint
        ) in opened.sign():  # in the log of the system too: a copy that whoever changes the catalog has not
            log("info", "checkpoint", log=checkpoint.log, size=checkpoint.size, root=checkpoint.root.hex())
        return False

    @staticmethod
    def _drop(opened: Tasks) -> bool:
        for day in opened.drop_traces():
            log("info", "traces.dropped", day=day)
        return False

    def _tell(self) -> None:
        """Write into the catalog what was done last."""
        assert self._open is not None
        tasks = {
            task.name: {
                "every": task.every_s, "last": task.last_ms, "runs": task.runs, "failures": task.failures,
                "error": task.error[:500],
            }
            for task in self._tasks
        }  # fmt: skip
        silent = [{"of": alarm.of, "text": alarm.text} for alarm in self._alarms.now()]
        try:
            self._open.tell(json.dumps({"tasks": tasks, "silent": silent}, separators=(",", ":")))
        except StoreError as error:
            log("debug", "background.untold", cause=str(error))

    def _close(self) -> None:
        if self._election is not None:
            self._election.end()
        if self._open is not None:
            self._open.close()
