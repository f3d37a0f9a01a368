"""SpamAssassin: gives each message to a spamd, once for each user whose preferences hold, and reads the points.

spamd needs to know the last hop, which no field of the message tells. So it is given, above the message as it came, a
Return-Path and a Received field with the client and `(envelope-from <...>)`: the place where SpamAssassin looks for the
reverse-path first, before X-Envelope-From and others that a sender could have written. Its REPORT method is used
always: it names the points of each rule, and costs spamd no more than SYMBOLS.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from math import fsum

from mpp.checks.scanners.kinds import Spamd
from mpp.checks.scanners.report import Row, read_report
from mpp.checks.scanners.scanner import About, ServedCheck
from mpp.checks.scanners.shorten import shortened
from mpp.checks.scanners.spamd_host import described
from mpp.mail.address import AddressError, parse_address
from mpp.mail.message import Message
from mpp.mail.trace import received_field
from mpp.net.connect import Buffer, Connection, Server
from mpp.net.pool.asking import PoolError
from mpp.protocols.errors import NEED_DATA, RemoteProtocolError
from mpp.protocols.spamd import Reply, Request, SpamdCodec
from mpp.verdict.finding import SPAM_SCANNED, Finding
from mpp.verdict.transaction import Transaction

TOTAL = "SPAMD_SCORE"  # a symbol of ours, for points that the report names no rule for

MAX_REPORT = 256 << 10  # octets; a usual one has a few KiB
AT_ONCE = 64 << 10  # octets of a message that goes out in one piece, with the request
_EVERYONE: frozenset[str] = frozenset()
_SMALL = b"Subject: which version?\r\n\r\n"


class SpamdCheck(ServedCheck[Spamd]):
    """The Check that asks spamd."""

    waits_its_turn = True  # a child that has become free takes the next connection

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return a note that spamd answered and a finding for each of its rules, for each user."""
        body = self._body(message)
        size = sum(map(len, body))
        if size > self.settings.max_size:
            return [self.too_large(size)]
        # spamd reads by lines: without a line end it would wait for more than the length it was told
        end = () if body[-1][-1:] == b"\n" else (b"\r\n",)
        buffers = (trace_for_spamd(transaction, time.time()), *body, *end)
        deadline = self.deadline()
        findings = await self._ask_each(self.users(transaction), buffers, transaction, deadline)
        if size < len(message.raw):
            told = f"of {len(message.raw)} octets spamd got {size}: large attachments were left out (shorten)"
            findings = [each._replace(evidence=told) if each.symbol == SPAM_SCANNED else each for each in findings]
        return findings

    def _body(self, message: Message) -> list[bytes | memoryview]:
        """Return the message as spamd gets it."""
        large = len(message.raw) > self.settings.max_size
        if self.settings.shorten == "always" or (large and self.settings.shorten == "large"):
            return shortened(message)
        return [message.raw]

    async def _ask_each(
        self,
        users: Mapping[str, frozenset[str]],
        buffers: tuple[Buffer, ...],
        transaction: Transaction,
        deadline: float,
    ) -> list[Finding]:
        """Ask for each user, at the same time."""
        if len(users) == 1:
            ((user, recipients),) = users.items()
            return await self._ask(user, recipients, buffers, transaction, deadline)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    self._ask(user, recipients, buffers, transaction, deadline),
                    name=f"{transaction.id} {self.name} {user}",
                )
                for user, recipients in users.items()
            ]
        return [finding for task in tasks for finding in task.result()]

    def users(self, transaction: Transaction) -> Mapping[str, frozenset[str]]:
        """Return the users to ask for, each with the recipients it stands for: empty means all of them."""
        if self.settings.user in ("fixed", "none"):
            return {user_for(self.settings, ""): _EVERYONE}
        users: dict[str, set[str]] = {}
        for recipient in transaction.envelope.recipients:
            users.setdefault(user_for(self.settings, recipient.address), set()).add(recipient.address)
        if len(users) == 1:
            return dict.fromkeys(users, _EVERYONE)
        return {user: frozenset(recipients) for user, recipients in users.items()} or {"": _EVERYONE}

    async def ping(self, server: Server, connection: Connection) -> None:
        """A PING waits for a free child: its answer says that one is there."""
        codec = SpamdCodec()
        await connection.write((codec.send(Request("PING")),))
        await _answer(connection, codec)

    async def _ask(
        self,
        user: str,
        recipients: frozenset[str],
        message: tuple[Buffer, ...],
        transaction: Transaction,
        deadline: float,
    ) -> list[Finding]:
        size = sum(map(len, message))

        async def job(server: Server, until: float) -> Reply:
            request = Request("REPORT", size, user)
            return await exchange(partial(self.connect, server, until), request, message)

        try:
            reply = await self.ask(job, size, transaction, deadline=deadline, key=user)
        except PoolError as error:
            return [self.failed(error.server, error.cause, recipients)]
        rows = balanced(read_report(reply.body), reply.score)
        name = self.name
        return [
            Finding(name, SPAM_SCANNED, recipients=recipients),
            *[Finding(name, row.symbol, row.score, row.description, recipients=recipients) for row in rows],
        ]

    async def tell(self, server: Server, deadline: float) -> About:
        """Its HEADERS method alone names its version; what it tells of a mail of two lines is not looked at."""
        request = Request("HEADERS", len(_SMALL))
        reply = await exchange(partial(self.connect, server, deadline), request, (_SMALL,))
        return About(*described(reply.body, server))


