"""Looking for one of a million traces, on SQLite and PostgreSQL: how long `mpp why` takes in the process, what a trace takes
on the disk, and what loading one costs. Traces are of a usual message, spread over the 30 days that are kept.
"""

import gc
import random
import time
from pathlib import Path
from statistics import median, quantiles

from sqlalchemy import text

from bench.peers import Sink, start_mpp
from bench.postgresql import postgresql
from bench.relay import left_out
from bench.results import Row, at_most
from bench.stand import MissingError, Stand
from bench.timed import Load, in_turn, middle
from mpp.insights.why import done_later, why
from mpp.mail.envelope import Client
from mpp.store.catalog import Catalog, catalog_url, open_catalog, prepare
from mpp.store.spool import SpoolFile, SpoolWriter, spool_files
from mpp.store.trace import CopyTrace, Trace
from mpp.store.trace_days import TraceDays
from mpp.store.trace_line import write
from mpp.verdict.finding import Finding

TRACES, QUICK = 1_000_000, 30_000
DAYS = 30
BATCH = 4000  # what the background process loads at a time
LOOKS = 40  # of each kind
FIRST_DAY = 20_700
_LOADED_S = 2.0  # after which the background process, which looks each second, has loaded what the worker spooled


def trace(number: int, chance: random.Random) -> Trace:
    """A message that SpamAssassin looked at and that was delivered."""
    client = Client(f"192.0.2.{number % 250}", 40_000, f"mx{number % 5000}.example.com", "mx.example.com", "ESMTPS", "TLSv1.3 TLS_AES_256_GCM_SHA384")  # fmt: skip
    queued = f"250 2.0.0 Ok: queued as 4X{number:08x}"
    names = chance.sample(("BAYES_00", "HTML_MESSAGE", "SPF_PASS", "DKIM_SIGNED", "DKIM_VALID", "RCVD_IN_DNSWL_NONE", "T_SCC_BODY_TEXT_LINE", "URIBL_BLOCKED"), 5)  # fmt: skip
    findings = tuple(
        Finding("spamd", name, round(chance.uniform(-2, 1), 2), f"What {name} says of a message") for name in names
    )
    copy = CopyTrace(f"user{number % 2000}@example.org", "accepted", "tag", "policies.default", "clean", -1.9, queued,
                     "10.0.0.1:25", "", ("+X-Spam-Score", "+X-Spam-Status", "+X-Virus-Scanned"))  # fmt: skip
    day = FIRST_DAY + number * DAYS // TRACES
    why_ = ("The score is -1.9: " + ", ".join(f"{name} (spamd) 0.1" for name in names), "-1.9 reaches no threshold of policies.default: delivered")  # fmt: skip
    return Trace(f"{number:08x}{chance.getrandbits(64):016x}", day * 86_400_000 + number, "message", "mx", "inbound", client,
                 f"sender{number % 50_000}@example{number % 900}.com", 20_480, f"<{number}.{chance.getrandbits(60):x}@example.com>",
                 chance.randrange(200, 900), chance.randrange(100, 800), "clean", -1.9, findings, {"spamd": 123.4, "clamd": 9.1},
                 why_, (), (copy,), queued, "40b1200b379b")  # fmt: skip


def relay(stand: Stand) -> list[Row]:
    """Plain relay with and without traces, pair by pair; the background process, on the same core, counts in, until all is loaded."""
    sink = Sink(stand)
    programs = {name: start_mpp(stand, sink, name=name, module=name) for name in ("mpp", "bench.untraced")}
    runs = in_turn(stand, sink, {name: (program, Load("2k")) for name, program in programs.items()}, later_s=_LOADED_S)
    ratios = [mine.cpu_us / spine.cpu_us for mine, spine in zip(runs["mpp"], runs["bench.untraced"], strict=True)]
    traced, untraced = middle(runs["mpp"], "cpu_us"), middle(runs["bench.untraced"], "cpu_us")
    return [
        at_most("CPU of relay with traces, 2k, beside none", median(ratios), 1.3, "x", pairs=ratios),
        Row("CPU a message, 2k, with and without traces", f"{traced:.0f} and {untraced:.0f} us"),
    ]


