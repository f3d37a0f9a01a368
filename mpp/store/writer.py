"""The one writer thread of a process: batches all that waits into one transaction (group commit).

For a batch: the records are appended to the segment and synced, then the catalog's transaction is committed, and only then
are the callers told. While it works the next batch gathers, so under load many messages share two waits for the disk.
"""

from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Connection

from mpp.store.letter import Letter


class Writer(Protocol):
    """The face for the gateway, the command line and the background process. Both wait until all is durable."""

    async def store(self, letter: Letter) -> None:
        """Keep a message with its copies. Raises StoreError: nothing was promised then."""

    async def change(self, change: Callable[[Connection], None]) -> None:
        """Do one change of the catalog in a transaction with others. It may be called again after a fault of another.

        Raises StoreError, and what `change` itself raises; in both cases nothing of it is in the catalog.
        """
