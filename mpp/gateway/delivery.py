"""One group of recipients with equal bytes and equal next hop: one transaction there, an outcome for each recipient.

Called by mpp.gateway.pipeline. Never answers a client; says what may be told in public (`Outcome.reply`) and what may
not (`Outcome.cause`). A fault of the next hop is never made permanent: what was not answered with 5xx is deferred.
RFC 5321, 2033 (LMTP), 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 3461 (DSN); Postfix XFORWARD and XCLIENT.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from mpp.gateway import replies
from mpp.gateway.hop import Hop, HopError
from mpp.gateway.hops import Hops
from mpp.gateway.targets import Target
from mpp.mail.envelope import Client, Envelope, Parameters, Recipient
from mpp.protocols.smtp.client import Answer, Command, Data, Mail, Rcpt, Reset, ServerReply, Xforward, attribute_groups
from mpp.protocols.smtp.reply import Reply

_DATA, _NONE = Data(), MappingProxyType[str, str | None]({})
_DSN_MAIL, _DSN_RCPT = ("RET", "ENVID"), ("NOTIFY", "ORCPT")
DOWN = Reply(451, "4.4.1", "The server for this recipient cannot be reached now, please try again later")
SILENT = Reply(451, "4.4.2", "The server for this recipient did not answer in time, please try again later")


class State(StrEnum):
    ACCEPTED = "accepted"
    HELD = "held"  # in quarantine
    UNARCHIVED = "unarchived"  # accepted, while what has to be kept of it here is not there
    REFUSED = "refused"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"  # the end of data was sent and no answer came: it may have been taken


@dataclass(slots=True)
class Outcome:
    state: State
    reply: Reply
    host: str
    cause: str = ""  # for the log
    lacks: str = ""  # of UNARCHIVED: what the retry has to know of it


class ClientGone(Exception):  # noqa: N818 it is no error of anybody's code
    """The client left before the content went out: nothing was delivered."""


@dataclass(slots=True)
class Content:
    """The octets of one group, as they leave."""

    buffers: Sequence[bytes | memoryview]
    size: int
    eight_bit: bool
    eight_bit_header: bool


@dataclass(slots=True)
class Delivery:
    """All that one transaction at a next hop needs."""

    target: Target
    envelope: Envelope  # with the recipients of this group alone
    content: Content
    client: Client
    id: str
    deadline: float  # monotonic
    gone: Callable[[], bool]


async def deliver(delivery: Delivery, hops: Hops) -> dict[str, Outcome]:
    """Return the outcome for each recipient. Raises ClientGone, and nothing else."""
    fresh = False
    problem: HopError | None = None
    for _ in range(len(delivery.target.hosts) + 2):
        try:
            hop = None if fresh else hops.kept(delivery.target.hosts)
            hop = hop or await hops.acquire(delivery.target.hosts, delivery.deadline, fresh=fresh)
        except HopError as error:
            problem = error
            break
        used = hop.transactions > 0
        try:
            return await _transaction(delivery, hop)
        except HopError as error:
            problem = error
            if not used:
                hops.distrust(hop, str(error))
            fresh = True  # a kept connection that was closed meanwhile says nothing about the host
        finally:
            hop.body_sent = False
            hops.release(hop)
    return _all(delivery, Outcome(State.DEFERRED, DOWN, delivery.target.name, str(problem or "the route has no hosts")))


def _all(delivery: Delivery, outcome: Outcome) -> dict[str, Outcome]:
    return {recipient.address: outcome for recipient in delivery.envelope.recipients}


async def _transaction(delivery: Delivery, hop: Hop) -> dict[str, Outcome]:
    """One MAIL to the end of data. Raises HopError while nothing is decided for any recipient, and ClientGone."""
    host, codec, deadline = hop.name, hop.codec, delivery.deadline
    if delivery.target.route.forward == "xclient" and "XCLIENT" in codec.extensions:
        await hop.introduce(_attributes(delivery.client), deadline)
    demanding = delivery.content.eight_bit or delivery.envelope.smtputf8
    outcomes = _unfit(delivery, hop, host) if demanding else {}
    recipients: Sequence[Recipient] = delivery.envelope.recipients
    if outcomes:
        recipients = [recipient for recipient in recipients if recipient.address not in outcomes]
        if not recipients:
            return outcomes
    hop.transactions += 1
    commands = _commands(delivery, codec.extensions, recipients)
    if "PIPELINING" in codec.extensions:
        answers = await hop.ask(*commands, deadline=deadline)
    else:
        answers = await _one_by_one(hop, commands, deadline)
    taken: list[str] = []
    refusal = data = None
    for asked, reply in answers:
        kind, code = type(asked), reply.code
        if code == 421:
            hop.abort()
            raise HopError(f"421 in answer to {kind.__name__}", reply=reply)
        if kind is Data:
            data = reply
        elif kind is Mail and code >= 400:
            refusal = _outcome(reply, host)
            outcomes.update((recipient.address, refusal) for recipient in recipients)
        elif isinstance(asked, Rcpt) and refusal is None:
            if code < 400:
                taken.append(asked.address)
            else:
                outcomes[asked.address] = _outcome(reply, host)
    if data is None or data.code != 354:
        if data is not None:
            outcomes.update((address, _outcome(data, host)) for address in taken)
        with suppress(HopError):  # the connection is closed then; what was answered stands
            await hop.ask(Reset(), deadline=deadline)
        return outcomes
    if delivery.gone() or not taken:  # 354 without a recipient: only closing is sure to send nothing (RFC 2920, 3.1)
        hop.abort()
        if taken:
            raise ClientGone
        return outcomes
    finals: Sequence[Answer]
    lost = ""
    try:
        finals = await hop.send_body(delivery.content.buffers, len(taken) if codec.lmtp else 1, deadline)
    except HopError as error:
        if not hop.body_sent:
            raise
        finals, lost = error.answers, str(error)
    for index, address in enumerate(taken):
        answered = index if codec.lmtp else 0
        if answered < len(finals):
            outcomes[address] = _outcome(finals[answered].reply, host)
        else:
            outcomes[address] = Outcome(State.UNKNOWN, SILENT, host, lost)
    return outcomes


def _commands(delivery: Delivery, extensions: dict[str, str], recipients: Sequence[Recipient]) -> list[Command]:
    """Return XFORWARD, MAIL, RCPT and DATA."""
    commands: list[Command] = []
    if "XFORWARD" in extensions and delivery.target.route.forward == "xforward":
        introduction, identified = _introduction(delivery.client, extensions["XFORWARD"])
        commands += introduction
        if identified:
            commands.append(Xforward({"IDENT": delivery.id}))
    commands.append(Mail(delivery.envelope.reverse_path, _mail_parameters(delivery, extensions)))
    dsn = "DSN" in extensions
    for recipient in recipients:
        parameters = _kept(recipient.parameters, _DSN_RCPT) if dsn and recipient.parameters else _NONE
        commands.append(Rcpt(recipient.address, parameters))
    commands.append(_DATA)
    return commands


async def _one_by_one(hop: Hop, commands: Sequence[Command], deadline: float) -> list[Answer]:
    """Send a group to a hop that does not pipeline: nothing behind a refused MAIL, no DATA where no recipient was taken."""
    answers: list[Answer] = []
    taken = False
    for command in commands:
        if command is _DATA and not taken:
            break
        answers += await hop.ask(command, deadline=deadline)
        positive = answers[-1].reply.positive
        if isinstance(command, Mail) and not positive:
            break
        taken = taken or (isinstance(command, Rcpt) and positive)
    return answers


def _unfit(delivery: Delivery, hop: Hop, host: str) -> dict[str, Outcome]:
    """Return the refusals that follow from what the hop cannot do: SMTPUTF8 where it is needed, 8-bit by setting."""
    extensions, envelope, content = hop.codec.extensions, delivery.envelope, delivery.content
    if envelope.smtputf8 and "SMTPUTF8" not in extensions:
        if content.eight_bit_header:
            return _all(
                delivery,
                Outcome(
                    State.REFUSED,
                    Reply(554, "5.6.9", "The server for this recipient takes no UTF-8 header fields"),
                    host,
                ),
            )
        if not envelope.reverse_path.isascii():
            return _all(delivery, Outcome(State.REFUSED, NO_UTF8, host))
        outcome = Outcome(State.REFUSED, NO_UTF8, host)
        return {recipient.address: outcome for recipient in envelope.recipients if not recipient.address.isascii()}
    if content.eight_bit and "8BITMIME" not in extensions and delivery.target.route.eight_bit == "refuse":
        return _all(
            delivery,
            Outcome(State.REFUSED, Reply(554, "5.6.3", "The server for this recipient takes no 8-bit content"), host),
        )
    return {}


NO_UTF8 = Reply(550, "5.6.7", "The server for this recipient takes no UTF-8 addresses")


def _mail_parameters(delivery: Delivery, extensions: dict[str, str]) -> Parameters:
    parameters: dict[str, str | None] = {}
    content, asked = delivery.content, delivery.envelope.parameters
    if "SIZE" in extensions:
        parameters["SIZE"] = str(content.size)
    if "8BITMIME" in extensions and (content.eight_bit or asked.get("BODY") == "8BITMIME"):
        parameters["BODY"] = "8BITMIME"
    if "SMTPUTF8" in asked and "SMTPUTF8" in extensions:
        parameters["SMTPUTF8"] = None
    if "DSN" in extensions and asked:
        parameters.update(_kept(asked, _DSN_MAIL))
    return parameters


def _kept(parameters: Parameters, keywords: tuple[str, ...]) -> Parameters:
    return {keyword: parameters[keyword] for keyword in keywords if keyword in parameters}


@lru_cache(1024)
def _introduction(client: Client, offered: str) -> tuple[tuple[Xforward, ...], bool]:
    """Return the commands that tell a hop who the client was, the same for all its messages, and whether it takes IDENT."""
    groups = attribute_groups(_attributes(client) | {"SOURCE": "REMOTE"}, offered)
    return tuple(map(Xforward, groups)), "IDENT" in offered.upper().split()


def _attributes(client: Client) -> dict[str, str]:
    return {
        "NAME": client.name,
        "ADDR": f"IPV6:{client.address}" if ":" in client.address else client.address,
        "PORT": str(client.port) if client.port else "",
        "PROTO": "ESMTP" if client.protocol.startswith("E") else "SMTP",
        "HELO": client.helo,
    }


def _outcome(reply: ServerReply, host: str) -> Outcome:
    """What a reply of the next hop means for one recipient, in words that may be passed on."""
    state = State.ACCEPTED if reply.code < 400 else State.REFUSED if reply.code >= 500 else State.DEFERRED
    return Outcome(state, public(reply), host)


def public(reply: ServerReply) -> Reply:
    """Return the next hop's reply as it may be given to a client: what would speak of our own session becomes plain."""
    code = 250 if reply.code < 300 else _PLAIN.get(reply.code, reply.code)
    return Reply(code, reply.enhanced or f"{code // 100}.0.0", reply.text)


_PLAIN = {421: 451, 521: 550}  # they end a session


async def settle(deliveries: Sequence[Delivery], hops: Hops) -> list[dict[str, Outcome]]:
    """Deliver several groups at the same time; return the outcomes of each. Raises ClientGone where none of them was
    delivered for that reason."""
    results = await asyncio.gather(*(deliver(delivery, hops) for delivery in deliveries), return_exceptions=True)
    outcomes: list[dict[str, Outcome]] = []
    gone = Outcome(State.DEFERRED, Reply(451, "4.4.2", "Connection lost"), "", "the client had gone")
    for delivery, result in zip(deliveries, results, strict=True):
        if isinstance(result, ClientGone):
            outcomes.append(_all(delivery, gone))
        elif isinstance(result, Exception):  # what the others were told stands, whatever went wrong here
            outcomes.append(_all(delivery, Outcome(State.DEFERRED, replies.TROUBLE, "", repr(result))))
        elif isinstance(result, BaseException):
            raise result
        else:
            outcomes.append(result)
    if results and all(isinstance(result, ClientGone) for result in results):
        raise ClientGone
    return outcomes