def look_up(stand: Stand) -> list[Row]:
    """One word of each kind, and an address that has many messages; the slowest of a hundred counts."""
    wanted = QUICK if stand.quick else TRACES
    rows = _looked_up("SQLite", "", stand.folder / "SQLite", wanted)
    try:
        with postgresql(stand.folder / "postgresql", "-c", "full_page_writes=on") as url:
            rows += _looked_up("PostgreSQL", url, stand.folder / "PostgreSQL", wanted)
    except MissingError as missing:
        rows.append(left_out(f"why, {wanted} traces, PostgreSQL", missing))
    return rows


def _looked_up(name: str, setting: str, folder: Path, wanted: int) -> list[Row]:
    folder.mkdir()
    address = catalog_url(setting, "", folder)
    prepare(address)
    catalog = open_catalog(address)
    days = TraceDays(catalog, folder / "traces")
    words, load_us = _fill(days, folder / "spool", wanted)
    stored = _octets(catalog, folder) / wanted
    clock_ms, cpu_ms = _slowest(catalog, days, folder, words)
    days.close()
    catalog.close()
    return [
        at_most(f"why, {wanted} traces, {name}, slowest kind, p99", clock_ms, 50, "ms"),
        Row(f"the same, {name}, CPU of ours", f"{cpu_ms:.1f} ms"),
        at_most(f"trace stored, {name}", stored / 1024, 1.5, "KiB"),
        Row(f"trace loaded, {name}, CPU of ours", f"{load_us:.0f} us"),
    ]


def _fill(days: TraceDays, spool: Path, wanted: int) -> tuple[list[list[str]], float]:
    """Load traces as the background process does; return words to look for, by kind, and CPU microseconds a trace."""
    chance = random.Random(1)
    words: list[list[str]] = [[], [], [], [], [], [], ["nobody@example.org"]]
    spent = 0.0
    for start in range(0, wanted, BATCH):
        made = [trace(number * TRACES // wanted, chance) for number in range(start, min(start + BATCH, wanted))]
        picked = chance.choice(made)
        sent = picked.copies[0]
        known = (
            picked.id,
            picked.message_id,
            sent.reply.split()[-1],
            picked.reverse_path,
            sent.recipient,
            picked.client.address,
        )
        for kind, word in enumerate(known):
            words[kind].append(word)
        writer = SpoolWriter(spool, "0", 1 << 30)
        for at in range(0, len(made), 100):  # a frame each quarter of a second, of 400 messages a second
            writer.write([write(each) for each in made[at : at + 100]])
        writer.close()
        (path,) = spool_files(spool)
        frames = list(SpoolFile(path).frames(1 << 30))
        before = time.process_time()
        days.load(made[0].at_ms // 86_400_000, frames)
        spent += time.process_time() - before
        path.unlink()
    days.write_back()
    return words, spent / wanted * 1e6


def _slowest(catalog: Catalog, days: TraceDays, folder: Path, words: list[list[str]]) -> tuple[float, float]:
    """Return the p99 of the slowest kind of word, as a tenant and as the operator ask, in milliseconds by the clock and of CPU."""
    chance = random.Random(2)
    clock_ms: list[float] = []
    cpu_ms: list[float] = []
    _looked(catalog, days, folder, "nobody@example.org", None)  # opens what start-up opens
    _looked(catalog, days, folder, words[0][0], None)  # loads what a first find loads
    gc.collect()  # what loading left: as long as ten looks
    for tenant in ("default", None):
        for kind in words:
            took = [_looked(catalog, days, folder, word, tenant) for word in chance.choices(kind, k=LOOKS)]
            for found, each in zip((clock_ms, cpu_ms), zip(*took, strict=True), strict=True):
                found.append(quantiles(each, n=100)[98] * 1000)
    return max(clock_ms), max(cpu_ms)


def _looked(catalog: Catalog, days: TraceDays, folder: Path, word: str, tenant: str | None) -> tuple[float, float]:
    """Look for a word as `mpp why` does; return seconds by the clock and of CPU."""
    began, cpu = time.perf_counter(), time.process_time()
    found = why(days, folder / "spool", word, tenant, 5)
    done_later(catalog, found)
    took = time.perf_counter() - began, time.process_time() - cpu
    assert bool(found) != (word == "nobody@example.org"), word
    return took


def _octets(catalog: Catalog, folder: Path) -> int:
    """What the traces take on the disk."""
    if catalog.sqlite:
        return sum(path.stat().st_size for path in (folder / "traces").iterdir())
    with catalog.read() as connection:
        query = "select sum(pg_total_relation_size(oid)) from pg_class where relkind = 'r' and relname like 'trace%'"
        return int(connection.execute(text(query)).scalar_one())
