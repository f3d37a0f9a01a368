"""One client's conversation: events of the codec in, replies out, or work that ends in one (RFC 5321, 2033, 3207).

Called by mpp.gateway.connection, which owns the socket. Here are the limits of a
connection and what each command means (design section 3); RCPT is answered by mpp.gateway.recipients. Never touches a socket; reads the clock it is given.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from mpp.checks.reputation.clients import Standing
from mpp.gateway import replies
from mpp.gateway.assembly import Assembly
from mpp.gateway.budget import Budget, Reservation, client_network
from mpp.gateway.destinations import direction_of
from mpp.gateway.hosts import exempt, refusal_of
from mpp.gateway.log import event as log
from mpp.gateway.pipeline import beside, process
from mpp.gateway.received import Received, Result
from mpp.gateway.recipients import Transaction, add_recipient
from mpp.gateway.report import Reporter
from mpp.gateway.settings import PATIENCE_S, Listener
from mpp.mail.address import AddressError, parse_address
from mpp.mail.envelope import Client, Envelope
from mpp.mail.line_ends import normalise
from mpp.net.metrics import Counter
from mpp.protocols.smtp import server as smtp
from mpp.protocols.smtp.reply import Reply
from mpp.store.clock import now_ms
from mpp.store.errors import StoreError

CHUNK = 512  # octets; a chunk below counts as a command
MARGIN_S = 10.0  # our reply leaves so long before the client's patience ends

Answer = Reply | Awaitable[Reply] | Awaitable[Reply | list[Reply]]


class Session:
    """State of one connection. `assembly` gives the parts in force now; a transaction keeps those it began with."""

    def __init__(
        self,
        listener: Listener,
        client: Client,
        assembly: Callable[[], Assembly],
        budget: Budget,
        reporter: Reporter,
        clock: Callable[[], float],
    ) -> None:
        self.listener, self.client = listener, client
        self.admitted = client.address  # the host that the limits at connect counted
        self._assembly, self._budget, self._reporter, self._clock = assembly, budget, reporter, clock
        parts = assembly()
        limits = parts.settings.limits
        self.lmtp = listener.address.protocol == "lmtp"
        self.codec = smtp.ServerCodec(lmtp=self.lmtp, max_size=limits.message_size, max_line=limits.line_length)
        self.closing = False
        self.wants_tls = False
        self.gone = False  # the client has closed its side
        self.secured = ""  # version and cipher
        self._direct = self._told = client  # the peer of the socket, and whom XCLIENT names instead
        self._forwarded: dict[str, str | None] = {}  # XFORWARD: only informs
        self._trusted = parts.trusted(client.address)
        self._proxy = parts.proxies(client.address)
        self._commands_left = limits.commands  # until a message is accepted
        self._errors = 0
        self._exempt = exempt(parts, client.address)  # from the budget's limit by network
        self._transaction: Transaction | None = None
        self._reservation = Reservation(client_network(client.address), self._give_way)
        self._standing: asyncio.Task[Standing] | None = None  # with the lists that RCPT heeds
        self._waited = False
        self._extend()

    def greeting(self) -> bytes:
        parts = self._assembly()
        self._ask_lists()
        return b"220 %b\r\n" % replies.greeting(parts.hostname, parts.settings.node.instance, lmtp=self.lmtp).encode()

    def _extend(self) -> None:
        """Set what EHLO lists now, and the limits that it tells."""
        parts = self._assembly()
        self.codec.max_size, self.codec.max_line = parts.settings.limits.message_size, parts.settings.limits.line_length
        offered = [
            "PIPELINING",
            f"SIZE {parts.settings.limits.message_size}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
        ]
        if self.listener.tls in ("starttls", "required") and not self.secured:
            offered.append("STARTTLS")
        if self.listener.dsn and self._routes_have_dsn(parts):
            offered.append("DSN")
        if self._proxy:
            offered.append("XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT")
            offered.append("XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE")
        self.codec.extensions = tuple(offered)

    @staticmethod
    def _routes_have_dsn(parts: Assembly) -> bool:
        seen = [parts.delivering.seen_extensions(target.hosts) for target in parts.targets.all_fixed()]
        return bool(seen) and all(extensions is not None and "DSN" in extensions for extensions in seen)

    # events

    def handle(self, event: object) -> Answer:
        """Return the reply to one event, or what has to be awaited for it."""
        self._commands_left -= 1
        if self._commands_left < 0:
            return self._end(replies.FLOOD, "flood")
        answer: Answer = _HANDLERS[type(event)](self, event)
        if isinstance(answer, Reply) and answer.code >= 500:
            return self._error(answer)
        return answer

    def _error(self, reply: Reply) -> Reply:
        """Count a refused command; the last one allowed ends the connection."""
        self._errors += 1
        parts = self._assembly()
        parts.table.refused(self.client.address, self._clock())
        parts.table.add(Counter.COMMANDS_REFUSED)
        return self._end(replies.ERRORS, "errors") if self._errors > parts.settings.limits.errors else reply

    def _end(self, reply: Reply, reason: str) -> Reply:
        self.closing = True
        self._reporter.ended(self.client, reason)
        return reply

    def _hello(self, event: smtp.Hello) -> Reply:
        self.abandon()
        self.client = replace(self.client, helo=event.name, protocol=self._protocol(event.verb), tls=self.secured)
        self._extend()
        return self.codec.hello_reply(self._assembly().hostname)

    def _protocol(self, verb: str) -> str:
        """The `with` of Received (RFC 3848)."""
        base = {"HELO": "SMTP", "EHLO": "ESMTP", "LHLO": "LMTP"}[verb]
        return base + ("S" if self.secured and base != "SMTP" else "")

    def _mail(self, event: smtp.Mail) -> Reply:
        if self._transaction is not None:
            self.abandon()
        transaction = Transaction(
            _identity(), self._assembly(), self.listener, self._trusted, event.reverse_path, event.parameters
        )
        if refusal := self._unwelcome(event.reverse_path):
            transaction.note("", refusal)
            self._reporter.turned_away(transaction, self.client, self._clock())
            return refusal
        self._transaction = transaction
        return replies.OK_MAIL

    def _unwelcome(self, reverse_path: str) -> Reply | None:
        if self.listener.tls == "required" and not self.secured:
            return replies.TLS_FIRST
        if self.listener.direction == "outbound" and not self._trusted:
            return replies.TRUSTED_ONLY
        if reverse_path:
            try:
                parse_address(reverse_path)
            except AddressError:
                return replies.BAD_SENDER
        return None

    def _ask_lists(self) -> None:
        """Have the lists asked while the client still talks."""
        lists, address = self._assembly().client_lists, self.client.address
        self._standing = None
        if lists and address and not self._trusted:
            self._standing = asyncio.create_task(lists.ask(address), name=f"lists {address}")

    def _rcpt(self, event: smtp.Rcpt) -> Reply | Awaitable[Reply]:
        return self._recipient(event) if self._standing is None else self._by_lists(event)

    async def _by_lists(self, event: smtp.Rcpt) -> Reply:
        """Answer RCPT by what the lists say of the client; its postmaster is always reached (RFC 5321, 4.5.1)."""
        assert self._standing is not None
        standing = await self._standing
        if standing.refused_by and event.address.partition("@")[0].lower() != "postmaster":
            return self._error(replies.listed(standing.refused_by))
        if standing.delay_s and not self._waited:
            self._waited = True
            await asyncio.sleep(standing.delay_s)
        answer = self._recipient(event)
        if isinstance(answer, Reply):
            return self._error(answer) if answer.code >= 500 else answer
        return await answer

    def _recipient(self, event: smtp.Rcpt) -> Reply | Awaitable[Reply]:
        assert self._transaction is not None
        answer = add_recipient(self._transaction, event.address, event.parameters, self._clock)
        if not isinstance(answer, Reply):
            return self._awaited(answer, self._transaction, event.address)
        if answer.code >= 400:
            self._transaction.note(event.address, answer)
        return answer

    async def _awaited(self, answer: Awaitable[Reply], transaction: Transaction, recipient: str) -> Reply:
        """A refusal counts as an error however long it took to know."""
        reply = await answer
        if reply.code >= 400:
            transaction.note(recipient, reply)
        return self._error(reply) if reply.code >= 500 else reply

    # content

    def hold(self, octets: int) -> None:
        """Account for the octets of a message that is coming in."""
        self._budget.grow(self._reservation, octets, exempt=self._exempt)

    def _chunk(self, event: smtp.Chunk) -> Reply:
        """A chunk that carries something is content, which its own limits bound, and no command."""
        if event.size >= CHUNK:
            self._commands_left += 1
        return Reply(250, "2.0.0", f"{event.size} octets received")

    def _give_way(self) -> None:
        """The budget is full and this is the newest transaction: read the rest away."""
        self.codec.discard()

    async def _content(self, event: smtp.Content) -> Reply | list[Reply]:
        transaction, self._transaction = self._transaction, None
        assert transaction is not None
        arrived = self._clock()
        try:
            if event.data:
                self.hold(len(event.data))
            data, refusal = event.data, self._unfit(event)
            if refusal is None:
                self._budget.complete(self._reservation)
                if event.bare:
                    data, refusal = await self._normalised(data, transaction.assembly.settings.limits.message_size)
            if refusal is not None:
                self._reporter.refused(transaction, self.client, refusal)
                reply = self._error(refusal) if refusal.code >= 500 else refusal
                return [reply] * len(transaction.accepted) if self.lmtp else reply
            return await self._process(transaction, data, arrived)
        finally:
            self._forwarded = {}  # XFORWARD holds for one transaction, as in Postfix
            self._budget.release(self._reservation)

    def _unfit(self, event: smtp.Content) -> Reply | None:
        if event.discarded or (event.data and not self._reservation.octets):
            return replies.NO_MEMORY
        if event.too_large:
            return replies.TOO_LARGE
        if event.long_line:
            return replies.LONG_LINE
        if event.nul and self.listener.nul == "refuse":
            return replies.NUL
        return replies.BARE if event.bare and self._bare_line_ends() == "refuse" else None

    def _bare_line_ends(self) -> str:
        return self.listener.bare_line_ends or ("normalise" if self._trusted else "refuse")

    async def _normalised(self, data: bytes, limit: int) -> tuple[bytes, Reply | None]:
        """Return the data with right line ends, or the refusal where these make them too large."""
        data = await beside(partial(normalise, limit=limit), data)
        if len(data) > limit:
            return b"", replies.TOO_LARGE
        self.hold(len(data))
        return data, None

    async def _process(self, transaction: Transaction, data: bytes, arrived: float) -> Reply | list[Reply]:
        listener, accepted = self.listener, transaction.accepted
        patience = listener.patience or PATIENCE_S[listener.stage]
        recipients = {}
        for entry in accepted:
            recipients[entry.recipient.address] = entry.recipient
        received = Received(
            id=transaction.id,
            listener=listener,
            client=self._informed() if self._forwarded else self.client,
            trusted=self._trusted,
            direction=direction_of(transaction.trusted, accepted[0].target.route),
            envelope=Envelope(transaction.reverse_path, tuple(recipients.values()), transaction.parameters),
            accepted=accepted,
            data=data,
            eight_bit=not data.isascii(),
            arrived=arrived,
            deadline=arrived + patience - MARGIN_S,
            gone=lambda: self.gone,
        )
        result = await process(received, transaction.assembly)
        if self.gone or transaction.refused_before:
            await self._remember(transaction, result)
        self._reporter.behind(transaction, received, result, self._clock())
        if result.reply.code < 300:
            self._commands_left = transaction.assembly.settings.limits.commands
        if self.lmtp:
            return [self._signed(result.replies[entry.recipient.address], received.id) for entry in accepted]
        return self._signed(result.reply, received.id)

    async def _remember(self, transaction: Transaction, result: Result) -> None:
        """Keep what the retry needs when the client has gone; forget the refusals that it has heard."""
        memo = transaction.assembly.memo
        accepted = {
            address: outcome.reply.text
            for address, outcome in result.outcomes.items()
            if outcome.state in ("accepted", "held")
        }
        try:
            if self.gone and accepted:
                await memo.keep(transaction.reverse_path, result.digest, accepted, {})
            elif transaction.refused_before and result.reply.code < 300:
                await memo.forget(transaction.reverse_path, b"", (), transaction.refused_before)
        except StoreError as error:  # what was delivered is delivered: the reply must say so
            log("error", "memo-failed", id=transaction.id, cause=str(error))

    @staticmethod
    def _signed(reply: Reply, identity: str) -> Reply:
        """Put the id into a reply, where the operator's text has not."""
        if "{id}" in reply.text:
            return Reply(reply.code, reply.enhanced, reply.text.replace("{id}", identity))
        if identity in reply.text:
            return reply
        return Reply(reply.code, reply.enhanced, f"{reply.text}, id={identity}")

    def _informed(self) -> Client:
        """The client as scanners, logs and the next hop see it: XFORWARD informs, and decides nothing."""
        told = {key: value or "" for key, value in self._forwarded.items()}
        port = int(told["PORT"]) if told.get("PORT", "").isdigit() else 0
        return replace(
            self.client,
            address=told.get("ADDR", self.client.address),
            port=port,
            name=told.get("NAME", ""),
            helo=told.get("HELO") or self.client.helo,
        )

    # the rest

    def _xclient(self, event: smtp.Xclient) -> Reply:
        if not self._proxy:
            return replies.NOT_PROXY
        told = event.attributes
        client = replace(
            self._direct, helo=told.get("HELO") or "", name=told.get("NAME") or "", login=told.get("LOGIN") or ""
        )
        if "ADDR" in told:
            client = replace(client, address=told["ADDR"] or "0.0.0.0", port=int(told.get("PORT") or 0))  # noqa: S104 unknown, not a bind
        parts = self._assembly()
        if refusal := refusal_of(parts, client.address, self._clock()):
            parts.table.add(refusal[1])
            return self._end(refusal[0], "host")
        self.abandon()
        parts.table.connection_closed(self.admitted)
        parts.table.connection_opened(client.address)
        self.client = self._told = client
        self.admitted = client.address
        self._trusted = parts.trusted(client.address)
        self._exempt = exempt(parts, client.address)
        self._reservation = Reservation(client_network(client.address), self._give_way)
        self._ask_lists()
        return Reply(220, "", f"{self._assembly().hostname} {'LMTP' if self.lmtp else 'ESMTP'} MPP")

    def _xforward(self, event: smtp.Xforward) -> Reply:
        if not self._proxy:
            return replies.NOT_PROXY
        self._forwarded |= event.attributes
        return replies.OK

    def _start_tls(self, _event: smtp.StartTls) -> Reply:
        self.wants_tls = True
        return replies.READY_TLS

    def secured_by(self, cipher: str) -> None:
        """TLS is on: forget all that was said before (RFC 3207, 4.2)."""
        self.secured, self.wants_tls = cipher, False
        self.codec.reset_for_tls()
        self.abandon()
        self._forwarded = {}
        self.client = replace(self._told, tls=cipher)
        self._extend()

    def _reset(self, _event: smtp.Reset) -> Reply:
        self.abandon()
        self._forwarded = {}
        return replies.OK

    def _quit(self, _event: smtp.Quit) -> Reply:
        self.closing = True
        return replies.BYE

    def _invalid(self, event: smtp.Invalid) -> Reply:
        """A message behind a refused DATA must not be read as commands: DATA ends a group (RFC 2920, 3.1), so a client that
        waits for its answer has sent nothing more.
        """
        if event.command[:4].upper() == b"DATA" and self.codec.ahead:
            return self._end(event.reply, "protocol")
        return event.reply

    def abandon(self) -> None:
        """The transaction ends without content. A refusal kept for the retry has been told by then."""
        transaction, self._transaction = self._transaction, None
        self._budget.release(self._reservation)
        if transaction is None:
            return
        if transaction.refused:
            self._reporter.turned_away(transaction, self.client, self._clock())
        if transaction.refused_before and not transaction.accepted:
            memo = transaction.assembly.memo
            self._reporter.background(memo.forget(transaction.reverse_path, b"", (), transaction.refused_before))


