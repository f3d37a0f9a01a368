"""Connections to servers on loopback and unix sockets: TLS, deadlines, back-pressure."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from mpp.net.connect import UNREAD, Connection, Server, UnreachedError, connect, server_of, why_silent
from servers.certificates import Certificates

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[..., Awaitable[Server]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    servers: list[asyncio.Server] = []

    async def start(handler: Handler, *, unix: bool = False) -> Server:
        if unix:
            servers.append(await asyncio.start_unix_server(handler, tmp_path / "s"))
            return server_of(f"unix:{tmp_path / 's'}")
        servers.append(await asyncio.start_server(handler, "127.0.0.1", 0))
        return server_of(f"127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}")

    yield start
    for server in servers:
        server.close()


def soon(seconds: float = 5) -> float:
    return asyncio.get_running_loop().time() + seconds


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("unix", [False, True])
async def test_octets_go_and_come(serve: Serve, unix: bool) -> None:
    connection = await connect(await serve(echo, unix=unix), soon())
    assert await connection.write((b"ab", memoryview(b"cd")))
    got = b""
    while len(got) < 4:
        got += await connection.read()
    assert got == b"abcd"
    connection.close()
    assert await connection.read() == b""


@pytest.mark.parametrize("unix", [False, True])
async def test_what_is_said_first_leaves_in_the_first_turn_of_the_loop(tmp_path: Path, unix: bool) -> None:
    family, where = (socket.AF_UNIX, str(tmp_path / "s")) if unix else (socket.AF_INET, ("127.0.0.1", 0))
    with socket.socket(family) as listening:
        listening.setblocking(False)
        listening.bind(where)
        listening.listen()
        server = server_of(f"unix:{where}" if unix else f"127.0.0.1:{listening.getsockname()[1]}")
        opening = asyncio.create_task(connect(server, soon(), None, b"hello"))
        await asyncio.sleep(0)
        peer = listening.accept()[0]
        assert peer.recv(9, socket.MSG_DONTWAIT) == b"hello"
        connection = await opening
        peer.sendall(b"world")
        assert await connection.read() == b"world"
        connection.close()
        peer.close()


async def test_an_opening_may_be_broken_off_at_any_turn(serve: Serve) -> None:
    server = await serve(silent)
    for turns in range(200):
        opening = asyncio.create_task(connect(server, soon(), None, b"hello"))
        for _ in range(turns % 5):
            await asyncio.sleep(0)
        opening.cancel()
        with suppress(asyncio.CancelledError):
            (await opening).close()


async def test_what_does_not_fit_at_first_follows_in_order(serve: Serve) -> None:
    wanted = bytes(range(256)) * (32 << 10)
    got = asyncio.get_running_loop().create_future()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        got.set_result(await reader.readexactly(len(wanted) + 3))

    connection = await connect(await serve(hear), soon(), None, wanted)
    await connection.write((b"end",))
    assert await got == wanted + b"end"
    connection.close()


async def test_an_opening_broken_off_while_it_speaks_leaves_no_connection(serve: Serve) -> None:
    heard, gone = asyncio.Event(), asyncio.Event()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set()
        await asyncio.wait_for(broken.wait(), 5)
        with suppress(ConnectionError):
            while await reader.read(1 << 20):
                pass
        gone.set()

    broken = asyncio.Event()
    opening = asyncio.create_task(connect(await serve(hear), soon(), None, bytes(32 << 20)))
    await asyncio.wait_for(heard.wait(), 5)
    assert not opening.done()
    opening.cancel()
    with suppress(asyncio.CancelledError):
        await opening
    broken.set()
    await asyncio.wait_for(gone.wait(), 5)


async def test_small_writes_do_not_wait_for_acknowledgements(serve: Serve) -> None:
    connection = await connect(await serve(silent), soon())
    assert connection._transport is not None
    end = connection._transport.get_extra_info("socket")
    assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.close()


async def test_a_refused_connection_is_an_oserror() -> None:
    with pytest.raises(UnreachedError, match=r"refused|Connect call failed"):
        await connect(server_of("127.0.0.1:1"), soon())
    with pytest.raises(UnreachedError, match="No such file"):
        await connect(server_of("unix:/nonexistent/socket"), soon())


async def test_a_refusal_is_told_in_the_words_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(UnreachedError, match=r"^Connection refused$"):
        await connect(server_of(f"127.0.0.1:{port}"), soon(), None, b"hello")


async def test_a_handshake_that_hangs_ends_at_the_deadline(serve: Serve) -> None:
    server = await serve(silent)
    with pytest.raises(UnreachedError, match="in time"):
        await connect(server_of(f"tls:{server.name}"), soon(0.05), ssl.create_default_context())


async def test_a_handshake_that_fails_is_an_oserror(serve: Serve) -> None:
    server = await serve(echo)
    with pytest.raises(UnreachedError):
        await connect(server_of(f"tls:{server.name}"), soon(), ssl.create_default_context())


async def test_a_slow_reader_makes_the_writer_wait(serve: Serve) -> None:
    go = asyncio.Event()
    total = 0

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal total
        await go.wait()
        while data := await reader.read(1 << 20):
            total += len(data)
            if total == 64 << 20:
                writer.write(b"all")

    connection = await connect(await serve(late), soon())
    writing = asyncio.create_task(connection.write([bytes(32 << 20), bytes(32 << 20)]))
    done, _ = await asyncio.wait([writing], timeout=0.1)
    assert not done
    go.set()
    assert await writing
    assert await connection.read() == b"all"
    connection.close()


async def test_an_early_answer_ends_a_write_that_nobody_reads(serve: Serve) -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"enough")
        await asyncio.Event().wait()

    connection = await connect(await serve(early), soon())
    assert not await connection.write([bytes(64 << 20)])
    assert await connection.read() == b"enough"
    connection.close()


async def test_a_peer_that_closes_ends_writing_and_reading(serve: Serve) -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    connection = await connect(await serve(closing), soon())
    assert await connection.read() == b""
    assert not await connection.write([b"x"])
    connection.close()


async def test_a_flood_is_not_read_without_end(serve: Serve) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(1 << 20))
            await writer.drain()

    connection: Connection = await connect(await serve(flood), soon())
    while not connection._paused:
        await asyncio.sleep(0)
    assert connection._length < UNREAD + (4 << 20)
    assert len(await connection.read()) > UNREAD
    assert await connection.read()
    connection.close()


async def test_tls_is_verified_against_the_name(certificates: Certificates) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=certificates.server.server_context())
    async with server:
        port = server.sockets[0].getsockname()[1]
        connection = await connect(server_of(f"tls:localhost:{port}"), soon(), certificates.client_context())
        assert await connection.write([b"secret"])
        assert await connection.read() == b"secret"
        connection.close()
        with pytest.raises(UnreachedError, match="CERTIFICATE_VERIFY_FAILED"):
            await connect(server_of(f"tls:localhost:{port}"), soon(), ssl.create_default_context())


async def test_a_silent_address_leaves_time_for_the_next(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await serve(echo)
    with socket.socket() as deaf:  # its queue is full: connecting waits for ever
        deaf.bind(("127.0.0.2", server.port))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.2", server.port))
        loop = asyncio.get_running_loop()

        async def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("127.0.0.2", "127.0.0.1")]

        monkeypatch.setattr(loop, "getaddrinfo", both)
        connection = await connect(Server("two", "two.example", server.port), soon(2))
        assert await connection.write((b"ab",))
        assert await connection.read() == b"ab"
        connection.close()
        for each in waiting:
            each.close()


async def test_the_last_address_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    with pytest.raises(UnreachedError) as told:
        await connect(Server("two", "two.example", 1), soon())
    assert isinstance(told.value.__cause__, ConnectionRefusedError)


def caused(error: OSError, cause: OSError) -> OSError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "nothing came within 2 s"),
        (caused(UnreachedError("no connection in time"), TimeoutError()), "no connection in time"),
        (ConnectionRefusedError(111, "Connect call failed ('192.0.2.1', 25)"), "Connection refused"),
        (caused(UnreachedError("x"), ConnectionRefusedError(111, "x")), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "wrong version number"), "wrong version number"),
        (ValueError("bad\x1b"), "bad\\x1b"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_why_a_server_was_silent(error: Exception, text: str) -> None:
    assert why_silent(error, 2) == text


async def test_who_waits_for_octets_goes_on_before_what_is_ready_already() -> None:
    connection, seen, loop = Connection(), [], asyncio.get_running_loop()

    async def reading() -> None:
        seen.append(await connection.read())

    task = asyncio.create_task(reading())
    await asyncio.sleep(0)

    def come() -> None:
        loop.call_soon(seen.append, b"another message's work")
        connection.data_received(b"an answer")

    loop.call_soon(come)
    await task
    await asyncio.sleep(0)
    assert seen == [b"an answer", b"another message's work"]
