"""A thread that syncs one file while its owner syncs another, so that the disk is waited for once.

Called by mpp.store.segment. Two plain queues, since the futures of a pool cost as much as a quick disk: 0.25 ms a batch.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Beside:
    """For one owner, who waits for each call before the next."""

    def __init__(self, name: str) -> None:
        self._asked: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._said: SimpleQueue[Exception | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def begin(self, call: Callable[[], None]) -> None:
        """Have `call` run in the thread."""
        self._asked.put(call)

    def wait(self) -> None:
        """Return when what was begun is done. Raises what it raised."""
        if error := self._said.get():
            raise error

    def close(self) -> None:
        """End the thread; nothing is in it."""
        self._asked.put(None)

    def _run(self) -> None:
        while call := self._asked.get():
            try:
                call()
            except Exception as error:  # noqa: BLE001 the edge of the thread: its owner is told
                self._said.put(error)
            else:
                self._said.put(None)
