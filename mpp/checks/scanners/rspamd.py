"""Rspamd: gives each message to its normal worker with all that the envelope says, and reads symbols and action.

HTTP POST to /checkv2, in a kept connection, HTTPS where the server is a tls: one (rspamd's documentation, protocol).
The scores of its symbols count, on its own scale. What its answer may not be trusted in is checked here: it is another
program's JSON.
"""

import json
from collections.abc import Mapping
from math import fsum
from operator import itemgetter
from typing import Any, Literal

from mpp.checks.scanners.answer import MAX_ANSWER, read_score
from mpp.checks.scanners.kinds import Rspamd
from mpp.checks.scanners.scanner import About, ServedCheck, Tools
from mpp.checks.scanners.session import Session, Sessions
from mpp.mail.escape import printable
from mpp.mail.message import Message
from mpp.net.connect import Connection, Server
from mpp.net.pool.asking import PoolError
from mpp.protocols.errors import RemoteProtocolError
from mpp.protocols.http import HttpCodec, Request, Response
from mpp.verdict.finding import Finding, Verdict
from mpp.verdict.transaction import Transaction

MAX_SYMBOLS = 500
TOTAL = "RSPAMD_SCORE"  # a symbol of ours, for points that no symbol has
ACTION = "RSPAMD_ACTION"  # a symbol of ours: what rspamd itself would do
_LATER = "451 4.7.1 Please try again later"
_decode = json.JSONDecoder().decode
_value = itemgetter(1)


class RspamdCheck(ServedCheck[Rspamd]):
    """The Check that asks rspamd."""

    def __init__(self, settings: Rspamd, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._sessions = Sessions(self.connect, lambda: HttpCodec(max_body=MAX_ANSWER))

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return a note that rspamd answered, a finding for each symbol and one for its action."""
        raw = message.raw
        if len(raw) > self.settings.max_size:
            return [self.too_large(len(raw))]
        request = Request("POST", "/checkv2", "rspamd", len(raw), envelope_fields(transaction, self.settings))

        async def talk(session: Session[HttpCodec]) -> list[Finding]:
            head = session.codec.send(request)
            session.whole = await session.connection.write((head + raw,) if len(raw) <= 8192 else (head, raw))
            return self._findings(await session.answer(session.codec.next_event))

        try:
            return await self.ask(self._sessions.job(talk), len(raw), transaction)
        except PoolError as error:
            return [self.failed(error.server, error.cause)]

    async def ping(self, server: Server, connection: Connection) -> None:
        await _ping(Session(server, connection, HttpCodec(max_body=MAX_ANSWER)))

    async def tell(self, server: Server, deadline: float) -> About:
        return About(await self._sessions.speak(server, deadline, _ping))

    def _findings(self, response: Response) -> list[Finding]:
        """Raises RemoteProtocolError for what is no verdict of rspamd."""
        if response.status != 200:
            raise RemoteProtocolError(f"rspamd says {response.status} {response.reason}")
        try:
            text = response.body.decode()
            answer = _decode(text)
            symbols: Mapping[str, Any] = answer["symbols"]
            action, total = str(answer["action"]), read_score(answer["score"])
            plain = text.isascii() and text.isprintable() and "\\" not in text
            found = [_symbol(self.name, name, symbols[name], plain) for name in sorted(symbols)[:MAX_SYMBOLS]]
            points = read_score(fsum([each.score for each in found]))  # no number where one of them is none
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise RemoteProtocolError(f"no verdict of rspamd: {printable(repr(error), 200)}") from None
        if missing := round(total - points, 3):
            found.append(Finding(self.name, TOTAL, missing, "Points of rspamd that no symbol has"))
        return [self.answered, *found, *self._action(action)]

    def _action(self, action: str) -> list[Finding]:
        text = f"rspamd's own action would be: {printable(action, 60)}"
        if action == "reject" and self.settings.on_reject == "spam":
            return [Finding(self.name, ACTION, text=text, evidence="reject", verdict=Verdict.SPAM)]
        if action in ("soft reject", "greylist") and self.settings.on_soft_reject == "defer":
            return [Finding(self.name, ACTION, text=text, evidence=action, refusal=_LATER)]
        return [] if action == "no action" else [Finding(self.name, ACTION, text=text, evidence=printable(action, 60))]


def _symbol(check: str, name: str, symbol: Mapping[str, Any], plain: bool) -> Finding:
    """Return the finding of a symbol; `plain` is whether nothing in the answer need be escaped."""
    get = symbol.get
    options, text, score = get("options"), str(get("description") or ""), get("score", 0)
    if score.__class__ is not float:
        score = read_score(score)
    evidence = ", ".join(map(str, options)) if options else ""
    if not plain or len(f"{name}{text}{evidence}") > 128:
        name, text, evidence = printable(name, 128), printable(text, 500), printable(evidence, 500)
    return Finding(check, name, score, text, evidence)


async def _ping(session: Session[HttpCodec]) -> str:
    """Return what the server calls itself. Raises OSError and RemoteProtocolError."""
    await session.connection.write((session.codec.send(Request("GET", "/ping", "rspamd")),))
    response = await session.answer(session.codec.next_event)
    if response.status != 200 or not response.body.startswith(b"pong"):
        raise RemoteProtocolError(f"it answers {response.status} {response.reason}")
    return response.fields.get("server", "rspamd")


async def learn_at(
    server: Server, connection: Connection, raw: bytes, lesson: Literal["spam", "ham"], password: str
) -> bool:
    """Teach the controller at the other end; False where it knew already. Raises OSError and RemoteProtocolError."""
    session = Session(server, connection, HttpCodec(max_body=MAX_ANSWER))
    request = Request("POST", f"/learn{lesson}", "rspamd", len(raw), [("Password", password)])
    await connection.write((session.codec.send(request), raw))
    response = await session.answer(session.codec.next_event)
    if response.status == 200:
        return b'"success":true' in response.body.replace(b" ", b"")
    if b"already learned" in response.body:  # 404 in rspamd 3.4, 208 in later ones
        return False
    cure = "; name the file with its password in password_file" if response.status == 401 else ""
    raise RemoteProtocolError(f"rspamd says {response.status} {response.reason}{cure}")


def envelope_fields(transaction: Transaction, settings: Rspamd) -> list[tuple[str, str]]:
    """Return the fields that tell rspamd what SMTP said."""
    envelope, client = transaction.envelope, transaction.client
    version, _, cipher = client.tls.partition(" ")
    recipients = [recipient.address for recipient in envelope.recipients]
    fields = [
        ("From", envelope.reverse_path or "<>"),
        *(("Rcpt", recipient) for recipient in recipients),
        ("Ip", client.address),
        ("Helo", client.helo),
        ("Hostname", client.name),
        ("User", client.login),
        ("Deliver-To", recipients[0] if len(recipients) == 1 else ""),
        ("Queue-Id", transaction.id),
        ("MTA-Name", transaction.hostname),
        ("TLS-Version", version),
        ("TLS-Cipher", cipher),
        ("Settings-ID", settings.settings_id),
        ("Pass", "all" if settings.pass_all else ""),
    ]
    if "".join(map(_value, fields)).isprintable():
        return fields
    # Control characters of a sender's making have no place in a field.
    return [(name, value if value.isprintable() else printable(value, 1000)) for name, value in fields]
