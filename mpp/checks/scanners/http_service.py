"""A service of one's own over HTTP: it gets each message, or its digests alone, and answers with findings as JSON.

POST, in a kept connection, HTTPS where the server is a tls: one (docs/scanners.md, http). What SMTP said goes along: in
fields beside a message, in the JSON with digests.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from mpp.checks.scanners.answer import MAX_ANSWER, read_answer
from mpp.checks.scanners.kinds import Http
from mpp.checks.scanners.scanner import ServedCheck, Tools, beside_loop
from mpp.checks.scanners.session import Session, Sessions
from mpp.mail.message import Message
from mpp.mail.part import Part
from mpp.net.pool.asking import PoolError
from mpp.protocols.errors import RemoteProtocolError
from mpp.protocols.http import HttpCodec, Request
from mpp.verdict.finding import Finding
from mpp.verdict.transaction import Transaction


class HttpCheck(ServedCheck[Http]):
    """The Check that asks such a service."""

    def __init__(self, settings: Http, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._sessions = Sessions(self.connect, lambda: HttpCodec(max_body=MAX_ANSWER))
        self._secret = f"Bearer {settings.token_file.read_text().strip()}" if settings.token_file else ""

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return what the service found."""
        if len(message.raw) > self.settings.max_size:
            return [self.too_large(len(message.raw))]
        if self.settings.send == "message":
            body, fields = message.raw, [("Content-Type", "message/rfc822"), *_fields(transaction)]
        else:
            about = await beside_loop(len(message.raw), digests, message, transaction)
            body, fields = json.dumps(about).encode(), [("Content-Type", "application/json")]
        fields += [("Accept", "application/json"), ("Authorization", self._secret)]

        async def talk(session: Session[HttpCodec]) -> list[Finding]:
            host = self.settings.host or session.server.host
            request = Request("POST", self.settings.path, host, len(body), fields)
            session.whole = await session.connection.write((session.codec.send(request), body))
            response = await session.answer(session.codec.next_event)
            if response.status != 200:
                raise RemoteProtocolError(f"the service says {response.status} {response.reason}")
            return read_answer(response.body, self.name, transaction.id)

        try:
            return await self.ask(self._sessions.job(talk), len(message.raw), transaction)
        except PoolError as error:
            return [self.failed(error.server, error.cause)]


def _fields(transaction: Transaction) -> Iterator[tuple[str, str]]:
    """What SMTP said, as fields; addresses as JSON texts, so that nothing in them can end a field."""
    envelope, client = transaction.envelope, transaction.client
    yield "MPP-Id", transaction.id
    yield "MPP-From", json.dumps(envelope.reverse_path)
    yield "MPP-Recipients", json.dumps([recipient.address for recipient in envelope.recipients])
    yield "MPP-Client", json.dumps({"address": client.address, "name": client.name, "helo": client.helo})
    yield "MPP-Direction", transaction.direction


def digests(message: Message, transaction: Transaction) -> dict[str, Any]:
    """Return what is told of a message that is not shown: no text of it but the names of its parts."""
    envelope, client = transaction.envelope, transaction.client
    return {
        "id": transaction.id,
        "from": envelope.reverse_path,
        "recipients": [recipient.address for recipient in envelope.recipients],
        "client": {"address": client.address, "name": client.name, "helo": client.helo},
        "direction": transaction.direction,
        "size": len(message.raw),
        "sha256": hashlib.sha256(message.raw).hexdigest(),
        "parts": [_part(part) for part in message.leaves()],
    }


def _part(part: Part) -> dict[str, Any]:
    octets = part.decode()
    about = {"path": part.path, "type": part.type, "name": part.name, "size": len(octets)}
    return about | {"sha256": hashlib.sha256(octets).hexdigest()}
