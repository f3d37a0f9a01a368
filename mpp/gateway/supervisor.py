"""The supervisor: binds the ports, drops privileges, keeps the workers running (design section 5). No mail passes here.

One thread and no event loop, so that forking is safe. All that a child runs is imported here, since the user that it
becomes may not be able to read the interpreter's files. Called by `mpp serve`, with the worker's body handed in. What
operators meet: `ready` on stderr and to systemd once every worker accepts; SIGTERM and SIGINT end it (exit 0), SIGHUP
has the settings read again; a worker that dies or is silent is replaced, and the messages it had in hand are named.
"""

import gc
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mpp.gateway import log, privileges, sockets, storage
from mpp.gateway.children import Child
from mpp.gateway.control import Control, orders
from mpp.gateway.reload import GOOD, newest_again, read_again, take
from mpp.gateway.revising import last_good
from mpp.gateway.settings import Settings
from mpp.gateway.silence import of_task
from mpp.gateway.starting import BackgroundContext, Bound, WorkerContext, prepare
from mpp.gateway.status import serve_status
from mpp.gateway.systemd import Notifier
from mpp.net.metrics import Counter, Gauge
from mpp.net.table import NodeTable

SILENCE_S = 10.0
PATIENCE = (
    6  # times SILENCE_S, with the background process: no mail waits for it, and a slow catalog is no fault of its own
)
DEADLINE_S = 30.0
_GIVE_UP = 5  # short lives of a worker before all were ready for the first time: these settings cannot work
NO_ROOM_S = 1.0  # from a process that could not be started to the next attempt
_TURN_S = 0.5  # longest wait of the loop
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def supervise(
    settings: Settings,
    settings_path: Path | None,
    run_worker: Callable[[WorkerContext], None],
    run_background: Callable[[BackgroundContext], None] | None = None,
    *,
    silence_s: float = SILENCE_S,
    deadline_s: float = DEADLINE_S,
) -> int:
    """Run the gateway until it is told to end. Returns the exit status: 0, or 1 where it could not start."""
    log.configure(settings.log.format, settings.log.level)
    try:
        bound = prepare(settings)
    except (sockets.BindError, privileges.PrivilegeError, storage.StorageError, OSError, ValueError) as error:
        log.event("error", "start.failed", error=str(error))
        return 1
    if settings_path is not None:
        settings = take(settings, "start") or last_good(settings.node.data / GOOD, settings) or settings
    for listener, listening in bound.slots[0]:
        log.event("info", "listening", listener=listener.name, address=sockets.describe(listening))
    return _Supervisor(settings, settings_path, run_worker, run_background, bound, silence_s, deadline_s).run()


