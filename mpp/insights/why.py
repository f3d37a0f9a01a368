"""Finds what is known of a message: its traces in the catalog, those still on their way, what people did with it.

Bound to a tenant; None is the operator's. Raises CatalogError.
"""

from collections.abc import Iterator
from pathlib import Path

from mpp.store.catalog import Catalog
from mpp.store.events import Event, about
from mpp.store.spool import SpoolFile, spool_files
from mpp.store.trace import Trace, TraceError, folded, read, seen_by, words
from mpp.store.trace_days import TraceDays

MOST_SPOOLED = 64 << 20  # octets of a spool file that are looked through


def why(days: TraceDays, spool: Path, word: str, tenant: str | None, most: int) -> list[Trace]:
    """Return the newest traces for an id, a Message-ID, a queue id of a next hop, an address or a client, newest first."""
    found = days.find(word, tenant, most) if word else days.newest(tenant, most)
    known = {trace.id for trace in found}
    coming = [trace for trace in spooled(spool) if trace.id not in known and _fits(trace, word, tenant)]
    newest = sorted([*found, *coming], key=lambda trace: trace.at_ms, reverse=True)[:most]
    return [seen for trace in newest if (seen := seen_by(trace, tenant)) is not None]


def spooled(folder: Path) -> Iterator[Trace]:
    """Yield the traces that wait to be loaded, where the spool is of this node and may be read."""
    for path in spool_files(folder):
        try:
            for frame in SpoolFile(path).frames(MOST_SPOOLED):
                for line in frame.lines():
                    yield read(line)
        except (OSError, ValueError, TraceError):  # loaded and removed meanwhile, another user's, or damaged
            continue


def _fits(trace: Trace, word: str, tenant: str | None) -> bool:
    tenants = trace.tenants if tenant is None else trace.tenants & {tenant}
    return any(not word or folded(word) in words(trace, each) for each in tenants)


def done_later(catalog: Catalog, trace: Trace, tenant: str | None) -> list[Event]:
    """Return what people did with a message."""
    with catalog.read() as connection:
        found = [event for each in sorted(trace.tenants) for event in about(connection, each, trace.id)]
    return [event for event in found if tenant in (None, event.tenant)]
