"""Teaches SpamAssassin what a message was: spamd's TELL, at every server of a pool (spamd/PROTOCOL, TELL).

Called when somebody says what a held message really is (`mpp quarantine learn`). Every server is told, since each may
have a Bayes database of its own; where they share one, the later ones answer that nothing changed. Nothing is tried
twice and nothing is copied: whoever asked sees which server did what. The message is what was scanned, without the fields
that were put above it for the scan. Never raises for what a server does; ValueError for a pool that is no spamd's.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Literal

from mpp.checks.scanners.kinds import Spamd
from mpp.checks.scanners.scanner import Contexts, Tools, tls_context
from mpp.checks.scanners.settings import Scanner
from mpp.checks.scanners.spamd import exchange, user_for
from mpp.mail.escape import printable
from mpp.net.connect import Server, connect, server_of
from mpp.protocols.errors import RemoteProtocolError
from mpp.protocols.spamd import Request

Lesson = Literal["spam", "ham", "forget"]


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
    if not isinstance(scanner, Spamd):
        raise ValueError(f"{scanner.name} is a {scanner.kind}, which cannot be taught; name a spamd")
    octets = raw if raw.endswith(b"\n") else raw + b"\r\n"  # spamd reads by lines
    request = _request(lesson, len(octets), user_for(scanner, recipient))
    servers = [server_of(text) for text in scanner.servers]
    context = tls_context(scanner, servers, contexts or Tools().contexts)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_tell(server, request, octets, scanner, context), name=f"learn {server.name}")
            for server in servers
        ]
    return [task.result() for task in tasks]


def _request(lesson: Lesson, length: int, user: str) -> Request:
    if lesson == "forget":
        return Request("TELL", length, user, remove="local")
    return Request("TELL", length, user, message_class=lesson, set="local")


async def _tell(
    server: Server, request: Request, octets: bytes, scanner: Spamd, context: ssl.SSLContext | None
) -> Learnt:
    now = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(scanner.timeout):
            connection = await connect(server, now + scanner.connect_timeout, context)
            reply = await exchange(connection, request, (octets,))
    except (OSError, RemoteProtocolError) as error:  # a timeout is an OSError
        cause = printable(str(error) or type(error).__name__, 300)
        if "allow-tell" in cause:
            cause += "; start spamd with --allow-tell"
        return Learnt(server.name, changed=False, cause=cause)
    return Learnt(server.name, changed=bool(reply.did_set or reply.did_remove))
