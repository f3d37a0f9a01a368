"""The confined helpers of a worker, for all of its messages: they are waited for in threads of their own, never on the loop.

One message at a time is looked into, in the order in which they came, which takes milliseconds. What takes longer than `_QUICK_S` goes on
aside, and those behind it go to a second helper, which is started then. There is one place aside: what takes so long while that is
taken is broken off, and begun again when the place is free. So what is slow waits for what is slow, and nothing else does.

A message that has no time left goes away; what a helper does for it then ends by the limits of an inspection. Raises OSError where
no process can be started.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.item import Cleaned, Flag, Item, Limits
from mpp.checks.attachments.mails import attached_files
from mpp.checks.attachments.passwords import passwords_of
from mpp.checks.attachments.unpacking import find_unpacker
from mpp.mail.message import Message
from mpp.mail.part import Part

_QUICK_S = 1.0  # so long others wait for one
_Result = TypeVar("_Result")
_Work = Callable[[Helper, float], _Result]  # what is to be done by a helper in so many seconds


class _Place:
    """A helper and the thread that waits for it."""

    def __init__(self) -> None:
        self.helper = Helper(find_unpacker())
        self._thread = ThreadPoolExecutor(1, "attachments")

    async def run(self, work: _Work[_Result], seconds: float) -> tuple[_Result, bool]:
        """Return what comes of it, and whether it took more than its time. That of a start does not count."""

        def timed() -> tuple[_Result, bool]:
            self.helper.start()
            begun = time.monotonic()
            result = work(self.helper, seconds)
            return result, time.monotonic() - begun >= seconds

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
        self._waiting = 0  # for the place aside

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
        await self._turn.acquire()
        result, over = await _to_its_end(self._in_turn(work, seconds))
        if not over:
            return result
        self._waiting += 1
        try:
            await self._aside.acquire()
        finally:
            self._waiting -= 1
        return await _to_its_end(self._begun_again(work, seconds))

    async def _in_turn(self, work: _Work[_Result], seconds: float) -> tuple[_Result, bool]:
        """Do it at the front place, and go on aside where it takes long; True: that is taken, and this is to be begun again."""
        try:
            place = self._front
            if self._aside.locked() or self._waiting:
                return await place.run(work, min(seconds, self._quick_s))
            running = asyncio.create_task(place.run(work, seconds), name="attachments")
            if (await asyncio.wait({running}, timeout=self._quick_s))[0]:
                return running.result()[0], False
            await self._aside.acquire()  # at once: but for who has the turn all would be waiting for it
            self._front, self._other = self._other, place
        finally:
            self._turn.release()
        try:
            return (await running)[0], False
        finally:
            self._aside.release()

    async def _begun_again(self, work: _Work[_Result], seconds: float) -> _Result:
        """Do it at the place aside, which has been taken for it."""
        try:
            return (await self._other.run(work, seconds))[0]
        finally:
            self._aside.release()


async def _to_its_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Wait for what goes on, and keeps its place, when nobody waits for it any more."""
    return await asyncio.shield(asyncio.create_task(work, name="attachments"))


def _inspected(message: Message, passwords: bool, helper: Helper, seconds: float) -> list[Item]:
    """Its files are decoded here, when its turn has come: of those that wait there is no second copy."""
    until = time.monotonic() + seconds
    files = attached_files(message)
    items = helper.inspect(files, Limits(seconds=seconds))
    if helper.failure and len(files) > 1:
        items = helper.inspect_each(files, Limits(seconds=max(until - time.monotonic(), seconds / 2)))
    locked = {_part(item) for item in items if Flag.ENCRYPTED in item.flags}
    left = until - time.monotonic()
    if locked and passwords and left > 0:  # few are, and the search reads all text
        closed = [replace(file, depth=0) for file in files if file.path in locked]
        opened = helper.inspect(closed, Limits(seconds=left), passwords_of(message))
        items = items if helper.failure else _opened(items, opened)
    return items


def _cleaned(part: Part, helper: Helper, seconds: float) -> Cleaned | None:
    return helper.clean(part.decode(), Limits(seconds=seconds))


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
