"""ClamAV: gives each message to a clamd and classes the signature names that come back (clamd man page, INSTREAM).

A connection is an IDSESSION that is kept for a while after a message; it carries one message at a time. Names are
classed by the settings: could not be looked into, a spam score, or a virus.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate

from mpp.checks.scanners.kinds import Clamd
from mpp.checks.scanners.scanner import ServedCheck, Tools
from mpp.mail.message import Message
from mpp.net.connect import Connection, Server
from mpp.net.pool.asking import PoolError
from mpp.net.pool.kept import Kept
from mpp.protocols.clamd import Begin, Chunk, ClamdCodec, Clean, End, Event, Failed, Found, Ping, State, Told, TooLarge
from mpp.protocols.errors import NEED_DATA, RemoteProtocolError
from mpp.verdict.finding import VIRUS_SCANNED, Finding, Verdict
from mpp.verdict.transaction import Transaction

CHUNK = 256 << 10  # octets under one length

Answer = Clean | Found | TooLarge


class ClamdCheck(ServedCheck[Clamd]):
    """The Check that asks clamd."""

    def __init__(self, settings: Clamd, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._unchecked = _one_of(settings.unchecked_signatures)
        self._spam = _one_of(settings.spam_signatures)
        self._kept: Kept[_Session] = Kept()

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return a note that the message was scanned and what was found, or why it was not scanned."""
        raw = message.raw
        if len(raw) > self.settings.max_size:
            return [self.too_large(len(raw), f"{self.settings.max_size} (max_size)")]

        async def job(server: Server, deadline: float) -> Answer:
            return await self._scan(server, raw, deadline)

        try:
            answer = await self.ask(job, len(raw), transaction)
        except PoolError as error:
            return [self.failed(error.server, error.cause)]
        if isinstance(answer, TooLarge):
            return [self.too_large(len(raw), "clamd's StreamMaxLength")]
        scanned = Finding(self.name, VIRUS_SCANNED)
        return [scanned] if isinstance(answer, Clean) else [scanned, self.classed(answer.name)]

    def classed(self, name: str) -> Finding:
        """Return the finding that a signature name stands for."""
        if self._unchecked.fullmatch(name):
            text = "It could not be looked into (encrypted, or over a limit of the scanner)"
            return Finding(self.name, name, text=text, verdict=Verdict.UNCHECKED)
        if self._spam.fullmatch(name):
            return Finding(self.name, name, self.settings.spam_signature_score, "A signature of spam or phishing")
        return Finding(self.name, name, text="A signature of a virus", verdict=Verdict.VIRUS)

    async def ping(self, connection: Connection) -> None:
        session = _Session(connection)
        await connection.write((session.codec.send(Ping()),))
        if not isinstance(event := await session.answer(), Told):
            raise RemoteProtocolError(f"{type(event).__name__} is no answer to PING")

    async def _scan(self, server: Server, data: bytes, deadline: float) -> Answer:
        """Scan in a kept session; where that was closed meanwhile, in a fresh one."""
        while session := self._kept.take(server):
            try:
                return await self._scan_in(session, server, data)
            except (ConnectionError, RemoteProtocolError):
                if not session.lost:
                    raise
        return await self._scan_in(_Session(await self.connect(server, deadline)), server, data)

    async def _scan_in(self, session: "_Session", server: Server, data: bytes) -> Answer:
        answer: Answer | None = None
        try:
            answer = await session.scan(data)
        finally:
            if answer is not None and session.codec.state is State.IDLE:
                self._kept.keep(server, session)
            else:
                session.connection.close()
        return answer


class _Session:
    """A connection to a clamd within its IDSESSION."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.codec = ClamdCodec()
        self.lost = False  # clamd closed without a word

    async def scan(self, data: bytes) -> Answer:
        """Return clamd's answer. Raises OSError and RemoteProtocolError."""
        await self.connection.write(_octets(self.codec, data))
        event = await self.answer()
        if isinstance(event, Failed):
            raise RemoteProtocolError(f"clamd says: {event.text}")
        if not isinstance(event, Answer):
            raise RemoteProtocolError(f"{type(event).__name__} is no answer to a scan")
        return event

    async def answer(self) -> Event:
        """Return what clamd says next. Raises OSError and RemoteProtocolError."""
        while (event := self.codec.next_event()) is NEED_DATA:
            read = await self.connection.read()
            self.lost = not read
            self.codec.receive_data(read)
        return event


def _octets(codec: ClamdCodec, data: bytes) -> Iterable[bytes | memoryview]:
    """Yield what goes to clamd for a message: in one piece where it is small, else by chunks without a copy."""
    begin = codec.send(Begin())
    if 0 < len(data) <= 8192:
        yield b"".join((begin, codec.send(Chunk(len(data))), data, codec.send(End())))
        return
    yield begin
    view = memoryview(data)
    for start in range(0, len(view), CHUNK):
        piece = view[start : start + CHUNK]
        yield codec.send(Chunk(len(piece)))
        yield piece
    yield codec.send(End())


def _one_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """Return one expression for shell patterns; letter case has no say, and no pattern matches nothing."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)", re.IGNORECASE)
