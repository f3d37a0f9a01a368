"""ICAP: shows each message to a service as the body of an HTTP message, and reads what it found (RFC 3507).

The service is first asked what it can do (OPTIONS), which holds until it says otherwise. 204 says that it changed nothing.
Vendors do not agree on what else they say: fields of the answer name a threat, and an answer with content but without such
a field means what the settings say.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from mpp.checks.scanners.kinds import Icap
from mpp.checks.scanners.scanner import About, ServedCheck, Tools
from mpp.checks.scanners.session import Session, Sessions
from mpp.checks.scanners.signatures import SignatureNames
from mpp.mail.message import Message
from mpp.net.connect import Connection, Server
from mpp.net.pool.asking import PoolError
from mpp.protocols.errors import RemoteProtocolError
from mpp.protocols.icap import Answer, Begin, Continue, Data, Done, End, EndOfPreview, IcapCodec, Options, Piece
from mpp.verdict.finding import Finding, Verdict
from mpp.verdict.transaction import Transaction

CHANGED = "ICAP-changed"  # a symbol of ours: it gave back something else, and named no threat
PIECE = 256 << 10  # octets under one length
SMALL = 8 << 10  # octets that go out in one piece with what is around them
SPARE = 1 << 20  # octets that what comes back may be longer than what was given
_LONGEST_S, _USUAL_S = 3600.0, 60.0  # what a service can do is known so long
_INFECTION = re.compile(r"Type=([0-9]{1,3}); *Resolution=[0-9-]{1,3}; *Threat=([^;]{1,300});?.*", re.IGNORECASE)
_CONTAINER = "2"  # Type: it could not be taken apart

Talk = Session[IcapCodec]


@dataclass(frozen=True, slots=True)
class _Known:
    """What a service can do."""

    until: float  # the loop's time
    tag: str  # ISTag: of this state of the service
    preview: int | None
    allow_204: bool
    name: str
    url: str
    host: str


class IcapCheck(ServedCheck[Icap]):
    """The Check that asks an ICAP service."""

    def __init__(self, settings: Icap, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._names = SignatureNames(settings)
        self._threat_fields = [(name, name.lower()) for name in settings.threat_fields]
        self._sessions = Sessions(self.connect, IcapCodec)
        self._known: dict[Server, _Known] = {}

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return a note that the message was scanned and what was found, or why it was not scanned."""
        raw = message.raw
        if len(raw) > self.settings.max_size:
            return [self.too_large(len(raw))]
        fields = [("X-Client-IP", transaction.client.address)] if self.settings.tell_client else []
        job = self._sessions.job(partial(self._scan, raw, fields))
        try:
            found = await self.ask(job, len(raw), transaction)
        except PoolError as error:
            return [self.failed(error.server, error.cause)]
        return [self.answered, *found]

    async def ping(self, server: Server, connection: Connection) -> None:
        await self._options(Session(server, connection, IcapCodec()))

    async def tell(self, server: Server, deadline: float) -> About:
        known = await self._sessions.speak(server, deadline, self._options)
        return About(f"{known.name}, ISTag {known.tag}")

    async def _options(self, session: Talk) -> _Known:
        host = _host(session.server)
        url = f"icap://{host}{self.settings.service}"
        await session.connection.write((session.codec.send(Options(url, host)),))
        answer, _ = await _answer(session, b"")
        fields = answer.fields
        if answer.status != 200:
            raise RemoteProtocolError(f"the service says {answer.status} {answer.reason}")
        if self.settings.method not in fields.get("methods", self.settings.method).upper():
            raise RemoteProtocolError(f"the service has no {self.settings.method}, but {fields['methods']}")
        lifetime = min(_number(fields.get("options-ttl", "")) or _USUAL_S, _LONGEST_S)
        return _Known(
            asyncio.get_running_loop().time() + lifetime,
            fields.get("istag", ""),
            _number(fields.get("preview", "")) if self.settings.preview else None,
            "204" in fields.get("allow", ""),
            fields.get("service", "an ICAP service"),
            url,
            host,
        )

    async def _scan(self, raw: bytes, fields: list[tuple[str, str]], session: Talk) -> list[Finding]:
        codec, connection, server = session.codec, session.connection, session.server
        known = self._known.get(server)
        if known is None or known.until < asyncio.get_running_loop().time():
            known = self._known[server] = await self._options(session)
        # A small message goes at once: asking whether its rest is wanted would cost more than the rest.
        preview = None if known.allow_204 and len(raw) <= SMALL else known.preview
        about = Begin(self.settings.method, known.url, known.host, len(raw), preview, known.allow_204, fields)
        if preview is None and len(raw) <= SMALL:
            session.whole = await connection.write((codec.send_whole(about, raw),))
            return self._found(*await _answer(session, raw), server, known)
        begin, start = codec.send(about), 0
        if preview is not None:
            start = min(preview, len(raw))
            shown = (codec.send(Piece(start)), raw[:start]) if start else ()
            whole = start == len(raw)
            session.whole = await connection.write((b"".join((begin, *shown, codec.send(EndOfPreview(whole)))),))
            begin = b""
            first = await session.heard(codec.next_event)
            if isinstance(first, Answer):
                return self._found(first, await _came_back(session, first, raw), server, known)
            if not isinstance(first, Continue):
                raise RemoteProtocolError(f"{type(first).__name__} is no answer to a preview")
        session.whole = await connection.write(_pieces(codec, begin, raw, start))
        return self._found(*await _answer(session, raw), server, known)

    def _found(self, answer: Answer, same: bool, server: Server, known: _Known) -> list[Finding]:
        """Return what an answer says; `same` is whether the content came back as it went. Raises RemoteProtocolError."""
        if answer.fields.get("istag", known.tag) != known.tag:
            self._known.pop(server, None)  # new signatures or settings there: what it can do may be new too
        if answer.status not in (200, 201, 204):
            raise RemoteProtocolError(f"the service says {answer.status} {answer.reason}")
        for name, key in self._threat_fields if answer.fields else ():
            if value := answer.fields.get(key):
                return [self._threat(name, value)]
        if answer.status == 204:
            return []
        meaning = self.settings.unmarked
        if meaning == "clean" or (meaning == "compare" and same):
            return []
        status = answer.http.partition(b"\r\n")[0][:100].decode("latin-1")
        text, verdict = "The service gave back something else", Verdict.VIRUS
        if meaning == "unchecked":
            text, verdict = "The service answered without saying what it found", Verdict.UNCHECKED
        return [Finding(self.name, CHANGED, text=text, evidence=status, verdict=verdict)]

    def _threat(self, name: str, value: str) -> Finding:
        evidence = f"{name}: {value[:300]}"
        match = _INFECTION.fullmatch(value)
        if match and match[1] == _CONTAINER:
            text = "It could not be looked into"
            return Finding(self.name, match[2].strip(), text=text, evidence=evidence, verdict=Verdict.UNCHECKED)
        return self._names.classed(self.name, match[2].strip() if match else value[:200], evidence)


