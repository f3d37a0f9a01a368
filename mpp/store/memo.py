"""What must survive a crash between two attempts of one sender (design section 3, memo), in the catalog.

When some recipients of a message were accepted and the reply was 4xx, or the client had gone before our 250, the sender will send
the message again: `accepted` keeps the retry from delivering twice, `refused` gives a late refusal at RCPT of the retry, for that
recipient alone. It is almost always empty, so each process keeps a copy, and a look costs one read of a counter in the node's shared
table, which whoever changes the memo raises. Where the catalog is away, what is known goes on to serve: clean mail does not wait.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection, delete, insert, select, tuple_

from mpp.settings.tenants import DEFAULT_TENANT
from mpp.store.errors import StoreError
from mpp.store.schema import memo_accepted, memo_refused
from mpp.store.writer import Change

KEEP_S = 5 * 86400.0
WAIT_S = 5.0  # for the catalog, at most, before what is known serves
RETRY_S = 2.0  # from a failed look to the next
MOST_UNWRITTEN = 10_000  # rows


class Changes(Protocol):
    """The node's count of changes."""

    def number(self) -> int: ...
    def add(self) -> None: ...


@dataclass(slots=True)
class _Known:
    """By (reverse-path, recipient, digest) and (reverse-path, recipient): reply and time in seconds."""

    accepted: dict[tuple[str, str, bytes], tuple[str, float]] = field(default_factory=dict)
    refused: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)


class Memo:
    """For one process. `change` does a change of the catalog durably (Writer.change)."""

    def __init__(
        self,
        change: Callable[[Change], Any],
        changes: Changes,
        *,
        shared: bool,
        tenant: str = DEFAULT_TENANT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._change, self._changes, self._shared = change, changes, shared
        self._tenant, self._clock = tenant, clock
        self._known, self._seen = _Known(), -1
        self._unwritten = _Known()  # what could not be written: at least this process knows it
        self._look: asyncio.Task[None] | None = None
        self._again_at = 0.0  # after a look that failed
        self._look_at = 0.0  # for what other nodes have changed

    @property
    def stale(self) -> bool:
        """True where another process has changed the memo, and `refresh` may learn how."""
        return self._changes.number() != self._seen and self._again_at <= self._clock()

    def sweep(self, _now: float) -> None:
        """About four times a second: learn what is new; with a catalog that other nodes write, every two seconds."""
        if self.stale or (self._shared and max(self._look_at, self._again_at) <= self._clock()):
            self._begin()

    async def refresh(self) -> None:
        """Learn what is new; where the catalog is away, what is known serves."""
        _, waiting = await asyncio.wait([self._begin()], timeout=WAIT_S)
        if waiting:
            self._again_at = math.inf  # nobody else waits for this look; its end says when the next one is due

    def _begin(self) -> "asyncio.Task[None]":
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._load(), name="memo")
        return self._look

    async def _load(self) -> None:
        number = self._changes.number()
        found = _Known()

        def read(connection: Connection) -> None:
            found.accepted.clear()
            found.refused.clear()
            a, r = memo_accepted.c, memo_refused.c
            wanted = select(a.reverse_path, a.recipient, a.digest, a.reply, a.at).where(a.tenant == self._tenant)
            for path, recipient, digest, reply, at in connection.execute(wanted):
                found.accepted[path, recipient, bytes(digest)] = (reply, at / 1000)
            refusals = select(r.reverse_path, r.recipient, r.reply, r.at).where(r.tenant == self._tenant)
            for path, recipient, reply, at in connection.execute(refusals):
                found.refused[path, recipient] = (reply, at / 1000)

        try:
            await self._change(read)
        except StoreError:
            self._again_at = self._clock() + RETRY_S
            return
        self._known, self._seen = found, number
        self._again_at, self._look_at = 0.0, self._clock() + RETRY_S

    async def accepted(self, reverse_path: str, recipients: Iterable[str], digest: bytes) -> dict[str, str]:
        """Return those of the recipients that already have this message, with the reply that said so."""
        if self.stale:
            await self.refresh()
        if not self._known.accepted and not self._unwritten.accepted:
            return {}
        oldest = self._clock() - KEEP_S
        known: dict[str, str] = {}
        for recipient in recipients:
            key = (reverse_path, recipient, digest)
            reply, at = self._known.accepted.get(key) or self._unwritten.accepted.get(key) or ("", 0.0)
            if at >= oldest:
                known[recipient] = reply
        return known

    def refusal(self, reverse_path: str, recipient: str) -> str | None:
        """Return the reply line of a late refusal that the retry must get at RCPT. Never waits."""
        if not self._known.refused and not self._unwritten.refused:
            return None
        key = (reverse_path, recipient)
        reply, at = self._known.refused.get(key) or self._unwritten.refused.get(key) or (None, 0.0)
        return reply if at >= self._clock() - KEEP_S else None

    async def keep(self, reverse_path: str, digest: bytes, accepted: dict[str, str], refused: dict[str, str]) -> None:
        """Write durably; returns when that is done. Raises StoreError; this process then still knows what it was given."""
        now = self._clock()
        key = {"tenant": self._tenant, "reverse_path": reverse_path, "at": int(now * 1000)}
        taken = [{**key, "recipient": each, "digest": digest, "reply": said} for each, said in accepted.items()]
        turned = [{**key, "recipient": each, "reply": said} for each, said in refused.items()]

        def write(connection: Connection) -> None:
            _remove(connection, self._tenant, reverse_path, digest, accepted, refused)
            for table in (memo_accepted, memo_refused):
                connection.execute(delete(table).where(table.c.at < int((now - KEEP_S) * 1000)))
            if taken:
                connection.execute(insert(memo_accepted), taken)
            if turned:
                connection.execute(insert(memo_refused), turned)

        new = _Known(
            {(reverse_path, each, digest): (said, now) for each, said in accepted.items()},
            {(reverse_path, each): (said, now) for each, said in refused.items()},
        )
        try:
            await self._change(write)
        except StoreError:
            if len(self._unwritten.accepted) + len(self._unwritten.refused) < MOST_UNWRITTEN:
                self._unwritten.accepted.update(new.accepted)
                self._unwritten.refused.update(new.refused)
            raise
        self._known.accepted.update(new.accepted)
        self._known.refused.update(new.refused)
        self._changes.add()

    async def forget(self, reverse_path: str, digest: bytes, recipients: Iterable[str], refused: Iterable[str]) -> None:
        """Remove what a finished retry no longer needs. Raises StoreError."""
        done, told = list(recipients), list(refused)
        for memo in (self._unwritten, self._known):
            for recipient in done:
                memo.accepted.pop((reverse_path, recipient, digest), None)
            for recipient in told:
                memo.refused.pop((reverse_path, recipient), None)
        await self._change(lambda connection: _remove(connection, self._tenant, reverse_path, digest, done, told))
        self._changes.add()


def _remove(
    connection: Connection,
    tenant: str,
    reverse_path: str,
    digest: bytes,
    accepted: Iterable[str],
    refused: Iterable[str],
) -> None:
    a, r = memo_accepted.c, memo_refused.c
    if keys := [(tenant, reverse_path, each, digest) for each in accepted]:
        key = tuple_(a.tenant, a.reverse_path, a.recipient, a.digest)
        connection.execute(delete(memo_accepted).where(key.in_(keys)))
    if pairs := [(tenant, reverse_path, each) for each in refused]:
        pair = tuple_(r.tenant, r.reverse_path, r.recipient)
        connection.execute(delete(memo_refused).where(pair.in_(pairs)))
