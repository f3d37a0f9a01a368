"""A future for one task, which goes on within the call that tells it, and not when its turn comes in the loop.

For mpp.net.connect: while a server's answer lies unread behind other messages' work, the server stands idle. Tasks take
anything for a future that has these methods and `_asyncio_future_blocking` (asyncio.isfuture).
"""

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any


class Waiter:
    """To be awaited once, by a task. `tell` ends the wait."""

    _asyncio_future_blocking = False

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._told = self._cancelled = False
        self._go_on: Callable[[Any], object] | None = None
        self._context: Context | None = None

    def tell(self) -> None:
        """Let the task go on at once; where another one is in the middle of a step, as soon as it is over."""
        if self._told or self._cancelled:
            return
        self._told = True
        if self._go_on is None or self._context is None:
            return
        if asyncio.current_task(self._loop) is None:
            self._context.run(self._go_on, self)
        else:
            self._loop.call_soon(self._go_on, self, context=self._context)

    # What a task asks of a future

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context) -> None:
        self._go_on, self._context = callback, context

    def cancel(self, msg: object = None) -> bool:
        if self._told or self._cancelled:
            return False
        self._cancelled = True
        if self._go_on is not None:
            self._loop.call_soon(self._go_on, self, context=self._context)
        return True

    def result(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError

    def __await__(self) -> Generator["Waiter", None, None]:
        if not self._told:
            self._asyncio_future_blocking = True
            yield self
        self.result()
