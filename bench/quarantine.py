"""Lists and bulk work of a quarantine with a million copies, on SQLite and on PostgreSQL.

    python -m bench.quarantine [ROWS]

Rows are made in the catalog alone: what is measured is the catalog. A page is asked for with each pair of filters, in the process,
start-up apart; the median and the worst of the pairs count. Bulk deletion is what `mpp quarantine delete --all` does with the rows,
events included.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from mpp.store.catalog import Catalog, catalog_url, open_catalog, prepare
from mpp.store.quarantine import Settled, claim, claim_of, delete, settle
from mpp.store.quarantine_query import Filter, Key, every, page
from mpp.store.schema import copies, messages
from servers.postgresql import Postgresql, binaries

TARGET_PAGE_MS, TARGET_BULK = 50.0, 2000
BULK = 50_000
_START = 1_790_000_000_000
_CLASSES = ("spam",) * 90 + ("banned",) * 5 + ("unchecked",) * 3 + ("virus",) * 1 + ("undeliverable",)
_WORDS = [
    "invoice",
    "offer",
    "meeting",
    "report",
    "parcel",
    "payment",
    "prize",
    "urgent",
    "reminder",
    "holiday",
    "update",
    "account",
    "statement",
]
FILTERS: dict[str, dict[str, Any]] = {
    "recipient": {"recipient": "user77@d3.example"},
    "domain, large": {"domain": "d0.example"},
    "domain, small": {"domain": "d199.example"},
    "sender": {"sender": "s12345@bulk7.example"},
    "sender's domain": {"sender": "@bulk7.example"},
    "class, usual": {"verdict": "spam"},
    "class, rare": {"verdict": "virus"},
    "rule": {"rule": "policies.default"},
    "score": {"least_score": 19.0},
    "date": {"since": _START + 400_000_000, "until": _START + 500_000_000},
    "subject": {"subject": "parcel"},
    "subject, rare": {"subject": "needle"},
}


def rows(number: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    chance = random.Random(7)
    for n in range(number):
        domain = min(int(chance.expovariate(0.03)), 199)
        identifier, received = f"{n:x}".rjust(12, "q"), _START + n * 1000
        subject = " ".join(chance.choices(_WORDS, k=5)) + (" needle" if n % 100_003 == 0 else "")
        message = {
            "tenant": "default", "id": identifier, "received": received,
            "sender": f"s{chance.randrange(50_000)}@bulk{chance.randrange(100)}.example", "author": "Somebody <a@b.example>",
            "subject": subject, "message_id": f"<{identifier}@b.example>", "size": 4000, "digest": bytes(32),
            "direction": "inbound", "client": "192.0.2.1", "archived_until": None, "segment": "s" * 20,
            "position": n * 2000, "length": 1900, "slot": n % 100_000,
        }  # fmt: skip
        copy = {
            "tenant": "default", "message": identifier, "recipient": f"user{chance.randrange(200)}@d{domain}.example",
            "received": received, "state": "held", "on_hold": False, "verdict": chance.choice(_CLASSES),
            "rule": "policies.default.quarantine_above", "score": round(chance.uniform(5, 20), 1), "reply": "",
            "expires": received + 30 * 86_400_000, "changed": received,
        }  # fmt: skip
        yield message, copy


def fill(catalog: Catalog, number: int) -> None:
    batch: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for pair in rows(number):
        batch.append(pair)
        if len(batch) == 20_000:
            _put(catalog, batch)
    if batch:
        _put(catalog, batch)


def _put(catalog: Catalog, batch: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    with catalog.write() as connection:
        connection.execute(insert(messages), [message for message, _ in batch])
        connection.execute(insert(copies), [copy for _, copy in batch])
    batch.clear()


def pages(catalog: Catalog) -> dict[str, float]:
    """Return milliseconds of a first page, by the pair of filters: the best of three."""
    measured = {}
    for (one, first), (two, second) in combinations(FILTERS.items(), 2):
        if set(first) & set(second):
            continue
        wanted = Filter(**first, **second)
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            with catalog.read() as connection:
                page(connection, "default", wanted)
            times.append((time.perf_counter() - begun) * 1000)
        measured[f"{one} + {two}"] = min(times)
    return measured


def bulk(catalog: Catalog) -> tuple[float, float]:
    """Return rows a second that were deleted, and claimed and settled as released (delivery apart), in CPU-independent time."""
    with catalog.read() as connection:
        keys: list[Key] = []
        for part in every(connection, "default", Filter(), limit=1000):
            keys += [row.key for row in part]
            if len(keys) >= 2 * BULK:
                break
    begun = time.perf_counter()
    for start in range(0, BULK, 1000):
        with catalog.write() as connection:
            delete(connection, "default", keys[start : start + 1000], "command:bench")
    deleted = BULK / (time.perf_counter() - begun)
    begun, who = time.perf_counter(), claim_of("bench")
    for start in range(BULK, 2 * BULK, 100):
        part = keys[start : start + 100]
        with catalog.write() as connection:
            taken = claim(connection, "default", part, who)
        with catalog.write() as connection:
            settled = [Settled(key, "released", "250 2.0.0 Ok", "h", key.recipient) for key in taken]
            settle(connection, "default", settled, who, "command:bench")
    return deleted, BULK / (time.perf_counter() - begun)


def measure(name: str, setting: str, folder: Path, number: int) -> None:
    url = catalog_url(setting, "", folder)
    prepare(url)
    catalog = open_catalog(url)
    begun = time.perf_counter()
    fill(catalog, number)
    print(f"{name}: {number} rows made in {time.perf_counter() - begun:.0f} s", flush=True)
    if setting:
        with catalog.engine.connect() as connection:
            connection.exec_driver_sql("analyze")
            connection.commit()
    else:
        print(f"{name}: {(folder / 'catalog.db').stat().st_size / number:.0f} octets of catalog a message")
    found = pages(catalog)
    worst = sorted(found.items(), key=lambda each: -each[1])[:8]
    print(f"{name}: page with two filters, ms: median {statistics.median(found.values()):.1f}, "
          f"worst {worst[0][1]:.1f} (target {TARGET_PAGE_MS:.0f}), {sum(ms > TARGET_PAGE_MS for ms in found.values())} of {len(found)} above")  # fmt: skip
    for pair, ms in worst:
        print(f"    {ms:8.1f}  {pair}")
    deleted, released = bulk(catalog)
    print(
        f"{name}: deleted {deleted:.0f} rows/s, claimed and settled {released:.0f} rows/s (target {TARGET_BULK})",
        flush=True,
    )
    catalog.close()


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="mpp-bench-") as name:
        folder = Path(name)
        measure("SQLite", "", folder, number)
        programs = binaries()
        if programs is None:
            print("PostgreSQL is not installed: packaging/apt.sh peers", file=sys.stderr)
            return
        folder.chmod(0o755)
        with Postgresql(folder / "postgresql", programs) as server:
            measure("PostgreSQL", server.database(), folder, number)


if __name__ == "__main__":
    sys.path.insert(0, "tests")
    main()
