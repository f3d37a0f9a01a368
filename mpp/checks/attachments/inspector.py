"""The one confined helper of a worker, for all of its messages: they wait for it in a thread of its own, never on the loop.

A message that has no time left goes away; what the helper does for it then ends by the limits of an inspection, and the next
one follows. Raises OSError where no process can be started.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.item import Cleaned, File, Item, Limits
from mpp.checks.attachments.unpacking import find_unpacker

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

    async def inspect(self, files: Sequence[File], passwords: Sequence[str]) -> list[Item]:
        return await self._alone(lambda: self._helper.inspect(files, Limits(), passwords))

    async def clean(self, data: bytes) -> Cleaned | None:
        """Return a document without its macros, None where that cannot be done safely."""
        return await self._alone(lambda: self._helper.clean(data, Limits()))

    async def close(self) -> None:
        await self._alone(self._helper.close)
        self._thread.shutdown(wait=False)

    async def _alone(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
