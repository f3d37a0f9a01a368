"""Finds what is known of a message: its traces in the catalog, those still on their way, what people did with it.

Bound to a tenant; None is the operator's. Raises CatalogError.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from mpp.store.catalog import Catalog
from mpp.store.events import Event, about_each
from mpp.store.spool import SpoolFile, spool_files
from mpp.store.trace import Trace, folded, seen_by, words
from mpp.store.trace_days import TraceDays
from mpp.store.trace_line import TraceError, read

MOST_SPOOLED = 64 << 20  # octets of a spool file that are looked through


def why(days: TraceDays, spool: Path, word: str, tenant: str | None, most: int) -> list[Trace]:
    """Return the newest traces for an id, a Message-ID, a queue id of a next hop, an address or a client, newest first."""
    found = days.find(word, tenant, most) if word else days.newest(tenant, most)
    known = {trace.id for trace in found}
    coming = [trace for trace in spooled(spool, word) if trace.id not in known and _fits(trace, word, tenant)]
    newest = sorted([*found, *coming], key=lambda trace: trace.at_ms, reverse=True)[:most]
    return [seen for trace in newest if (seen := seen_by(trace, tenant)) is not None]


def spooled(folder: Path, word: str) -> Iterator[Trace]:
    """Yield the traces that wait to be loaded and may hold a word, where the spool is of this node and may be read."""
    needle = json.dumps(folded(word))[1:-1].lower().encode()
    for path in spool_files(folder):
        try:
            for frame in SpoolFile(path).frames(MOST_SPOOLED):
                for line in frame.lines():
                    if _may_hold(line, needle):
                        yield read(line)
        except (OSError, ValueError, TraceError):  # loaded and removed meanwhile, another user's, or damaged
            continue


def _may_hold(line: bytes, needle: bytes) -> bool:
    """A cheap look at what JSON wrote: reading it costs fifty times as much. Only ASCII has its small letters where it stands."""
    return needle in line.lower() or b"\\u" in line or b"\\u" in needle


def _fits(trace: Trace, word: str, tenant: str | None) -> bool:
    tenants = trace.tenants if tenant is None else trace.tenants & {tenant}
    return any(not word or folded(word) in words(trace, each) for each in tenants)


def done_later(catalog: Catalog, traces: Sequence[Trace]) -> list[list[Event]]:
    """Return what people did with each message later, for those tenants' copies that its trace has."""
    keys = {(tenant, trace.id): list[Event]() for trace in traces for tenant in sorted(trace.tenants)}
    with catalog.read() as connection:
        for event in about_each(connection, list(keys)):
            keys[event.tenant, event.message].append(event)
    return [[event for tenant in sorted(trace.tenants) for event in keys[tenant, trace.id]] for trace in traces]
