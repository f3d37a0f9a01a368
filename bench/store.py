"""The store: mail that is held durably before its 250, through one pinned worker; its size on disk; the catalog made anew."""

import asyncio
import os
import time
from pathlib import Path
from statistics import median

from bench.peers import Sink, start_mpp
from bench.results import Row, at_least, at_most
from bench.stand import Stand
from bench.timed import Load
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.line_ends import normalise
from mpp.mail.message import Message
from mpp.store.clock import now_ms
from mpp.store.letter import Copy, Letter
from mpp.store.opening import open_store_catalog, open_writer, prepare_store
from mpp.store.reader import Reader
from mpp.store.rebuild import rebuild
from mpp.store.settings import Store

_HOLD_ALL = """
[node]
hostname = "mpp.example"
data = "{data}"
workers = 1
[[listeners]]
name = "edge"
address = "127.0.0.1:{port}"
[[routes]]
domains = ["example.org"]
hosts = ["127.0.0.1:{sink}"]
[policies.default]
tag_above = "off"
mark_above = "off"
quarantine_above = 0
reject_above = "off"
"""
_BOUNCES = Path(os.environ.get("MPP_CORPORA") or Path(__file__).resolve().parents[2] / "shared/corpora") / "bounces"
_AHEAD_MS = 30 * 86_400_000


def holding(stand: Stand) -> list[Row]:
    """CPU and rate with 50 connections, latency with one, against the disk's own fsync measured between the runs."""
    sink = Sink(stand)
    mpp = start_mpp(stand, sink, settings=_HOLD_ALL)
    many, one = Load("2k", 50), Load("2k", 1)
    many(stand, mpp.port, 500)
    rate = many(stand, mpp.port, 500)
    count = max(500, int(500 / (rate.ended - rate.started) * stand.seconds))
    cpu, rates, latency, syncs = [], [], [], []
    for _ in range(stand.repetitions):
        before = mpp.cpu_s()
        outcome = many(stand, mpp.port, count)
        cpu.append((mpp.cpu_s() - before) / count * 1e6)
        rates.append(count / (outcome.ended - outcome.started))
        syncs.append(_sync_ms(stand.folder))
        latency.append(one(stand, mpp.port, 200).p50_ms)
    limit = 2 * median(syncs) + 2.0
    per_second = median(rates)
    return [
        at_most("CPU a message held, 2k, 50 connections", median(cpu), 330.0, "us", samples=cpu),
        Row("messages held a second, 2k, 50 connections", f"{per_second:.0f}/s", ">= 3000/s", per_second >= 3000),
        at_most("p50 latency of a held message, one connection", median(latency), limit, "ms", fsync_ms=median(syncs)),
    ]


def _sync_ms(folder: Path) -> float:
    """One append of 2 KiB and its fdatasync, as the store does it."""
    path, times = folder / "sync", []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(100):
        os.write(descriptor, os.urandom(2048))
        began = time.monotonic()
        os.fdatasync(descriptor)
        times.append((time.monotonic() - began) * 1000)
    os.close(descriptor)
    path.unlink()
    return median(times)


def sizes(stand: Stand) -> list[Row]:
    """The bounce corpus held: octets in segments and key files, and in the catalog; then the catalog made anew."""
    files = sorted(path for path in _BOUNCES.rglob("*.eml")) or sorted(
        path for path in _BOUNCES.rglob("*") if path.is_file()
    )
    if not files:
        return [Row("storage of the bounce corpus", f"left out: no corpus at {_BOUNCES}")]
    raws = [normalise(path.read_bytes(), limit=50 << 20) for path in files]
    data, settings = stand.folder / "sizes", Store(min_free=0)
    prepare_store(data, settings)
    asyncio.run(_fill(data, settings, raws))
    raw = sum(map(len, raws))
    kept = sum(path.stat().st_size for path in [*data.glob("segments/*"), *data.glob("keys/0*")])
    with open_store_catalog(data, settings).engine.connect() as connection:
        connection.exec_driver_sql("pragma wal_checkpoint(truncate)")
    catalog = (data / "catalog.db").stat().st_size / len(raws)
    again = [_rebuilt_mb_s(data, settings, raw) for _ in range(5)]  # the first one loads what is needed for it, too
    return [
        at_most("storage of the bounce corpus", kept / raw, 0.45, "of raw", messages=len(raws), raw=raw),
        at_most("catalog a message", catalog, 900.0, "octets"),
        at_least("catalog made anew, by processor time", again, 50, "MB/s of raw mail"),
    ]


async def _fill(data: Path, settings: Store, raws: list[bytes]) -> None:
    writer = open_writer(data, settings, "bench")
    numbers = iter(enumerate(raws))

    async def client() -> None:
        for number, raw in numbers:
            await writer.store(_letter(number, raw))

    await asyncio.gather(*(client() for _ in range(50)))
    await writer.close()


def _letter(number: int, raw: bytes) -> Letter:
    recipient = f"user{number % 1000}@example.org"
    copy = Copy(recipient, "spam", "policies.default.quarantine_above", 7.5)
    now = now_ms()
    envelope, client = Envelope("", (Recipient(recipient),)), Client("192.0.2.1", 25000, "", "mx.example", "ESMTP")
    return Letter(f"{now:012x}{os.urandom(6).hex()}", now, envelope, client, Message(raw), (copy,), now + _AHEAD_MS)


def _rebuilt_mb_s(data: Path, settings: Store, raw: int) -> float:
    """How fast, in raw octets of mail, a lost catalog is made anew; the processor's time, since the machine may be busy."""
    for path in data.glob("catalog.db*"):
        path.unlink()
    prepare_store(data, settings)
    catalog, reader = open_store_catalog(data, settings), Reader.open(data, "")
    began = time.process_time()
    for _ in rebuild(catalog, data, reader, (), "bench"):
        pass
    took = time.process_time() - began
    reader.close()
    catalog.close()
    return raw / 1e6 / took
