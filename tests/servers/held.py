"""A quarantine to try things on: letters stored as the gateway does it, in a store of their own or a running gateway's."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.settings.tenants import DEFAULT_TENANT
from mpp.store.clock import now_ms
from mpp.store.letter import Copy, Letter
from mpp.store.opening import open_writer
from mpp.store.settings import Store

MONTH_MS = 30 * 86_400_000


def held(
    identifier: str,
    *recipients: str,
    raw: bytes = b"Subject: one\r\n\r\ntext\r\n",
    sender: str = "alice@example.net",
    verdict: str = "spam",
    rule: str = "policies.default.quarantine_above",
    score: float = 7.5,
    at: int = 0,
    until: int = 0,
    tenant: str = DEFAULT_TENANT,
) -> Letter:
    """Return a letter with a held copy for each recipient."""
    names = recipients or ("bob@example.org",)
    received = at or now_ms()
    return Letter(
        identifier,
        received,
        Envelope(sender, tuple(map(Recipient, names)), {"BODY": "8BITMIME"}),
        Client("192.0.2.1", helo="client"),
        Message(raw),
        tuple(Copy(name, verdict, rule, score) for name in names),
        until or now_ms() + MONTH_MS,
        tenant=tenant,
    )


async def fill(data: Path, settings: Store, letters: Iterable[Letter]) -> None:
    writer = open_writer(data, settings, "node")
    try:
        await asyncio.gather(*map(writer.store, letters))
    finally:
        await writer.close()
