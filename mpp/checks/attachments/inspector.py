"""The confined helpers of a worker, for all of its messages: they are waited for in threads of their own, never on the loop.

One message at a time is looked into, in the order in which they came, which takes milliseconds. What takes longer than `_QUICK_S` goes on
aside, and those behind it go to a second helper, which is started then. There is one place aside: what takes so long while that is
taken is broken off, and begun again when the place is free. So is what needs shares of its time then, for passwords or for each
file alone: what is found does not depend on who is aside. So what may be slow waits for what is slow, and nothing else does.

A message that has no time left goes away; what a helper does for it then ends by the limits of an inspection. Raises OSError where
no process can be started.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any, Generic, TypeVar

from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.item import Cleaned, Flag, Item, Limits
from mpp.checks.attachments.mails import attached_files
from mpp.checks.attachments.passwords import passwords_of
from mpp.checks.attachments.unpacking import find_unpacker
from mpp.mail.message import Message
from mpp.mail.part import Part

_QUICK_S = 1.0  # so long others wait for one
_Result = TypeVar("_Result")
# What is to be done by a helper in so many seconds, True: as a quick try. Returns True beside what comes of it where that depends on
# shares of the time; a quick try may stop there.
_Work = Callable[[Helper, float, bool], tuple[_Result, bool]]


@dataclass(slots=True, eq=False)
class _Job(Generic[_Result]):
    """What somebody waits for."""

    work: _Work[_Result]
    seconds: float
    over: bool = False  # a quick try was not enough: it has to be begun again, aside


class _Place:
    """A helper and the thread that waits for it."""

    def __init__(self) -> None:
        self.helper = Helper(find_unpacker())
        self._thread = ThreadPoolExecutor(1, "attachments")

    async def run(self, work: _Work[_Result], seconds: float, *, quick: bool = False) -> tuple[_Result, bool]:
        """Return what comes of it, and whether more time could make more of it. That of a start does not count."""

        def timed() -> tuple[_Result, bool]:
            self.helper.start()
            begun = time.monotonic()
            result, shared = work(self.helper, seconds, quick)
            return result, shared or time.monotonic() - begun >= seconds

        return await self.do(timed)

    async def do(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        await self.do(self.helper.close)
        self._thread.shutdown(wait=False)


class Inspector:
    """Outlives a reload of the settings. Nothing is started before it is needed."""

    def __init__(self, quick_s: float = _QUICK_S) -> None:
        self._quick_s = quick_s
        self._front, self._other = _Place(), _Place()
        self._turn, self._aside = asyncio.Lock(), asyncio.Lock()  # at the front place; at the other one
        self._jobs = set[_Job[Any]]()  # those that somebody waits for

    async def start(self) -> Sequence[str]:
        """Have the process ready before the first message comes; return the walls that this host cannot build. Raises OSError."""
        await self._front.do(self._front.helper.start)
        return self._front.helper.lacking

    async def inspect(self, message: Message, *, passwords: bool, seconds: float) -> list[Item]:
        """Return what is said of a mail's files. `passwords`: encrypted ones are tried with those that stand in its text.

        `seconds`: for all of them, and half as much again where it goes wrong with all of them together.
        """
        return await self._served(partial(_inspected, message, passwords), seconds)

    async def clean(self, part: Part, *, seconds: float) -> Cleaned | None:
        """Return a document without its macros, None where that cannot be done safely."""
        return await self._served(partial(_cleaned, part), seconds)

    async def close(self) -> None:
        await self._front.close()
        await self._other.close()

    async def _served(self, work: _Work[_Result], seconds: float) -> _Result:
        """Have something done. Whoever asks may go away at any time; what was begun for it is not left half done."""
        job = _Job(work, seconds)
        self._jobs.add(job)
        try:
            await self._turn.acquire()
            result = await _to_its_end(self._in_turn(job))
            if not job.over:
                return result
            await self._aside.acquire()
            return await _to_its_end(self._begun_again(job))
        finally:
            self._jobs.remove(job)

    async def _in_turn(self, job: _Job[_Result]) -> _Result:
        """Do it at the front place, and go on aside where it takes long; where that is not free, see whether a quick try is enough."""
        try:
            place = self._front
            if self._aside.locked() or any(other.over for other in self._jobs):
                result, job.over = await place.run(job.work, min(job.seconds, self._quick_s), quick=True)
                return result  # the next in turn sees that this one is over
            running = asyncio.create_task(place.run(job.work, job.seconds), name="attachments")
            if (await asyncio.wait({running}, timeout=self._quick_s))[0]:
                return running.result()[0]
            await self._aside.acquire()  # at once: it was free, and only who has the turn comes to want it
            self._front, self._other = self._other, place
        finally:
            self._turn.release()
        try:
            return (await running)[0]
        finally:
            self._aside.release()

    async def _begun_again(self, job: _Job[_Result]) -> _Result:
        """Do it at the place aside, which has been taken for it."""
        try:
            return (await self._other.run(job.work, job.seconds))[0]
        finally:
            self._aside.release()


async def _to_its_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Wait for what goes on, and keeps its place, when nobody waits for it any more."""
    return await asyncio.shield(asyncio.create_task(work, name="attachments"))


def _inspected(
    message: Message, passwords: bool, helper: Helper, seconds: float, quick: bool
) -> tuple[list[Item], bool]:
    """Its files are decoded here, when its turn has come: of those that wait there is no second copy."""
    until = time.monotonic() + seconds
    files = attached_files(message)
    items = helper.inspect(files, Limits(seconds=seconds))
    failed = bool(helper.failure) and len(files) > 1
    if failed and not quick:
        items = helper.inspect_each(files, Limits(seconds=max(until - time.monotonic(), seconds / 2)))
    locked = {_part(item) for item in items if Flag.ENCRYPTED in item.flags}
    words = passwords_of(message) if locked and passwords else []  # few are, and the search reads all text
    left = until - time.monotonic()
    if words and not quick and left > 0:
        closed = [replace(file, depth=0) for file in files if file.path in locked]
        opened = helper.inspect(closed, Limits(seconds=left), words)
        items = items if helper.failure else _opened(items, opened)
    return items, failed or bool(words)


def _cleaned(part: Part, helper: Helper, seconds: float, _quick: bool) -> tuple[Cleaned | None, bool]:
    return helper.clean(part.decode(), Limits(seconds=seconds)), False


def _part(item: Item) -> str:
    return item.path.partition("/")[0]


def _opened(before: Sequence[Item], after: Sequence[Item]) -> list[Item]:
    """Return what passwords opened in place of what was seen without; not of a file that shows less now, since time ran out."""
    opened = {path: list(items) for path, items in groupby(after, _part)}
    found: list[Item] = []
    for path, each in groupby(before, _part):
        items, theirs = list(each), opened.get(path, [])
        if len(theirs) >= len(items):
            items = [replace(item, depth=item.depth + items[0].depth) for item in theirs]
        found += items
    return found
