"""What a connection takes from the event loop, with nothing behind it."""

import asyncio
from types import SimpleNamespace

import pytest

from mpp.gateway.connection import BACKLOG, BULK, Connection
from mpp.protocols.errors import NEED_DATA


class Transport:
    """Notes whether it is to be read from."""

    reading = True

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


class Codec:
    """Keeps what comes while a reply is being worked at."""

    receiving, held = True, 0

    def __init__(self) -> None:
        self.unread = 0

    def receive_data(self, data: bytes) -> None:
        self.unread += len(data)

    def next_event(self) -> object:
        self.unread = 0
        return NEED_DATA


async def connection() -> tuple[Connection, Transport]:
    session = SimpleNamespace(codec=Codec(), closing=False, wants_tls=False, hold=lambda octets: None)
    limits = SimpleNamespace(command_timeout=60.0, data_timeout=60.0)
    made, transport = Connection(session, limits, None, None, lambda _: None), Transport()
    made.connection_made(transport)
    return made, transport


@pytest.mark.parametrize(("octets", "reading"), [(BULK - 1, True), (BULK, False)])
async def test_a_large_read_ends_the_turn_of_its_connection(octets, reading):
    client, transport = await connection()
    client.data_received(b"x" * octets)
    assert transport.reading is reading
    await asyncio.sleep(0)
    assert transport.reading


async def test_what_was_paused_for_a_backlog_meanwhile_stays_paused():
    client, transport = await connection()
    client.data_received(b"x" * BULK)
    client.busy = True
    client.data_received(b"x" * (BACKLOG + 1))
    await asyncio.sleep(0)
    assert not transport.reading


async def test_a_backlog_is_no_matter_of_turns():
    client, transport = await connection()
    client.busy = True
    client.data_received(b"x" * (BACKLOG + 1))
    await asyncio.sleep(0)
    assert not transport.reading