async def exchange(
    connect: Callable[[bytes], Awaitable[Connection]], request: Request, message: tuple[Buffer, ...]
) -> Reply:
    """Return spamd's answer to one request, on a connection of its own: `connect` opens it and says what it is given.

    Raises OSError and RemoteProtocolError, for spamd's error codes too.
    """
    codec = SpamdCodec(max_body=MAX_REPORT)
    first = codec.send(request)
    if request.length <= AT_ONCE:
        first, message = b"".join((first, *message)), ()
    connection = await connect(first)
    try:
        await connection.write(message)
        return await _answer(connection, codec)
    finally:
        connection.close()


async def _answer(connection: Connection, codec: SpamdCodec) -> Reply:
    while (reply := codec.next_event()) is NEED_DATA:
        codec.receive_data(await connection.read())
    if reply.code:
        raise RemoteProtocolError(f"spamd says {reply.name}: {reply.text}")
    return reply


def user_for(scanner: Spamd, recipient: str) -> str:
    """Return whose preferences hold for a recipient; "", spamd's own user, where there is none or no name for one."""
    if scanner.user == "fixed":
        return scanner.user_name
    if scanner.user == "none":
        return ""
    try:
        address = parse_address(recipient)
    except AddressError:
        return ""
    name = address.ascii_domain if scanner.user == "domain" else f"{address.local}@{address.ascii_domain}"
    return name if name.isascii() and name.isprintable() and " " not in name and len(name) <= 320 else ""


def balanced(rows: list[Row], total: float) -> list[Row]:
    """Return the rows with scores that add up to the total, which alone counts: it is what spamd decides by.

    Rounding in print is put on the weightiest row. More than rounding, or no rows, gives a row of its own.
    """
    missing = round(total - fsum([row.score for row in rows]), 3)
    if not missing:
        return rows
    if not rows or abs(missing) > fsum(row.fuzz for row in rows) + 0.051:
        return [*rows, Row(TOTAL, missing, 0.0, "Points of spamd that its report names no rule for")]
    weightiest = max(range(len(rows)), key=lambda index: abs(rows[index].score))
    row = rows[weightiest]
    rows[weightiest] = Row(row.symbol, round(row.score + missing, 3), 0.0, row.description)
    return rows


def trace_for_spamd(transaction: Transaction, now: float) -> bytes:
    """Return the fields that tell SpamAssassin where the message came from; `now` is seconds since 1970."""
    reverse_path = transaction.envelope.reverse_path.encode(errors="replace")[:900]
    recipients = transaction.envelope.recipients
    received = received_field(
        transaction.client,
        hostname=transaction.hostname,
        instance="scan",
        identifier=transaction.id,
        now=now,
        recipient=recipients[0].address if len(recipients) == 1 else "",
        smtputf8=transaction.envelope.smtputf8,
    )
    head, semicolon, date = received.rpartition(b";")
    return b"Return-Path: <%b>\r\n%b\r\n\t(envelope-from <%b>)%b%b" % (
        reverse_path,
        head,
        reverse_path,
        semicolon,
        date,
    )
