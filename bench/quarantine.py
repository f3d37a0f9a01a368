"""Lists and bulk work of a quarantine with a million copies, on SQLite and on PostgreSQL.

Rows are made in the catalog alone: what is measured is the catalog. A page is asked for with each pair of filters, in the process,
start-up apart; the worst of the pairs counts (`--json` has them all). Bulk deletion is what `mpp quarantine delete --all` does with
the rows, events included.
"""

import random
import time
from collections.abc import Iterator
from itertools import combinations
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import insert

from bench.postgresql import postgresql
from bench.relay import left_out
from bench.results import Row, at_least, at_most, short
from bench.stand import MissingError, Stand
from mpp.store.catalog import Catalog, catalog_url, open_catalog, prepare
from mpp.store.quarantine import Settled, claim, claim_of, delete, settle
from mpp.store.quarantine_query import Filter, Key, every, page
from mpp.store.schema import copies, messages

ROWS, QUICK = 1_000_000, 20_000
BULK = 50_000  # deleted, and as many released; of fewer rows a quarter
TARGET_PAGE_MS, TARGET_BULK = 50.0, 2000
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


def bulk(catalog: Catalog, count: int) -> tuple[float, float]:
    """Return rows a second that were deleted, and claimed and settled as released (delivery apart), in CPU-independent time."""
    with catalog.read() as connection:
        keys: list[Key] = []
        for part in every(connection, "default", Filter(), limit=1000):
            keys += [row.key for row in part]
            if len(keys) >= 2 * count:
                break
    begun = time.perf_counter()
    for start in range(0, count, 1000):
        with catalog.write() as connection:
            delete(connection, "default", keys[start : start + 1000], "command:bench")
    deleted = count / (time.perf_counter() - begun)
    begun, who = time.perf_counter(), claim_of("bench")
    for start in range(count, 2 * count, 100):
        part = keys[start : start + 100]
        with catalog.write() as connection:
            taken = claim(connection, "default", part, who)
        with catalog.write() as connection:
            settled = [Settled(key, "released", "250 2.0.0 Ok", "h", key.recipient) for key in taken]
            settle(connection, "default", settled, who, "command:bench")
    return deleted, count / (time.perf_counter() - begun)


def quarantine(stand: Stand) -> list[Row]:
    """The rows of the quarantine: pages with two filters, bulk deletion and bulk release."""
    number = QUICK if stand.quick else ROWS
    rows = _measured("SQLite", "", stand.folder, number)
    try:
        with postgresql(stand.folder / "postgresql") as url:
            rows += _measured("PostgreSQL", url, stand.folder, number)
    except MissingError as missing:
        rows.append(left_out(f"quarantine of {number}, PostgreSQL", missing))
    return rows


def _measured(name: str, setting: str, folder: Path, number: int) -> list[Row]:
    url = catalog_url(setting, "", folder)
    prepare(url)
    catalog = open_catalog(url)
    fill(catalog, number)
    found = []
    if setting:
        with catalog.engine.connect() as connection:
            connection.exec_driver_sql("analyze")
            connection.commit()
    else:
        with catalog.read() as connection:  # the file itself lacks what is still in the log
            octets = prod(
                int(connection.exec_driver_sql(f"pragma {word}").scalar_one()) for word in ("page_count", "page_size")
            )
        found.append(Row(f"catalog a held message, {name}", f"{octets / number:.0f} octets"))
    times = pages(catalog)
    above = sum(ms > TARGET_PAGE_MS for ms in times.values())
    deleted, released = bulk(catalog, min(BULK, number // 4))
    catalog.close()
    return [
        *found,
        at_most(f"page of {number} with two filters, {name}, worst", max(times.values()), TARGET_PAGE_MS, "ms", pairs=times),
        Row(f"the same, {name}, median", f"{short(median(times.values()))} ms, {above} of {len(times)} pairs above"),
        at_least(f"deleted in bulk, {name}", [deleted], TARGET_BULK, "rows/s"),
        at_least(f"claimed and settled in bulk, {name}", [released], TARGET_BULK, "rows/s"),
    ]  # fmt: skip
