"""Decides which job goes to which server and when: the pure part of a pool. It owns no clock, no task and no socket.

The shell (mpp.net.pool.pool) and the tests' simulation tell it what happens, with the time, and carry out what it returns:
runs to begin. One queue, and a job leaves it only when a server has a free place (late binding); places are shared with the
other workers through the Node. What is stuck is copied to another server, once and within a budget.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import exp

from mpp.net.pool.asking import Asking, PoolError, Strategy
from mpp.net.pool.budget import for_late, for_stuck
from mpp.net.pool.choose import CHOICES, Situation, draw
from mpp.net.pool.member import Member
from mpp.net.pool.places import Node
from mpp.net.pool.queue import FairQueue
from mpp.net.pool.speeds import Speeds, usual
from mpp.net.pool.ticket import How, Run, Ticket

TRIES = 2  # servers that may break on a job before it has failed: what breaks two breaks them all
UNHEARD = 300  # answers of the pool after which an idle server's speed is measured again
LOOK = 10  # answers from one look for such a server to the next
LISTEN_S = 0.01  # from one look at what the other workers say to the next
AGAIN_S = 0.025  # while jobs wait or an answer is overdue: others may have made room without a word
HEAR_S = 0.25  # what was learned of speeds is told and heard so often; a death, silence and a return at once


class Dispatcher:
    def __init__(
        self, node: Node, strategy: Strategy = "expected", jitter: Callable[[], float] = draw, *, ahead: bool = False
    ) -> None:
        """`ahead`: while many wait, each server gets one job more than it has places."""
        self.members: list[Member] = []
        self.queue = FairQueue()
        self.speeds = Speeds()
        self.node, self.strategy, self.ahead = node, strategy, ahead
        self._jitter = jitter
        self._answers = self._measure_at = 0
        self._quiet = for_late()
        self._stuck = for_stuck()
        self._gives_way = False  # somebody else waits longer: the place that became free is theirs
        self._listen_at = self._hear_at = 0.0
        self._overdue_at = 0.0  # no run is overdue before
        self._waiting = 0  # jobs in our queue, as the others were told

    def use(self, members: Sequence[Member], now: float) -> None:
        """Have these servers from now on. Runs at others come to their end."""
        before, known = set(self.members), usual(member.own for member in self.members)
        for member in members:
            if member not in before:
                self._begin_with(member, known)
            self.node.say(member.key, member.word(now))
        for member in before - set(members):
            self._leave_trials(member)
            self.node.forget(member.key)
        self.members = list(members)
        self._listen_at = self._hear_at = 0.0

    def _begin_with(self, member: Member, usual_level: float) -> None:
        """Give a server that is new here what is known of it: what the worker before us had learned, or what is usual."""
        if (word := self.node.remembered(member.key)) and word.level.known:
            member.own = word.level
            member.capacity.adopt(word.limit, word.limit_at)
        if not member.own.known:
            member.own.mean = usual_level
        member.level = member.own

    # What happens

    def arrive(self, asking: Asking, deadline: float, now: float) -> Ticket:
        ticket = Ticket(asking, now, deadline)
        self.queue.push(ticket)
        return ticket

    def answered(self, run: Run, now: float) -> bool:
        """A server gave an answer that counts. Returns whether it is the first for its ticket.

        What it says of the server `learn` takes in, to be called when the place that it frees has been given away.
        """
        member, ticket = run.member, run.ticket
        run.overtook = self.node.finished(member.key) == run.finished
        self._end(run, now)
        member.answered(now)
        if now - run.since > run.patience:
            member.changed = True  # the others were told that it is silent
        self._answers += 1
        member.heard = self._answers
        if member.dead:
            self._leave_trials(member)
            member.came_back(now)
        self._quiet.earn()
        self._stuck.earn()
        first = not ticket.over
        self._finish(ticket)
        return first

    def learn(self, run: Run, now: float) -> None:
        """Learn the server's speed and places from an answer that came at `now`."""
        if run.ahead and not run.overtook:
            return  # nobody knows when its turn at the server came
        member = run.member
        late = self.speeds.learn(member.own, run.ticket.asking.size, now - run.since, now)
        member.capacity.answered(run.busy, late, run.overtook, now)

    def failed(self, run: Run, how: How, cause: str, now: float) -> None:
        """A server refused, broke off, or was silent until the deadline: the job is given to another."""
        member, ticket = run.member, run.ticket
        self._end(run, now)
        if how == "silent" and (member.answered_at > run.since or now - run.since < run.patience):
            member.failures += 1  # it answers others, or had no time
        else:
            member.struck(how, cause, now, self._jitter)
        self._tell(member, now)
        if how != "refused":
            ticket.failures += 1
        if ticket.over or ticket in self.queue or not all(each.measuring for each in ticket.runs):
            return
        error = PoolError(member.server.name, cause)
        if ticket.failures >= TRIES or now >= ticket.deadline:
            self._fail(ticket, error)
        else:
            ticket.error = error  # in case that no other server is left
            self.queue.push(ticket, first=True)

    def dropped(self, run: Run, now: float) -> None:
        """A run was ended by us: nobody wants its answer."""
        self._end(run, now)
        run.member.changed = True  # it may have been silent

    def give_up(self, ticket: Ticket) -> None:
        """Nobody waits for the ticket any longer; its runs go on until they are dropped."""
        self._finish(ticket)

    # What follows from it

    def step(self, now: float) -> list[Run]:
        """Return the runs that begin now. To be called after everything that happened, and when `wait_s` is over."""
        self._listen(now)
        self._copy_stuck(now)
        begun = self._hand_out(now) if self.queue else []
        self._gives_way = False
        waiting = len(self.queue)
        if waiting or self._waiting:
            self._waiting = waiting
            self.node.wait(waiting, self.queue.oldest() or 0.0)
        return begun

    def _hand_out(self, now: float) -> list[Run]:
        """Give those who wait what is free."""
        begun: list[Run] = []
        busy, quiet = self.node.busy, now < self._overdue_at
        free = {
            member: member.places() - busy(member.key)
            for member in self.members
            if member.open and (quiet or not member.overdue(now))
        }
        for ticket in self.queue.first():
            begun += self._give(ticket, free, now)
        while (not self._gives_way and (turn := self.queue.next())) and (runs := self._give(turn, free, now)):
            begun += runs
        if self.ahead and self.strategy == "expected" and self.queue and not self._gives_way:
            begun += self._send_ahead(free, now)
        for member in self.members if self.queue else ():
            member.capacity.pressed()
        return begun

    def _send_ahead(self, free: dict[Member, int], now: float) -> list[Run]:
        """Send one job more to servers whose places are all taken: it waits there, and none stands idle until the next request comes.

        Only while so many wait that those before a job would be served anyhow by the time that this server has a place.
        """
        turns = {member: exp(member.level.mean) / member.places() for member in free}
        rate = sum(1 / turn for turn in turns.values())
        waiting = len(self.queue) + self.node.others()[0]
        begun: list[Run] = []
        for ticket in self.queue.in_order():
            if not ticket.asking.copies:
                break  # it might come to be given to another as well; while it waits for a place nothing goes before it
            able = [
                member
                for member, places in free.items()
                if places == 0
                and member.ramp is None
                and waiting > rate * turns[member]
                and member not in ticket.barred
            ]
            member = self._choose(able, ticket, free, now) if able else None
            if member is None:
                continue
            free[member] -= 1
            place = self.node.take(member.key, member.places() + 1)
            if place is not None:
                self.queue.remove(ticket)
                begun.append(run := self._begin(ticket, member, place, now))
                run.ahead = True
                run.patience += turns[member]
                waiting -= 1
        return begun

    def hopeless(self) -> list[Ticket]:
        """Return the tickets that no server is left for, each with its error; they are over."""
        if not self.queue:
            return []
        left = {member for member in self.members if not (member.dead or member.drained)}
        waiting = self.queue.first() if left else self.queue
        found = [ticket for ticket in waiting if not ticket.runs and left <= ticket.barred]
        for ticket in found:
            self._fail(ticket, ticket.error or self._none_up())
        return found

    def wait_s(self, now: float) -> float | None:
        """Return the seconds after which `step` may have more to do by itself; None: never."""
        dead = [member for member in self.members if member.dead]
        most = AGAIN_S if self.queue else 2 * AGAIN_S if dead else HEAR_S
        if not [member for member in self.members if member.runs]:
            to_tell = [member for member in self.members if member.changed or member.learned]
            return most if to_tell or dead or self.queue else None
        left = self._overdue_at - now
        return min(max(left, 0.002) if left > 0 else AGAIN_S, most)

    def trials(self, now: float) -> Iterator[Member]:
        """Yield the dead servers that it is our turn to try."""
        for member in self.members:
            if member.dead and not member.drained and not member.trying and now >= member.try_at:
                if member.ours or self.node.try_trial(member.key):
                    member.trying = member.ours = True
                    yield member
                else:
                    member.try_at = now + 0.1  # another worker is at it, and will tell

    def tried(self, member: Member, cause: str, now: float) -> None:
        """A trial has ended; "" where the server is there again. Until then the next trial is ours too."""
        member.trying = False
        if cause:
            member.tried_in_vain(cause, now, self._jitter)
        else:
            self._leave_trials(member)
            if member.dead:
                member.came_back(now)
                self._wake()
        self._tell(member, now)

    def _leave_trials(self, member: Member) -> None:
        if member.ours:
            member.ours = False
            self.node.end_trial(member.key)

    # Within

    def _give(self, ticket: Ticket, free: dict[Member, int], now: float) -> list[Run]:
        """Give a ticket its place, where there is one for it; `free` are the places of the servers that are up."""
        able = [member for member, places in free.items() if places > 0 and member not in ticket.barred]
        while able and (member := self._choose(able, ticket, free, now)) is not None:
            place = self.node.take(member.key, member.places())
            if place is not None:
                self.queue.remove(ticket)
                free[member] -= 1
                run = self._begin(ticket, member, place, now)
                measure = len(free) > 1 and self._answers >= self._measure_at
                return [run, *self._measure(ticket, free, now)] if measure else [run]
            able.remove(member)  # another worker was quicker
            free[member] = 0
        return []

    def _choose(self, able: list[Member], ticket: Ticket, free: dict[Member, int], now: float) -> Member | None:
        """Return the server that a ticket is given to, by the strategy among those of the first group that is able."""
        if len(free) == 1:
            return able[0]
        group = min([member.group for member in able])
        situation = Situation(
            speeds=self.speeds,
            up=[member for member in free if member.group == group],
            waiting=partial(self._waiting_with, ticket),
            size=ticket.asking.size,
            key=ticket.asking.key,
            now=now,
            free=free,
            draw=self._jitter,
        )
        return CHOICES[self.strategy]([member for member in able if member.group == group], situation)

    def _waiting_with(self, ticket: Ticket) -> int:
        """Return how many wait at the node for what this ticket waits for, itself among them."""
        return 1 if ticket.failures or ticket.runs else len(self.queue) + self.node.others()[0]

    def _begin(self, ticket: Ticket, member: Member, place: int, now: float, *, measuring: bool = False) -> Run:
        patience = self._patience(ticket, member)
        node, key = self.node, member.key
        run = Run(ticket, member, place, now, node.busy(key), node.finished(key), patience, measuring)
        if ticket.runs:
            member.copies += 1
        self._overdue_at = min(self._overdue_at, now + patience)
        ticket.runs.append(run)
        ticket.barred.add(member)
        member.runs.add(run)
        return run

    def _patience(self, ticket: Ticket, member: Member) -> float:
        """Return the seconds after which an answer is overdue."""
        return min(self.speeds.patience(member.level, ticket.asking.size), (ticket.deadline - ticket.arrived) / 2)

    def _measure(self, ticket: Ticket, free: dict[Member, int], now: float) -> list[Run]:
        """Let a server that has long been out of favour show how fast it is now, with a copy that nobody waits for."""
        if self.strategy != "expected" or not ticket.asking.copies or len(ticket.runs) != 1 or ticket.failures:
            return []
        self._measure_at = self._answers + LOOK
        for member, places in free.items():
            if places > 0 and self._answers - member.heard > UNHEARD and not member.runs and self._quiet.spend():
                member.heard = self._answers
                place = self.node.take(member.key, member.places())
                if place is not None:
                    free[member] -= 1
                    return [self._begin(ticket, member, place, now, measuring=True)]
        return []

    def _copy_stuck(self, now: float) -> None:
        """Put what is overdue at the head of the queue, for another server."""
        if now < self._overdue_at:
            return
        self._overdue_at = now + 1.0
        for member in self.members:
            silent = member.overdue(now)  # then what waits there has no turn
            for run in member.runs:
                ticket, age = run.ticket, now - run.since
                if age <= run.patience and not (run.ahead and silent):
                    self._overdue_at = min(self._overdue_at, run.since + run.patience)
                    continue
                self._overdue_at = now  # it may come to be copied at any time
                if ticket.over or ticket.copied or run.measuring or not ticket.asking.copies:
                    continue
                works = now - member.answered_at < run.patience / 2
                if self.queue and works and age <= 2 * run.patience:
                    continue  # it would take a place from those who wait, and what is slow here is slow elsewhere
                if all(each in ticket.barred or not each.up(now) for each in self.members):
                    continue
                if self._quiet.spend() or ((run.ahead or age > 2 * run.patience) and self._stuck.spend()):
                    ticket.copied = True
                    self.queue.push(ticket, first=True)

    def _listen(self, now: float) -> None:
        """Tell the other workers what has changed, and hear what they say."""
        if now < self._listen_at:
            return
        self._listen_at = now + LISTEN_S
        hear = self.node.news() or now >= self._hear_at
        if hear:
            self._hear_at = now + HEAR_S
        for member in self.members:
            if hear:
                member.drained = self.node.drained(member.key)
                member.hear(self.node.words(member.key), now)
            if member.changed or (hear and member.learned) or (member.runs and member.overdue(now)):
                self._tell(member, now)

    def _tell(self, member: Member, now: float) -> None:
        member.changed = member.learned = False
        if member in self.members:  # and not at its last job in a pool that no longer has it
            self.node.say(member.key, member.word(now))

    def _end(self, run: Run, now: float) -> None:
        run.member.runs.discard(run)
        run.ticket.runs.remove(run)
        self.node.release(run.member.key, run.place)
        for each in run.member.runs:
            if each.ahead:
                self._its_turn(each, now)
        self._wake(run)

    def _its_turn(self, run: Run, now: float) -> None:
        """A place of its server is free: what waits there is begun with, if nothing else ended since it was sent."""
        finished = self.node.finished(run.member.key)
        if finished - run.finished == 1:
            run.ahead, run.since, run.finished = False, now, finished
            run.busy = self.node.busy(run.member.key)
            run.patience = self._patience(run.ticket, run.member)
            self._overdue_at = min(self._overdue_at, now + run.patience)

    def _wake(self, ended: Run | None = None) -> None:
        """A place is free: it goes to whoever has waited longest at the node.

        While they have waited about as long it is ours (half the time of the run that ended): a server would stand idle while the other wakes.
        """
        waiting, oldest = self.node.others()
        if not waiting:
            return
        own = self.queue.oldest()
        grace_s = self.speeds.expected(ended.member.level, ended.ticket.asking.size) / 2 if ended else 0.0
        if own is None or oldest + grace_s < own:
            self._gives_way = own is not None
            self.node.wake()

    def _finish(self, ticket: Ticket) -> None:
        ticket.over = True
        self.queue.remove(ticket)

    def _fail(self, ticket: Ticket, error: PoolError) -> None:
        ticket.error = error
        self._finish(ticket)

    def _none_up(self) -> PoolError:
        names = ", ".join(member.server.name for member in self.members)
        causes = {"drained" if member.drained else member.cause for member in self.members}
        return PoolError(names, "not up: " + "; ".join(sorted(causes - {""})))