def _host(server: Server) -> str:
    if server.path:
        return "localhost"
    return f"[{server.host}]:{server.port}" if ":" in server.host else f"{server.host}:{server.port}"


def _pieces(codec: IcapCodec, begin: bytes, raw: bytes, start: int) -> Iterable[bytes | memoryview]:
    """Yield the content from `start` on: in one piece where it is small, else by pieces without a copy."""
    if len(raw) - start <= SMALL:
        piece = (codec.send(Piece(len(raw) - start)), raw[start:]) if len(raw) > start else ()
        yield b"".join((begin, *piece, codec.send(End())))
        return
    yield begin
    view = memoryview(raw)
    for place in range(start, len(view), PIECE):
        piece_ = view[place : place + PIECE]
        yield codec.send(Piece(len(piece_)))
        yield piece_
    yield codec.send(End())


async def _answer(session: Talk, raw: bytes) -> tuple[Answer, bool]:
    """Return the answer, and whether `raw` came back with it. Raises OSError and RemoteProtocolError."""
    answer = await session.heard(session.codec.next_event)
    if not isinstance(answer, Answer):
        raise RemoteProtocolError(f"{type(answer).__name__} is no answer")
    return answer, await _came_back(session, answer, raw)


async def _came_back(session: Talk, answer: Answer, raw: bytes) -> bool:
    """Return whether `raw` comes back with an answer. Raises OSError and RemoteProtocolError."""
    same, length = True, 0
    while answer.body and not isinstance(event := await session.heard(session.codec.next_event), Done):
        if isinstance(event, Data):
            same = same and event.octets == raw[length : length + len(event.octets)]
            length += len(event.octets)
        if length > len(raw) + SPARE:
            raise RemoteProtocolError(f"gives back more than {len(raw) + SPARE} octets")
    session.settle()
    return same and length == len(raw)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
