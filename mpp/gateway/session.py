"""One client's conversation: events of the codec in, replies out, or work that ends in one (RFC 5321, 2033, 3207).

Called by mpp.gateway.connection, which owns the socket. Here are relay control, the order of a recipient's checks, and
the limits of a connection (design section 3). Never touches a socket; reads the clock it is given.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from mpp.gateway.assembly import Assembly
from mpp.gateway.budget import Budget, Reservation, client_network
from mpp.gateway.pipeline import Accepted, Received, Result, beside, process
from mpp.gateway.report import NO_MEMORY, Reporter
from mpp.gateway.settings import PATIENCE_S, Listener, Route
from mpp.gateway.targets import Target
from mpp.mail.address import Address, AddressError, parse_address
from mpp.mail.envelope import Client, Envelope, Parameters, Recipient
from mpp.mail.line_ends import normalise
from mpp.net.dns import DnsError
from mpp.net.metrics import Counter
from mpp.protocols.smtp import server as smtp
from mpp.protocols.smtp.reply import Reply

OK_MAIL = Reply(250, "2.1.0", "Ok")
OK_RCPT = Reply(250, "2.1.5", "Ok")
OK = Reply(250, "2.0.0", "Ok")
GO = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
BYE = Reply(221, "2.0.0", "Bye")
READY_TLS = Reply(220, "2.0.0", "Ready to start TLS")
VRFY = Reply(252, "2.0.0", "Cannot VRFY user, but will accept message and attempt delivery")
EXPN = Reply(502, "5.5.1", "EXPN not available here")
HELP = Reply(214, "2.0.0", "See RFC 5321")
RELAY = Reply(550, "5.7.1", "Relaying denied")
NO_ROUTE = Reply(554, "5.4.4", "No route to this domain")
TOO_MANY = Reply(452, "4.5.3", "Too many recipients")
ALONE = Reply(452, "4.5.3", "This recipient is handled apart, please send it in a message of its own")
TLS_FIRST = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
TRUSTED_ONLY = Reply(550, "5.7.1", "This port serves known clients only")
NOT_PROXY = Reply(550, "5.7.0", "Not allowed from this client")
TOO_LARGE = Reply(552, "5.3.4", "Message is larger than allowed here")
LONG_LINE = Reply(554, "5.6.0", "Message has a line longer than allowed here")
BARE = Reply(550, "5.6.11", "Message has a bare CR or LF, lines must end in CR LF (RFC 5321, 2.3.8)")
NUL = Reply(550, "5.6.0", "Message has a NUL octet")
FLOOD = Reply(421, "4.7.0", "Too many commands without a message")
ERRORS = Reply(421, "4.7.0", "Too many errors")
TROUBLE = Reply(451, "4.3.0", "Local error, please try again later")
BAD_ADDRESS = Reply(501, "5.1.3", "Bad recipient address syntax")
BAD_SENDER = Reply(501, "5.1.7", "Bad sender address syntax")
ASK_S = 30.0  # for one answer about a recipient
MARGIN_S = 10.0  # our reply leaves so long before the client's patience ends

Answer = Reply | Awaitable[Reply] | Awaitable[list[Reply]]


@dataclass(slots=True)
class Transaction:
    """From MAIL to the reply after the data."""

    id: str
    assembly: Assembly
    reverse_path: str
    parameters: Parameters
    accepted: list[Accepted] = field(default_factory=list)
    refused_before: list[str] = field(default_factory=list)  # told a refusal that the memo kept


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
        self._direct = client  # the peer of the socket, whatever XCLIENT says later
        self._forwarded: dict[str, str | None] = {}  # XFORWARD: only informs
        self._trusted = parts.trusted(client.address)
        self._proxy = parts.proxies(client.address)
        self._commands = self._errors = 0
        self._transaction: Transaction | None = None
        self._reservation = Reservation(client_network(client.address), self._give_way)
        self._extend()

    def greeting(self) -> bytes:
        return b"220 %b %b MPP\r\n" % (self._assembly().hostname.encode(), b"LMTP" if self.lmtp else b"ESMTP")

    def _extend(self) -> None:
        """Set what EHLO lists now."""
        parts = self._assembly()
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
        self._commands += 1
        if self._commands > self._assembly().settings.limits.commands:
            return self._end(FLOOD, "flood")
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
        return self._end(ERRORS, "errors") if self._errors > parts.settings.limits.errors else reply

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
        if self.listener.tls == "required" and not self.secured:
            return TLS_FIRST
        if self.listener.direction == "outbound" and not self._trusted:
            return TRUSTED_ONLY
        if event.reverse_path:
            try:
                parse_address(event.reverse_path)
            except AddressError:
                return BAD_SENDER
        self.abandon()
        self._transaction = Transaction(os.urandom(12).hex(), self._assembly(), event.reverse_path, event.parameters)
        return OK_MAIL

    def _rcpt(self, event: smtp.Rcpt) -> Reply | Awaitable[Reply]:
        transaction = self._transaction
        assert transaction is not None
        parts = transaction.assembly
        if len(transaction.accepted) >= parts.settings.limits.recipients:
            return TOO_MANY
        try:
            address = parse_address(event.address)
        except AddressError:
            return BAD_ADDRESS
        route = parts.routes.find(address)
        relay = self._trusted or parts.settings.networks.relay_all
        if not relay and (route is None or not route.ours or address.routed):
            return RELAY
        if route is None:
            return NO_ROUTE
        recipient = Recipient(parts.routes.deliverable(address), event.parameters)
        if (late := parts.memo.refusal(transaction.reverse_path, recipient.address)) is not None:
            transaction.refused_before.append(recipient.address)
            code, enhanced, text = late.split(" ", 2)
            return Reply(int(code), enhanced, text)
        target = parts.targets.fixed(route)
        if target is None:
            return self._rcpt_by_mx(transaction, address, recipient, route)
        return self._rcpt_at(transaction, address, recipient, target)

    async def _rcpt_by_mx(
        self, transaction: Transaction, address: Address, recipient: Recipient, route: Route
    ) -> Reply:
        try:
            target = await transaction.assembly.targets.by_mx(route, address.ascii_domain)
        except DnsError as error:
            if error.temporary:
                return Reply(
                    451, "4.4.3", "The domain of this recipient cannot be looked up now, please try again later"
                )
            return Reply(550, "5.1.2", "The domain of this recipient accepts no mail")
        answer = self._rcpt_at(transaction, address, recipient, target)
        return answer if isinstance(answer, Reply) else await answer

    def _rcpt_at(
        self, transaction: Transaction, address: Address, recipient: Recipient, target: Target
    ) -> Reply | Awaitable[Reply]:
        parts = transaction.assembly
        policy = parts.policies.choose(self.listener.name, recipient.address, self._direction(target))
        entry = Accepted(recipient, address.text, target, policy)
        if not self.lmtp and transaction.accepted:
            first = transaction.accepted[0]
            if first.target is not target or first.policy[0] != policy[0]:
                return ALONE
        if not target.route.ask or (target.route.ours and address.local.lower() == "postmaster"):
            return self._accept(transaction, entry)
        known = parts.asker.known(target, recipient.address)
        if known is None:
            return self._asked(transaction, entry)
        return self._accept(transaction, entry) if known.code < 300 else known

    async def _asked(self, transaction: Transaction, entry: Accepted) -> Reply:
        utf8 = "SMTPUTF8" in transaction.parameters
        deadline = self._clock() + ASK_S
        answer = await transaction.assembly.asker.ask(
            entry.target, transaction.reverse_path, entry.recipient.address, smtputf8=utf8, deadline=deadline
        )
        return self._accept(transaction, entry) if answer.code < 300 else answer

    def _accept(self, transaction: Transaction, entry: Accepted) -> Reply:
        transaction.accepted.append(entry)
        return OK_RCPT

    def _direction(self, target: Target) -> str:
        if not self._trusted:
            return "inbound"
        return "internal" if target.route.ours else "outbound"

    # content

    def hold(self, octets: int) -> None:
        """Account for the octets of a message that is coming in."""
        self._budget.grow(self._reservation, octets, exempt=self._trusted or self._proxy)

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
            refusal = self._unfit(event)
            if refusal is not None:
                self._reporter.refused(
                    transaction.id, self.client, transaction.reverse_path, transaction.accepted, refusal
                )
                reply = self._error(refusal) if refusal.code >= 500 else refusal
                return [reply] * len(transaction.accepted) if self.lmtp else reply
            return await self._process(transaction, await self._data(event), arrived)
        finally:
            self._forwarded = {}  # XFORWARD holds for one transaction, as in Postfix
            self._budget.release(self._reservation)

    def _unfit(self, event: smtp.Content) -> Reply | None:
        if event.discarded or (event.data and not self._reservation.octets):
            return NO_MEMORY
        if event.too_large:
            return TOO_LARGE
        if event.long_line:
            return LONG_LINE
        if event.nul and self.listener.nul == "refuse":
            return NUL
        return BARE if event.bare and self._bare_line_ends() == "refuse" else None

    def _bare_line_ends(self) -> str:
        return self.listener.bare_line_ends or ("normalise" if self._trusted else "refuse")

    async def _data(self, event: smtp.Content) -> bytes:
        if not event.bare:
            return event.data
        data = await beside(normalise, event.data)
        self.hold(len(data))
        return data

    async def _process(self, transaction: Transaction, data: bytes, arrived: float) -> Reply | list[Reply]:
        patience = self.listener.patience or PATIENCE_S[self.listener.stage]
        received = Received(
            id=transaction.id,
            listener=self.listener,
            client=self._informed(),
            trusted=self._trusted,
            direction=self._direction(transaction.accepted[0].target),
            envelope=Envelope(
                transaction.reverse_path,
                tuple({entry.recipient.address: entry.recipient for entry in transaction.accepted}.values()),
                transaction.parameters,
            ),
            accepted=transaction.accepted,
            data=data,
            eight_bit=not data.isascii(),
            arrived=arrived,
            deadline=arrived + patience - MARGIN_S,
            gone=lambda: self.gone,
        )
        result = await process(received, transaction.assembly)
        await self._remember(transaction, result)
        self._reporter.message(received, result, self._clock())
        if result.reply.code < 300:
            self._commands = 0
        if self.lmtp:
            return [
                self._signed(result.replies[entry.recipient.address], received.id) for entry in transaction.accepted
            ]
        return self._signed(result.reply, received.id)

    async def _remember(self, transaction: Transaction, result: Result) -> None:
        """Keep what the retry needs when the client has gone; forget the refusals that it has heard."""
        memo = transaction.assembly.memo
        accepted = {
            address: outcome.reply.text for address, outcome in result.outcomes.items() if outcome.state == "accepted"
        }
        if self.gone and accepted:
            await memo.keep(transaction.reverse_path, result.digest, accepted, {})
        elif transaction.refused_before and result.reply.code < 300:
            await memo.forget(transaction.reverse_path, b"", (), transaction.refused_before)

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
        if not self._forwarded:
            return self.client
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
            return NOT_PROXY
        told = event.attributes
        client = replace(
            self._direct, helo=told.get("HELO") or "", name=told.get("NAME") or "", login=told.get("LOGIN") or ""
        )
        if "ADDR" in told:
            client = replace(client, address=told["ADDR"] or "0.0.0.0", port=int(told.get("PORT") or 0))  # noqa: S104 unknown, not a bind
        self.abandon()
        self.client = client
        self._trusted = self._assembly().trusted(client.address)
        self._reservation = Reservation(client_network(client.address), self._give_way)
        return Reply(220, "", f"{self._assembly().hostname} {'LMTP' if self.lmtp else 'ESMTP'} MPP")

    def _xforward(self, event: smtp.Xforward) -> Reply:
        if not self._proxy:
            return NOT_PROXY
        self._forwarded |= event.attributes
        return OK

    def _start_tls(self, _event: smtp.StartTls) -> Reply:
        self.wants_tls = True
        return READY_TLS

    def secured_by(self, cipher: str) -> None:
        """TLS is on: forget all that was said before (RFC 3207, 4.2)."""
        self.secured, self.wants_tls = cipher, False
        self.codec.reset_for_tls()
        self.abandon()
        self._forwarded = {}
        self.client = replace(self._direct, tls=cipher)
        self._extend()

    def _reset(self, _event: smtp.Reset) -> Reply:
        self.abandon()
        self._forwarded = {}
        return OK

    def _quit(self, _event: smtp.Quit) -> Reply:
        self.closing = True
        return BYE

    def abandon(self) -> None:
        """The transaction ends without content. A refusal kept for the retry has been told by then."""
        transaction, self._transaction = self._transaction, None
        self._budget.release(self._reservation)
        if transaction is not None and transaction.refused_before and not transaction.accepted:
            memo = transaction.assembly.memo
            self._reporter.background(memo.forget(transaction.reverse_path, b"", (), transaction.refused_before))

    @property
    def receiving(self) -> bool:
        """True while the octets of a message come in."""
        return self.codec.receiving


_HANDLERS: dict[type, Callable[[Session, object], Answer]] = {
    smtp.Hello: Session._hello,
    smtp.Mail: Session._mail,
    smtp.Rcpt: Session._rcpt,
    smtp.Data: lambda _session, _event: GO,
    smtp.Chunk: lambda _session, event: Reply(250, "2.0.0", f"{event.size} octets received"),
    smtp.Content: Session._content,
    smtp.StartTls: Session._start_tls,
    smtp.Quit: Session._quit,
    smtp.Reset: Session._reset,
    smtp.Noop: lambda _session, _event: OK,
    smtp.Verify: lambda _session, _event: VRFY,
    smtp.Expand: lambda _session, _event: EXPN,
    smtp.Help: lambda _session, _event: HELP,
    smtp.Xclient: Session._xclient,
    smtp.Xforward: Session._xforward,
    smtp.Invalid: lambda _session, event: event.reply,
    smtp.Fatal: lambda session, event: session._end(event.reply, "protocol"),
}
