"""The one confined helper of a worker, for all of its messages: they wait for it in a thread of its own, never on the loop.

A message that has no time left goes away; what the helper does for it then ends by the limits of an inspection, and the next
one follows. Raises OSError where no process can be started.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.item import Cleaned, Flag, Item, Limits
from mpp.checks.attachments.mails import attached_files
from mpp.checks.attachments.passwords import passwords_of
from mpp.checks.attachments.unpacking import find_unpacker
from mpp.mail.message import Message
from mpp.mail.part import Part

_Result = TypeVar("_Result")


class Inspector:
    """Outlives a reload of the settings. Nothing is started before it is needed."""

    def __init__(self) -> None:
        self._helper = Helper(find_unpacker())
        self._thread = ThreadPoolExecutor(1, "attachments")

    async def start(self) -> Sequence[str]:
        """Have the process ready before the first message comes; return the walls that this host cannot build. Raises OSError."""
        await self._alone(self._helper.start)
        return self._helper.lacking

    async def inspect(self, message: Message, *, passwords: bool) -> list[Item]:
        """Return what is said of a mail's files. `passwords`: encrypted ones are tried with those that stand in its text.

        Its files are decoded here, when its turn has come: of those that wait there is no second copy.
        """

        def inspected() -> list[Item]:
            files = attached_files(message)
            items = self._helper.inspect(files, Limits())
            if self._helper.failure and len(files) > 1:
                items = self._helper.inspect_each(files, Limits())
            locked = {_part(item) for item in items if Flag.ENCRYPTED in item.flags}
            if locked and passwords:  # few are, and the search reads all text
                closed = [replace(file, depth=0) for file in files if file.path in locked]
                opened = self._helper.inspect(closed, Limits(), passwords_of(message))
                items = items if self._helper.failure else _opened(items, opened)
            return items

        return await self._alone(inspected)

    async def clean(self, part: Part) -> Cleaned | None:
        """Return a document without its macros, None where that cannot be done safely."""
        return await self._alone(lambda: self._helper.clean(part.decode(), Limits()))

    async def close(self) -> None:
        await self._alone(self._helper.close)
        self._thread.shutdown(wait=False)

    async def _alone(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


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
