"""Held copies leave the quarantine: claimed, delivered, settled; a batch at a time, many at once within it.

Called by `mpp quarantine release` and the manager. Each copy goes alone: for the one who asks, from the original sender, with
the original octets below our Received field and X-MPP-Released. `released` is written down only after the next hop's 250;
where the answer was lost the copy becomes `unknown`. Whoever is killed in between leaves a claim, and mail is never delivered
twice for it (mpp.store.quarantine). Raises CatalogError, KeysError.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mpp.gateway.assembly import hostname_of
from mpp.gateway.delivery import Content, Delivery, Outcome, State, deliver
from mpp.gateway.hops import Hops
from mpp.gateway.routes import RouteTable
from mpp.gateway.settings import Settings
from mpp.gateway.targets import Target, Targets
from mpp.mail.address import AddressError, parse_address
from mpp.mail.envelope import Recipient
from mpp.mail.trace import date, received_field
from mpp.net.dns import DnsError, Resolver
from mpp.net.tls import client_contexts
from mpp.protocols.smtp.reply import Reply
from mpp.store.catalog import Catalog
from mpp.store.errors import StoreError
from mpp.store.quarantine import Settled, claim, claim_of, node_name, settle
from mpp.store.quarantine_query import Key
from mpp.store.reader import Reader, Stored

AT_ONCE = 20  # deliveries
BATCH = 2 * AT_ONCE  # copies claimed at a time: so many are unknown where we are killed
PATIENCE_S = 300.0  # for one delivery; two after each other are well below mpp.store.quarantine.STALE_MS
_SWEEP_S = 0.5
NO_ROUTE = Reply(550, "5.1.2", "No route for this address")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done with each copy."""

    tenant: str
    actor: str
    to: str = ""  # an address elsewhere; "": the recipient of each copy
    again: bool = False  # those of which it is not known whether they were delivered: somebody may get them twice


class Releaser:
    """One process's way out of the quarantine. To be made, and closed, within the running loop."""

    def __init__(self, settings: Settings, catalog: Catalog, reader: Reader) -> None:
        self._settings, self._catalog, self._reader = settings, catalog, reader
        self._hostname = hostname_of(settings)
        self._routes = RouteTable(settings)
        self._targets = Targets(settings, self._hostname, Resolver(settings.node.resolvers))
        self._hops = Hops(client_contexts(settings.tls), most=AT_ONCE)
        self._claim = claim_of(node_name())

    async def release(self, keys: Sequence[Key], order: Order) -> list[Settled]:
        """Release at most BATCH copies; returns how each ended. Those left out were not to be had: gone, or another's by now.

        Not to be cancelled: whoever wants to stop does so between two batches.
        """
        taken = await asyncio.to_thread(self._claimed, keys, order)
        sweeping = asyncio.create_task(self._sweep(), name="sweep")
        try:
            results = await self._deliver_all([key for key in keys if key in taken], order)
        finally:
            sweeping.cancel()
        await asyncio.to_thread(self._settled, results, order)
        return results

    def _claimed(self, keys: Sequence[Key], order: Order) -> set[Key]:
        states = ("unknown",) if order.again else ("held",)
        with self._catalog.write() as connection:
            return claim(connection, order.tenant, keys, self._claim, states=states)

    def _settled(self, results: Sequence[Settled], order: Order) -> None:
        with self._catalog.write() as connection:
            settle(connection, order.tenant, results, self._claim, order.actor)

    async def _deliver_all(self, keys: Sequence[Key], order: Order) -> list[Settled]:
        """Deliver what was claimed; every claim gets an answer, whatever goes wrong."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(key: Key, stored: Stored | str) -> Settled:
            async with room:
                return await self._deliver(key, stored, order)

        read = await asyncio.to_thread(self._read, keys, order.tenant)
        answers = await asyncio.gather(*(one(key, read[key.message]) for key in keys), return_exceptions=True)
        return [
            _as_before(key, f"{type(answer).__name__}: {answer}", order)
            if isinstance(answer, BaseException)
            else answer
            for key, answer in zip(keys, answers, strict=True)
        ]

    def _read(self, keys: Sequence[Key], tenant: str) -> dict[str, Stored | str]:
        """Return each message once, or why it cannot be read."""
        found: dict[str, Stored | str] = {}
        with self._catalog.read() as connection:
            for message in dict.fromkeys(key.message for key in keys):
                try:
                    found[message] = self._reader.message(connection, tenant, message) or "the message is gone"
                except StoreError as error:
                    found[message] = str(error)
        return found

    async def _deliver(self, key: Key, stored: Stored | str, order: Order) -> Settled:
        if isinstance(stored, str):
            return _as_before(key, stored, order)
        to = order.to or key.recipient
        target = await self._target(to)
        if isinstance(target, str):
            return _as_before(key, target, order)
        outcomes = await deliver(self._delivery(key, stored, to, target, order), self._hops)
        return _settled_as(key, outcomes[to], to, order)

    async def _target(self, address: str) -> Target | str:
        try:
            parsed = parse_address(address)
        except AddressError as error:
            return f"{address}: {error}"
        route = self._routes.find(parsed)
        if route is None:
            return f"no route leads to {parsed.domain}; add one to the settings"
        try:
            return self._targets.fixed(route) or await self._targets.by_mx(route, parsed.ascii_domain)
        except DnsError as error:
            return str(error)

    def _delivery(self, key: Key, stored: Stored, to: str, target: Target, order: Order) -> Delivery:
        """The original octets and sender, with what says that and how they left."""
        same = next((each for each in stored.envelope.recipients if each.address == to), Recipient(to))
        top = received_field(
            stored.client,
            hostname=self._hostname,
            instance=self._settings.node.instance,
            identifier=stored.id,
            now=stored.described["received"] / 1000,
            recipient=to,
            smtputf8=stored.envelope.smtputf8,
        )
        mark = f"{self._settings.release.mark}\r\n" if self._settings.release.mark else ""
        trace = f"X-MPP-Released: {self._hostname}; id={stored.id};\r\n\t{date(int(time.time()))}\r\n{mark}"
        buffers = [trace.encode("ascii", "replace"), top, stored.raw]
        eight_bit = not stored.raw.isascii()
        content = Content(buffers, sum(map(len, buffers)), eight_bit, eight_bit and stored.envelope.smtputf8)
        envelope = replace(stored.envelope, recipients=(same,))
        deadline = time.monotonic() + PATIENCE_S
        return Delivery(target, envelope, content, stored.client, stored.id, deadline, lambda: False)

    async def _sweep(self) -> None:
        """End connections that have waited too long; runs beside the work."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._hops.sweep(time.monotonic())

    async def close(self) -> None:
        self._hops.close()


def _settled_as(key: Key, outcome: Outcome, to: str, order: Order) -> Settled:
    reply = outcome.reply.words
    if outcome.state is State.ACCEPTED:
        return Settled(key, "released", reply, outcome.host, to)
    if outcome.state is State.UNKNOWN:
        lost = f"no answer came after the message was sent ({outcome.cause or 'time is over'}): it may have been taken"
        return Settled(key, "unknown", lost, outcome.host, to)
    return Settled(key, "unknown" if order.again else "held", outcome.cause or reply, outcome.host, to)


def _as_before(key: Key, why: str, order: Order) -> Settled:
    """Nothing was delivered now; what was unknown before stays so."""
    return Settled(key, "unknown" if order.again else "held", why, "", order.to or key.recipient)
