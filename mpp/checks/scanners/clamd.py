"""ClamAV: gives each message to a clamd and classes the signature names that come back (clamd man page, INSTREAM).

A connection is an IDSESSION that is kept for a while after a message; it carries one message at a time. Names are
classed by the settings: could not be looked into, a spam score, or a virus.
"""

import calendar
import time
from collections.abc import Iterable

from mpp.checks.scanners.kinds import Clamd
from mpp.checks.scanners.scanner import About, ServedCheck, Tools
from mpp.checks.scanners.session import Session, Sessions
from mpp.checks.scanners.signatures import SignatureNames
from mpp.mail.message import Message
from mpp.net.connect import Connection, Server
from mpp.net.pool.asking import PoolError
from mpp.protocols.clamd import Begin, Chunk, ClamdCodec, Clean, End, Failed, Found, Ping, Told, TooLarge, Version
from mpp.protocols.errors import RemoteProtocolError
from mpp.verdict.finding import Finding
from mpp.verdict.transaction import Transaction

CHUNK = 256 << 10  # octets under one length
SMALL = 8 << 10  # octets that go out in one piece with what is around them

Answer = Clean | Found | TooLarge


class ClamdCheck(ServedCheck[Clamd]):
    """The Check that asks clamd."""

    def __init__(self, settings: Clamd, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._names = SignatureNames(settings)
        self._sessions = Sessions(self.connect, ClamdCodec)

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return a note that the message was scanned and what was found, or why it was not scanned."""
        raw = message.raw
        if len(raw) > self.settings.max_size:
            return [self.too_large(len(raw))]

        job = self._sessions.job(lambda session: _scan(session, raw))
        try:
            answer = await self.ask(job, len(raw), transaction)
        except PoolError as error:
            return [self.failed(error.server, error.cause)]
        if isinstance(answer, TooLarge):
            return [self.too_large(len(raw), "clamd's StreamMaxLength")]
        if isinstance(answer, Clean):
            return [self.answered]
        return [self.answered, self._names.classed(self.name, answer.name)]

    async def ping(self, server: Server, connection: Connection) -> None:
        session = Session(server, connection, ClamdCodec())
        await connection.write((session.codec.send(Ping()),))
        if not isinstance(event := await session.answer(session.codec.next_event), Told):
            raise RemoteProtocolError(f"{type(event).__name__} is no answer to PING")

    async def tell(self, server: Server, deadline: float) -> About:
        async def talk(session: Session[ClamdCodec]) -> About:
            await session.connection.write((session.codec.send(Version()),))
            event = await session.answer(session.codec.next_event)
            if not isinstance(event, Told):
                raise RemoteProtocolError(f"{type(event).__name__} is no answer to VERSION")
            return _told(event.text)

        return await self._sessions.speak(server, deadline, talk)


def _told(version: str) -> About:
    """Read "ClamAV 1.4.1/27400/Mon Sep 16 10:00:00 2024"; without signatures it is "ClamAV 1.4.1"."""
    program, _, rest = version.partition("/")
    number, _, when = rest.partition("/")
    try:
        signatures = calendar.timegm(time.strptime(when, "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return About(program)
    return About(f"{program}, daily {number}", signatures)


async def _scan(session: Session[ClamdCodec], data: bytes) -> Answer:
    """Return clamd's answer. Raises OSError and RemoteProtocolError."""
    await session.connection.write(_octets(session.codec, data))
    event = await session.answer(session.codec.next_event)
    if isinstance(event, Failed):
        raise RemoteProtocolError(f"clamd says: {event.text}")
    if not isinstance(event, Answer):
        raise RemoteProtocolError(f"{type(event).__name__} is no answer to a scan")
    return event


def _octets(codec: ClamdCodec, data: bytes) -> Iterable[bytes | memoryview]:
    """Yield what goes to clamd for a message: in one piece where it is small, else by chunks without a copy."""
    if len(data) <= SMALL:
        yield codec.send_whole(data)
        return
    yield codec.send(Begin())
    view = memoryview(data)
    for start in range(0, len(view), CHUNK):
        piece = view[start : start + CHUNK]
        yield codec.send(Chunk(len(piece)))
        yield piece
    yield codec.send(End())
