"""From one settings value to the running parts of a worker: what a transaction keeps from its MAIL to its reply.

A reload makes a new Assembly; connections go on, and each takes the new one at its next transaction.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from mpp.checks.attachments.check import Attachments
from mpp.checks.attachments.inspector import Inspector
from mpp.checks.attachments.policy import Rulebook
from mpp.checks.attachments.settings import Inspection
from mpp.checks.campaigns.memory import Memory
from mpp.checks.content.compiled import Shelf
from mpp.checks.content.rules import Rules
from mpp.checks.guards.guard import Guard
from mpp.checks.guards.jumps import Jumps, Share
from mpp.checks.guards.troubles import Troubles
from mpp.checks.layers.build import layers_of
from mpp.checks.layers.judge import Layers
from mpp.checks.reputation.clients import ClientLists
from mpp.checks.scanners.scanner import Tools
from mpp.gateway.asking import Asker
from mpp.gateway.destinations import Destinations
from mpp.gateway.hops import Hops
from mpp.gateway.log import event as log
from mpp.gateway.recorder import Recorder
from mpp.gateway.routes import RouteTable
from mpp.gateway.settings import Settings
from mpp.gateway.targets import Targets
from mpp.mail.message import Limits as MessageLimits
from mpp.net.dns import Resolver
from mpp.net.networks import matcher
from mpp.net.pool.pools import Pools
from mpp.net.table import SlotWriter
from mpp.net.tls import client_contexts
from mpp.settings.tenants import Directory
from mpp.settings.write import write
from mpp.store.lists import KnownLists
from mpp.store.memo import Memo
from mpp.store.writer import Writer
from mpp.verdict.select import PolicySelector


def hostname_of(settings: Settings) -> str:
    """Return the node's name: what the settings say, else the machine's fully qualified name."""
    return settings.node.hostname or _own_hostname()


@lru_cache
def _own_hostname() -> str:
    return socket.getfqdn()


@dataclass(frozen=True, slots=True, eq=False)
class Judges:
    """What speaks of a message (mpp.gateway.pipeline.judge): all that the gateway and `mpp scan` have in common."""

    settings: Settings
    rules: Rules
    attachments: Attachments
    layers: Layers
    directory: Directory
    lists: KnownLists


@dataclass(frozen=True, slots=True, eq=False)
class Assembly(Judges):
    """The running parts of one value of the settings."""

    hostname: str
    trusted: Callable[[str], bool]
    proxies: Callable[[str], bool]
    targets: Targets
    destinations: Destinations
    delivering: Hops
    asker: Asker
    client_lists: ClientLists
    message_limits: MessageLimits
    store: Writer
    memo: Memo
    table: SlotWriter
    recorder: Recorder
    revision: str  # of the settings, for traces


@dataclass(frozen=True, slots=True)
class Shared:
    """What outlives a reload: open connections, pools of scanners, the process that looks into files, the store, the memo, the
    spool of traces, the node's table."""

    delivering: Hops
    asking: Hops
    pools: Pools
    store: Writer
    memo: Memo
    table: SlotWriter
    recorder: Recorder
    lists: KnownLists
    inspector: Inspector


def assemble(settings: Settings, shared: Shared, clock: Callable[[], float]) -> Assembly:
    """Make the running parts. To be called within the running loop. Raises OSError for certificates."""
    hostname = hostname_of(settings)
    limits = settings.limits
    contexts = client_contexts(settings.tls)
    for route in settings.routes:
        contexts(route.tls)  # made now, not with the first message: it may read all authorities of the system
    troubles = Troubles(shared.table.table.learned.troubles, shared.table.slot)
    tools = Tools(shared.pools, contexts, troubles, settings.node.resolvers)
    targets = Targets(settings, hostname, Resolver(settings.node.resolvers))
    policies = PolicySelector(settings.policies, settings.policy_rules, settings.groups, settings.tenants)
    parts = Assembly(
        settings=settings,
        hostname=hostname,
        trusted=matcher(settings.networks.trusted),
        proxies=matcher(settings.networks.proxies),
        targets=targets,
        destinations=Destinations(RouteTable(settings), targets, policies, relay_all=settings.networks.relay_all),
        delivering=shared.delivering,
        asker=Asker(shared.asking, clock),
        directory=Directory(settings.tenants, settings.groups),
        rules=rules_of(settings, shared.table.slot),
        attachments=attachments_of(settings, shared.inspector),
        lists=shared.lists,
        layers=_layers(settings, shared, tools),
        client_lists=ClientLists(settings.scanners if settings.checks else (), tools),
        message_limits=MessageLimits(
            parts=limits.parts, depth=limits.depth, header_fields=limits.header_fields, header_size=limits.header_size
        ),
        store=shared.store,
        memo=shared.memo,
        table=shared.table,
        recorder=shared.recorder,
        revision=sha256(write(settings).encode()).hexdigest()[:12],
    )
    # Last, since what goes before may fail and must then have changed nothing.
    shared.delivering.context_for = shared.asking.context_for = contexts
    return parts


def _layers(settings: Settings, shared: Shared, tools: Tools) -> Layers:
    if not settings.checks:
        return Layers(())
    learned, slot = shared.table.table.learned, shared.table.slot
    memory = Memory(settings.campaigns, learned, slot) if settings.campaigns.on else None
    guard = Guard(tools.troubles, Jumps(settings.guards, learned.hits, slot, _told), settings.guards.troubles)
    return layers_of(settings.scanners, settings.layers, settings.votes, tools, memory, guard)


def _told(name: str, jumped: bool, share: Share) -> None:
    """Tell the operator of a symbol or a scanner that suddenly decides much mail, or no longer does."""
    percent = {"percent": round(100 * share.now, 2), "usual_percent": round(100 * share.usual, 3)}
    log("warning", "guard-jumped" if jumped else "guard-settled", name=name, **percent)


def attachments_of(settings: Settings, inspector: Inspector) -> Attachments:
    """Make the attachment policy."""
    if not settings.checks:
        return Attachments(Rulebook((), {}), Inspection(), inspector)
    return Attachments(Rulebook(settings.attachments, settings.attachment_lists), settings.inspection, inspector)


def rules_of(settings: Settings, slot: int | None = None) -> Rules:
    """Make the content filter, its patterns compiled or taken from where they are kept. Raises OSError, ValueError.

    `slot`: of the worker that counts what its rules do.
    """
    if not settings.checks or not settings.filters:
        return Rules((), settings.content)
    folder = settings.node.data / "filters"
    rules = Rules(settings.filters, settings.content, Shelf(folder))
    if slot is not None:
        rules.count.follow(folder / f"{slot}.json", [each.name for each in settings.filters])
    return rules