def _control(folder: Path, table: NodeTable) -> Control | None:
    """Return the door for the operator's commands; without it the gateway runs all the same."""
    try:
        return Control(folder, orders(table, log.event))
    except OSError as error:
        log.event("warning", "control.missing", error=str(error), cure="mpp scanners will not reach this gateway")
        return None


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        path: Path | None,
        run_worker: Callable[[WorkerContext], None],
        run_background: Callable[[BackgroundContext], None] | None,
        bound: Bound,
        silence_s: float,
        deadline_s: float,
    ) -> None:
        self._settings, self._path, self._bound = settings, path, bound
        self._run_worker, self._run_background = run_worker, run_background
        self._silence_s, self._deadline_s = silence_s, deadline_s
        self._table = NodeTable.create(len(bound.slots), settings.limits.connections)
        self._workers = [Child(f"worker {slot}", partial(self._be_worker, slot)) for slot in range(len(bound.slots))]
        self._control = _control(settings.node.data, self._table)
        self._background = Child("background", self._be_background)
        self._children = [
            *self._workers,
            *([self._background] if run_background else []),
            *([Child("status", self._be_status)] if bound.status else []),
        ]
        self._notifier = Notifier()
        self._signals: set[int] = set()
        self._waker, self._woken = socket.socketpair()
        self._began = time.time()
        self._turn = self._awake = time.monotonic()  # the last turn of the loop; the end of our own last long sleep
        self._expire_at = self._turn + 60.0
        self._taking: set[Child] = set()  # workers that have not yet taken the newest settings
        self._taking_until = 0.0
        self._was_ready = False
        self._kill_at: float | None = None  # when what still runs is killed; None: we are not ending
        self._status = 0

    def run(self) -> int:
        self._catch_signals()
        gc.collect()
        gc.freeze()  # the collector of a worker would otherwise touch, and so copy, every page that it shares with us
        while self._kill_at is None or any(child.pid for child in self._children):
            now = time.monotonic()
            self._watch_clock(now)
            if self._kill_at is None:
                self._begin(now)
            self._listen(now)
            now = time.monotonic()
            self._answer_signals(now)
            self._reap(now)
            self._end_silent(now)
            self._end_taking(now)
            self._notifier.alive(now)
            if now >= self._expire_at:
                self._expire_at = now + 60.0
                self._table.expire(now)
                self._hear_background()
        log.event("info", "stopped")
        return self._status

    # What the processes do

    def _be_worker(self, slot: int, control: socket.socket) -> None:
        self._let_go(slot)
        settings = self._settings
        if settings.node.pin:
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[slot % len(cores)]})
        writer = self._table.writer(slot)
        dropped = partial(writer.add, Counter.LOG_LINES_DROPPED)
        log.configure(settings.log.format, settings.log.level, dropped, worker=slot)
        self._run_worker(WorkerContext(slot, settings, self._bound.slots[slot], writer, control))

    def _be_background(self, control: socket.socket) -> None:
        self._let_go(None)
        if self._bound.status:
            self._bound.status.close()
        settings = self._settings
        writer = self._table.writer(self._table.workers)
        dropped = partial(writer.add, Counter.LOG_LINES_DROPPED)
        log.configure(settings.log.format, settings.log.level, dropped, process="background")
        assert self._run_background is not None
        self._run_background(BackgroundContext(settings, writer, control, self._began))

    def _be_status(self, control: socket.socket) -> None:
        self._let_go(None)
        control.close()
        assert self._bound.status is not None
        serve_status(self._bound.status, self._table, self._silence_s)

    def _let_go(self, slot: int | None) -> None:
        """Close what belongs to the supervisor and to other children: a dead one's end must be seen as such."""
        self._waker.close()
        self._woken.close()
        if self._control:
            self._control.close()
        self._bound.close_but(slot)
        for child in self._children:
            if child.control:
                child.control.close()

    # One turn of the loop

    def _watch_clock(self, now: float) -> None:
        """After a sleep of the whole machine, or a SIGSTOP of us all, nobody is blamed for silence."""
        if now - self._turn > 2 * _TURN_S:
            self._awake = now
        self._turn = now

    def _begin(self, now: float) -> None:
        for child in self._children:
            if not child.pid and now >= child.start_at:
                try:
                    child.start(now)
                except OSError as error:  # no memory, processes or descriptors just now
                    child.start_at = now + NO_ROOM_S
                    log.event("error", "process.not_started", process=child.name, error=str(error))
                else:
                    log.event("debug", "process.started", process=child.name, pid=child.pid)

    def _listen(self, now: float) -> None:
        """Wait for signals and words of the children, until the next thing is due."""
        due = [now + min(_TURN_S, self._silence_s / 4, self._notifier.watchdog_s or _TURN_S)]
        if self._kill_at is None:
            due += [child.start_at for child in self._children if not child.pid]
        due += [child.kill_at for child in self._children if child.pid and child.kill_at]
        waiting = select.poll()
        waiting.register(self._woken, select.POLLIN)
        talking = {child.control.fileno(): child for child in self._children if child.control}
        asking = self._control.descriptors() if self._control else []
        for descriptor in (*talking, *asking):
            waiting.register(descriptor, select.POLLIN)
        for descriptor, _ in waiting.poll(max(min(due) - now, 0.0) * 1000):
            if descriptor in talking:
                self._hear(talking[descriptor])
            elif self._control and descriptor in asking:
                self._control.ready(descriptor, now)
            else:
                self._woken.recv(4096)

    def _hear(self, child: Child) -> None:
        said = child.receive()
        if b"R" in said:
            child.ready = True
            if not self._was_ready and all(each.ready for each in self._workers):
                self._was_ready = True
                log.plain("ready")
                log.event("info", "ready", workers=len(self._workers), pid=os.getpid())
                self._notifier.ready()
        if b"L" in said:
            self._taken(child)
        if b"N" in said and self._kill_at is None:
            self._reload(newest_again)  # there is a new revision

    def _reap(self, now: float) -> None:
        for child in self._children:
            end = child.reap(now)
            if end is None:
                continue
            self._taken(child)
            if child is self._background:
                self._table.clear(self._table.workers, now)
                self._hear_background()
            asked = self._kill_at is not None or child is self._background  # that one ends for new settings, too
            if asked and end in ("exit status 0", "signal SIGTERM"):
                log.event("debug", "process.ended", process=child.name)
                continue
            log.event("error", "process.died", process=child.name, end=end, after_s=now - child.started)
            if child not in self._workers:
                continue
            self._account(self._workers.index(child), now)
            if not self._was_ready and child.short_lives >= _GIVE_UP and self._kill_at is None:
                log.event("error", "start.failed", error=f"{child.name} died {_GIVE_UP} times; its errors are above")
                self._status = 1
                self._end(now)

    def _account(self, slot: int, now: float) -> None:
        """Clear what a dead worker held in the table, and tell the operator which messages it had in hand."""
        for digest, crashes in self._table.clear(slot, now).items():
            log.event("error", "message.in_hand", worker=slot, digest=digest.hex(), crashes=crashes)

    def _end_silent(self, now: float) -> None:
        beats = self._table.heartbeats()
        for slot, child in enumerate(self._workers):
            if not child.pid:
                continue
            heard = max(beats[slot], child.started, self._awake)
            if not child.kill_at and self._kill_at is None and now - heard > self._silence_s:
                log.event("error", "worker.silent", worker=slot, pid=child.pid, silent_s=now - heard)
                child.abort(now)
        child = self._background
        heard = max(self._table.background_heartbeat(), child.started, self._awake)
        if child.pid and not child.kill_at and self._kill_at is None and now - heard > self._silence_s * PATIENCE:
            log.event("error", "background.silent", pid=child.pid, silent_s=now - heard)
            child.abort(now)
        for child in self._children:
            deadlines = [at for at in (child.kill_at, self._kill_at) if at]
            if child.pid and deadlines and now >= min(deadlines):
                log.event("error", "process.killed", process=child.name, pid=child.pid)
                child.kill_at = 0.0
                child.signal(signal.SIGKILL)

    def _hear_background(self) -> None:
        """Say in the metrics that no rounds are made: a process that dies again and again, or is not begun, cannot."""
        if self._run_background:
            last = max(self._began, *self._table.gauge(Gauge.BACKGROUND_ROUND))
            if silent := of_task(last, 0.0, time.time(), self._settings.silence.background):
                self._table.writer(self._table.workers).set(Gauge.SILENT_BACKGROUND, int(silent.seconds))

    # Signals

    def _catch_signals(self) -> None:
        for end in (self._waker, self._woken):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda number, _: self._signals.add(number))

    def _answer_signals(self, now: float) -> None:
        arrived, self._signals = self._signals, set()
        if signal.SIGHUP in arrived and self._kill_at is None:
            self._reload(lambda running: read_again(path, running) if (path := self._path) else None)
        if arrived & {signal.SIGTERM, signal.SIGINT}:
            self._end(now)

    def _end(self, now: float) -> None:
        """Ask all to finish; asked again, wait no longer."""
        if self._kill_at is not None:
            self._kill_at = now
            return
        self._notifier.stopping()
        log.event("info", "stopping", deadline_s=self._deadline_s)
        self._kill_at = now + self._deadline_s
        for child in self._children:
            child.signal(signal.SIGTERM)

    def _reload(self, take_again: Callable[[Settings], Settings | None]) -> None:
        self._notifier.reloading()
        if self._path is None:
            log.event("warning", "settings.refused", problem="started by options alone: no settings file to read again")
        elif taken := take_again(self._settings):
            self._make_keys(taken)
            self._settings = taken
            log.configure(taken.log.format, taken.log.level)
            self._taking = {child for child in self._workers if child.pid}
            self._taking_until = time.monotonic() + self._silence_s
            for child in (*self._taking, self._background):
                child.send(b"r")
            return
        self._notifier.ready()

    def _make_keys(self, taken: Settings) -> None:
        """Tenants that are new get their keys; until then their mail that is to be held is answered 452."""
        if taken.tenants.keys() - self._settings.tenants.keys():
            try:
                storage.prepare(taken)
            except storage.StorageError as error:
                log.event("error", "keys.not_made", error=str(error))

    def _taken(self, child: Child) -> None:
        """A worker has taken the newest settings, or died: the next one in its slot begins with them."""
        if child in self._taking:
            self._taking.discard(child)
            if not self._taking:
                log.event("info", "settings.taken")
                self._notifier.ready()

    def _end_taking(self, now: float) -> None:
        """Wait no longer for workers that could not take the newest settings; they go on with the old ones."""
        if self._taking and now >= self._taking_until:
            late = [child.name for child in self._workers if child in self._taking]
            log.event(
                "error", "settings.not_taken", by=late, cure="see their errors; restart mpp once these are mended"
            )
            self._taking = set()
            self._notifier.ready()
