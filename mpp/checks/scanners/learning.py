"""Teaches SpamAssassin and rspamd what a message was: at every server of a pool that can learn.

Called when somebody says what a held message really is (`mpp quarantine learn`). Every server is told, since each may
have a Bayes database of its own; where they share one, the later ones answer that nothing changed. Nothing is tried
twice and nothing is copied: whoever asked sees which server did what. The message is what was scanned, without the fields
that were put above it for the scan. Never raises for what a server does; ValueError for a pool that cannot be taught.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from mpp.checks.scanners.kinds import Rspamd, Spamd
from mpp.checks.scanners.rspamd import learn_at
from mpp.checks.scanners.scanner import Contexts, Tools, tls_context
from mpp.checks.scanners.settings import Scanner
from mpp.checks.scanners.spamd import exchange, user_for
from mpp.mail.escape import printable
from mpp.net.connect import Server, connect, server_of
from mpp.protocols.errors import RemoteProtocolError
from mpp.protocols.spamd import Request

Lesson = Literal["spam", "ham", "forget"]
Teacher = Callable[[Server], Awaitable[bool]]  # teaches one server; True where it learnt something


@dataclass(frozen=True, slots=True)
class Learnt:
    """What one server made of a lesson."""

    server: str
    changed: bool  # it learnt something; False where it knew already, or failed
    cause: str = ""  # why it gave no answer, with what to do where that is known; "" where it did


async def learn(
    scanner: Scanner, raw: bytes, lesson: Lesson, recipient: str = "", contexts: Contexts | None = None
) -> list[Learnt]:
    """Tell each server of the pool, all at the same time. `recipient` is whose copy it was: it chooses the user.

    `contexts` (mpp.net.tls.client_contexts) carries tls.ca; without them the system's authorities hold.

    Returns an entry for each server in the order of the settings.
    """
    contexts = contexts or Tools().contexts
    if isinstance(scanner, Spamd):
        names, teacher = scanner.servers, _spamd(scanner, raw, lesson, recipient, contexts)
    elif isinstance(scanner, Rspamd):
        names, teacher = scanner.controllers, _rspamd(scanner, raw, lesson, contexts)
    else:
        raise ValueError(f"{scanner.name} is a {scanner.kind}, which cannot be taught; name a spamd or rspamd")
    if not names:
        raise ValueError(f"{scanner.name} has no servers that can be taught; add controllers")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_tell(server_of(name), teacher, scanner), name=f"learn {name}") for name in names]
    return [task.result() for task in tasks]


async def _tell(server: Server, teacher: Teacher, scanner: Scanner) -> Learnt:
    try:
        async with asyncio.timeout(scanner.timeout):
            return Learnt(server.name, changed=await teacher(server))
    except (OSError, RemoteProtocolError) as error:  # a timeout is an OSError
        cause = printable(str(error) or type(error).__name__, 300)
        if "allow-tell" in cause:
            cause += "; start spamd with --allow-tell"
        return Learnt(server.name, changed=False, cause=cause)


def _spamd(scanner: Spamd, raw: bytes, lesson: Lesson, recipient: str, contexts: Contexts) -> Teacher:
    octets = raw if raw.endswith(b"\n") else raw + b"\r\n"  # spamd reads by lines
    user = user_for(scanner, recipient)
    if lesson == "forget":
        request = Request("TELL", len(octets), user, remove="local")
    else:
        request = Request("TELL", len(octets), user, message_class=lesson, set="local")
    context = tls_context(scanner.verify, scanner.servers, contexts)

    async def teach(server: Server) -> bool:
        until = asyncio.get_running_loop().time() + scanner.connect_timeout
        reply = await exchange(partial(connect, server, until, context), request, (octets,))
        return bool(reply.did_set or reply.did_remove)

    return teach


def _rspamd(scanner: Rspamd, raw: bytes, lesson: Lesson, contexts: Contexts) -> Teacher:
    """Raises ValueError: rspamd cannot forget; OSError where the password cannot be read."""
    if lesson == "forget":
        raise ValueError(f"{scanner.name} is an rspamd, which cannot forget; teach it the opposite")
    password = scanner.password_file.read_text().strip() if scanner.password_file else ""
    context = tls_context(scanner.verify, scanner.controllers, contexts)

    async def teach(server: Server) -> bool:
        until = asyncio.get_running_loop().time() + scanner.connect_timeout
        connection = await connect(server, until, context)
        try:
            return await learn_at(server, connection, raw, lesson, password)
        finally:
            connection.close()

    return teach
