"""A world for the pool's deciding part: servers with children, messages, several workers, and a clock of its own.

Nothing here waits: events are taken in the order of their times. A server works on as many requests as it has children, the
others wait inside it, and one whose asker has gone still costs its time, as with spamd. `World.run` plays it out and returns
what became of every message.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mpp.net.connect import Server
from mpp.net.pool.asking import Asking, Strategy
from mpp.net.pool.capacity import Capacity
from mpp.net.pool.dispatcher import Dispatcher
from mpp.net.pool.member import Member
from mpp.net.pool.places import LocalNode, LocalPlaces
from mpp.net.pool.ticket import How, Run, Ticket

PROBE_S = 0.001


@dataclass
class Machine:
    """One simulated server. `stall`: (every, length, offset) seconds, in which it stands still; `down`: (from, until)."""

    speed: float = 1.0
    children: int = 2
    stall: tuple[float, float, float] | None = None
    down: tuple[float, float] | None = None
    silent: tuple[float, float] | None = None  # takes requests and never answers them
    breaks: Callable[[int], bool] = lambda number: False  # which messages it breaks off at
    name: str = ""
    busy: int = 0
    most_asked: int = 0  # requests at it at one time
    waiting: deque = field(default_factory=deque)
    asked: dict = field(default_factory=dict)  # run: (worker, message number)
    alive: bool = True

    def ends(self, start: float, work: float) -> float:
        """When work begun at `start` is done."""
        work, now = work / self.speed, start
        if self.stall is None:
            return start + work
        every, length, offset = self.stall
        while True:
            phase = (now - offset) % every if now >= offset else None
            if phase is not None and phase < length:
                now += length - phase
                phase = length
            room = every - phase if phase is not None else offset - now
            if work < room:
                return now + work
            now, work = now + room, work - room


@dataclass
class Fate:
    """What became of a message."""

    arrived: float
    wait: float | None = None  # to its answer; None: it failed
    failed_after: float | None = None
    error: str = ""
    runs: int = 0


class World:
    def __init__(
        self,
        machines: Sequence[Machine],
        *,
        workers: int = 1,
        places: int | None = None,  # what the settings say; None: as many as children; 0: learned
        strategy: Strategy = "expected",
        seed: int = 1,
        timeout: float = 40.0,
        ahead: bool = False,
        handover: float = 0.0,  # seconds from an answer to what the worker makes of it
    ) -> None:
        self.machines, self.timeout, self.handover = machines, timeout, handover
        self.now, self._events, self._order = 0.0, [], itertools.count()
        shared = self.shared = LocalPlaces()
        draw = random.Random(seed).random
        self.workers = [Dispatcher(LocalNode(shared), strategy, draw, ahead=ahead) for _ in range(workers)]
        for number, machine in enumerate(machines):
            machine.name = machine.name or f"s{number}"
        for worker in self.workers:
            worker.use(
                [
                    Member(
                        Server(each.name, each.name, 1),
                        each.name,
                        capacity=Capacity(each.children if places is None else places),
                    )
                    for each in machines
                ],
                self.now,
            )
        self.of = {each.name: each for each in machines}
        self.fates: dict[int, Fate] = {}
        self.work: dict[int, float] = {}
        self.numbers: dict[Ticket, int] = {}
        self.next_step: dict[int, float] = {}
        self.overused = 0
        self.idle_while_waiting = 0.0
        for machine in machines:
            if machine.down:
                self.at(machine.down[0], self._die, machine)
                self.at(machine.down[1], self._return, machine)

    def at(self, when: float, what: Callable, *arguments: object) -> None:
        heapq.heappush(self._events, (when, next(self._order), what, arguments))

    def message(
        self,
        when: float,
        work: float,
        size: int = 4096,
        tenant: str = "",
        key: str = "",
        worker: int | None = None,
        copies: bool = True,
    ) -> int:
        """Have a message arrive; it takes `work` seconds at a server of speed 1."""
        number = len(self.fates)
        self.fates[number], self.work[number] = Fate(when), work
        index = number % len(self.workers) if worker is None else worker
        self.at(when, self._arrive, number, index, Asking(size, tenant, key or str(number), copies))
        return number

    def run(self, until: float = 1e9) -> list[Fate]:
        while self._events and self._events[0][0] <= until:
            self.now, _, what, arguments = heapq.heappop(self._events)
            what(*arguments)
        return list(self.fates.values())

    # Events

    def _arrive(self, number: int, index: int, asking: Asking) -> None:
        ticket = self.workers[index].arrive(asking, self.now + self.timeout, self.now)
        self.numbers[ticket] = number
        self.at(ticket.deadline, self._expire, index, ticket)
        self._step(index)

    def _expire(self, index: int, ticket: Ticket) -> None:
        worker, number = self.workers[index], self.numbers[ticket]
        if not ticket.over:
            self._lost(number, "deadline")
            worker.give_up(ticket)
        for run in list(ticket.runs):
            self.of[run.member.server.name].asked.pop(run, None)
            worker.failed(run, "silent", "no answer in time", self.now)
        self._step(index)

    def _step(self, index: int) -> None:
        worker = self.workers[index]
        for run in worker.step(self.now):
            self._begin(index, run)
        for ticket in worker.hopeless():
            self._lost(self.numbers[ticket], str(ticket.error))
        for member in worker.trials(self.now):
            self.at(self.now + PROBE_S, self._tried, index, member)
        for other, each in enumerate(self.workers):
            if each.node.woken:
                each.node.woken = False
                self.at(self.now + 0.0001, self._step, other)
        wait = worker.wait_s(self.now)
        due = self.next_step.get(index, 0.0)
        if wait is not None and (due <= self.now or self.now + wait < due):
            self.next_step[index] = self.now + wait
            self.at(self.now + wait, self._step, index)

    def _lost(self, number: int, error: str) -> None:
        fate = self.fates[number]
        fate.failed_after, fate.error = self.now - fate.arrived, error

    def _begin(self, index: int, run: Run) -> None:
        machine, number = self.of[run.member.server.name], self.numbers[run.ticket]
        self.fates[number].runs += 1
        if not machine.alive:
            self.at(self.now + 0.0002, self._fail, index, run, "refused", "refused")
            return
        machine.asked[run] = (index, number)
        machine.most_asked = max(machine.most_asked, len(machine.asked))
        machine.waiting.append((run, index, number))
        self._work(machine)

    def _work(self, machine: Machine) -> None:
        while machine.waiting and machine.busy < machine.children:
            run, index, number = machine.waiting.popleft()
            machine.busy += 1
            if machine.silent and machine.silent[0] <= self.now < machine.silent[1]:
                self.at(machine.silent[1], self._done, machine, run, index, number, "")
            elif machine.breaks(number):
                self.at(self.now + 0.001, self._done, machine, run, index, number, "broke")
            else:
                self.at(machine.ends(self.now, self.work[number]), self._done, machine, run, index, number, "")

    def _done(self, machine: Machine, run: Run, index: int, number: int, how: How | str) -> None:
        machine.busy -= 1
        if machine.asked.pop(run, None) is not None:
            if how:
                self._fail(index, run, "broke", "broke off")
            elif self.handover:
                self.at(self.now + self.handover, self._answered, index, run, number)
            else:
                self._answered(index, run, number)
        self._work(machine)

    def _answered(self, index: int, run: Run, number: int) -> None:
        if self.workers[index].answered(run, self.now):
            fate = self.fates[number]
            fate.wait = self.now - fate.arrived
        self._step(index)
        self.workers[index].learn(run, self.now)

    def _fail(self, index: int, run: Run, how: How, cause: str) -> None:
        ticket = run.ticket
        was_over = ticket.over
        self.workers[index].failed(run, how, cause, self.now)
        if ticket.over and not was_over:
            self._lost(self.numbers[ticket], str(ticket.error))
        self._step(index)

    def _die(self, machine: Machine) -> None:
        machine.alive, machine.busy = False, 0
        asked, machine.asked = machine.asked, {}
        machine.waiting.clear()
        # what it was at never ends: forget those events
        self._events = [each for each in self._events if not (each[2] == self._done and each[3][0] is machine)]
        heapq.heapify(self._events)
        for run, (index, _) in asked.items():
            self._fail(index, run, "broke", "reset")

    def _return(self, machine: Machine) -> None:
        machine.alive = True

    def _tried(self, index: int, member: Member) -> None:
        machine = self.of[member.server.name]
        silent = machine.silent and machine.silent[0] <= self.now < machine.silent[1]
        cause = "" if machine.alive and not silent else "refused"
        self.workers[index].tried(member, cause, self.now)
        self._step(index)