def _identities() -> Iterator[str]:
    """Yield ids of messages: the time in milliseconds, then 48 random bits.

    What begins with the time is put at the end of the catalog's trees, not all over them: a third fewer pages for each message held. The random
    bits are drawn by the block, since a system call costs more than an id.
    """
    while True:
        block = os.urandom(6 * 512).hex()
        for start in range(0, len(block), 12):
            yield f"{now_ms():012x}{block[start : start + 12]}"


_identity = _identities().__next__  # begun by the first message, so each worker has a block of its own


_HANDLERS: dict[type, Callable[[Session, Any], Answer]] = {
    smtp.Hello: Session._hello,
    smtp.Mail: Session._mail,
    smtp.Rcpt: Session._rcpt,
    smtp.Data: lambda _session, _event: replies.GO,
    smtp.Chunk: Session._chunk,
    smtp.Content: Session._content,
    smtp.StartTls: Session._start_tls,
    smtp.Quit: Session._quit,
    smtp.Reset: Session._reset,
    smtp.Noop: lambda _session, _event: replies.OK,
    smtp.Verify: lambda _session, _event: replies.VRFY,
    smtp.Expand: lambda _session, _event: replies.EXPN,
    smtp.Help: lambda _session, _event: replies.HELP,
    smtp.Xclient: Session._xclient,
    smtp.Xforward: Session._xforward,
    smtp.Invalid: Session._invalid,
    smtp.Fatal: lambda session, event: session._end(event.reply, "protocol"),
}
