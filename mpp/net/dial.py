"""Opening a connection for a protocol of ours: TCP or a unix socket, by a deadline. Raises OSError (TimeoutError among them)."""

import asyncio
from collections.abc import Callable


async def dial(factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, path: str, deadline: float) -> None:
    """Connect `factory`'s protocol to HOST:PORT, or to the unix socket at `path`. `deadline`: monotonic seconds."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout_at(deadline):
        if path:
            await loop.create_unix_connection(factory, path)
        else:
            await loop.create_connection(factory, host, port)
