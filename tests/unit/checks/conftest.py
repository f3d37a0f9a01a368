"""Servers for the tests of the checks."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from servers.scripted import Handler, Serve, Served


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[asyncio.Server] = []

    async def start(handler: Handler, tls: ssl.SSLContext | None = None) -> Served:
        served = Served(handler)
        server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        served.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return served

    yield start
    for server in servers:
        server.close()
