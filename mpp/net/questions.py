"""Questions on their way to DNS: one for many who want to know the same, and none that outlives the loop.

For mpp.net.dns and mpp.net.lookups, each with a resolver of its own. c-ares answers from a thread; a question that is still
there when the loop is closed would be answered to nobody, and that thread complains.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import aiodns

T = TypeVar("T")
Question = Callable[[str], Coroutine[Any, Any, T]]


class Questions:
    """`servers` as "ADDRESS" or "ADDRESS:PORT"; none: those of the system. Made within a running loop."""

    def __init__(self, servers: Sequence[str], timeout_s: float) -> None:
        self.resolver = aiodns.DNSResolver(list(servers) or None, timeout=timeout_s, tries=2)
        self._asking: dict[tuple[Question[Any], str], asyncio.Task[Any]] = {}

    async def ask(self, question: Question[T], name: str) -> T:
        """Return the answer to a question about a name, which is asked unless it is on its way already."""
        key = question, name
        task: asyncio.Task[T] | None = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._asked(question(name)), name=f"dns {name}")
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)  # who gives up must not take the others' answer away

    async def _asked(self, asking: Coroutine[Any, Any, T]) -> T:
        try:
            return await asking
        except asyncio.CancelledError:  # nobody else does that: the loop ends
            self.resolver.cancel()
            raise

    def _done(self, key: tuple[Question[Any], str], task: asyncio.Task[Any]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, where everybody who waited has gone
