"""Traces in the catalog, a set of tables for each day (UTC): on SQLite a file, on PostgreSQL tables named by the day.

So a day goes as a whole, without holding a writer (DROP TABLE in the catalog's own SQLite file took 0.6 s for a million
traces), and loading traces never waits for the catalog's write lock nor holds it. A day has

    frames   as they came from the spool, compressed lines together; (spool, number) makes loading one twice impossible
    words    8 octets of the digest of each word that finds a trace, the tenant, and its place: frame * 65536 + line
    counts   what is kept when the day goes

Every query is bound to a tenant; None is the operator's, and so are the counts of the tenant "": how many messages came, and how many were
held, in each ten minutes (mpp.gateway.silence). Raises CatalogError.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, Table, delete, func, insert, select, text

from mpp.store.catalog import Catalog, inserting, look_into, open_file, told
from mpp.store.errors import CatalogError
from mpp.store.schema import counts as kept_counts
from mpp.store.spool import Frame, unpack
from mpp.store.trace import Trace, folded
from mpp.store.trace_batch import CAME, EVERYBODY, Batch
from mpp.store.trace_find import Ask, Days, found
from mpp.store.trace_line import TraceError, read
from mpp.store.trace_tables import FRAMES, LINES, WORDS, day_name, day_of, tables

_word = itemgetter(0)


def traces_folder(data: Path) -> Path:
    """Return where SQLite's files of the days are."""
    return data / "traces"


class Loaded(NamedTuple):
    traces: int  # that were new
    unreadable: int  # lines that hold no trace of ours: kept, and found by nothing


class Streams(NamedTuple):
    """Messages by slot: SLOT_MS since 1970."""

    came: Counter[int]
    held: Counter[int]


class TraceDays:
    """All days of a catalog. `folder` is where SQLite's files are. Used by one thread at a time."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog, self._folder = catalog, folder
        self._open: dict[int, Catalog] = {}
        self._looks: dict[int, Any] = {}  # connections of SQLite's driver
        self._newest: list[int] = []  # the day that was newest when `_over` was begun
        self._over: dict[int, list[tuple[str, int]]] = {}  # counts by slot of days that are over

    def close(self) -> None:
        for day in {*self._open, *self._looks}:
            self._shut(day)

    def days(self) -> list[int]:
        """Return the days that are there, newest first."""
        if self._catalog.sqlite:
            return self._days(None)
        with self._catalog.read() as connection:
            return self._days(connection)

    def _days(self, connection: Connection | None) -> list[int]:
        if connection is None:
            files = os.listdir(self._folder) if self._folder.is_dir() else []  # a glob takes as long as the looks
            names = [name.removesuffix(".db") for name in files if name.endswith(".db")]
        else:
            there = text("select substr(tablename, :cut) from pg_tables where tablename like :like")
            asked = {"cut": len(FRAMES) + 1, "like": f"{FRAMES}%"}
            names = list(connection.execute(there, asked).scalars())
        return sorted(map(day_of, names), reverse=True)

    # loading

    def load(self, day: int, frames: Sequence[Frame]) -> Loaded:
        """Take frames into a day, each once however often it is given."""
        made, base = tables(day), self._day(day, make=True)
        assert base is not None
        batch = Batch()
        self._over.pop(day, None)
        with base.write() as connection:
            known = set()
            for spool in {frame.spool for frame in frames}:
                query = select(made.frames.c.number).where(made.frames.c.spool == spool)
                known |= {(spool, number) for (number,) in connection.execute(query)}
            for frame in frames:
                if (frame.spool, frame.number) in known:
                    continue
                values = {"spool": frame.spool, "number": frame.number, "lines": frame.packed}
                place = connection.execute(insert(made.frames), values).inserted_primary_key[0] * LINES  # type: ignore[index]
                batch.add(_lines(frame), place)
            if batch.rows:
                _insert_words(connection, day_name(day), sorted(batch.rows, key=_word))
            if counts := batch.counts():
                upsert = _adding(connection, made.counts)
                numbers = [
                    {"tenant": tenant, "name": name, "number": n} for (tenant, name), n in sorted(counts.items())
                ]
                connection.execute(upsert, numbers)
        return Loaded(batch.traces, batch.unreadable)

    def write_back(self) -> None:
        """Write SQLite's logs back into the files of the days; nobody waits for it."""
        for base in self._open.values():
            base.write_back()

    # looking

    def find(self, word: str, tenant: str | None, most: int) -> list[Trace]:
        """Return the newest traces that a word finds, newest first, of the whole time that is kept."""
        wanted, newest = folded(word), list[Trace]()
        with self._asking() as asked:
            for days in asked:
                newest += found(days, wanted, tenant, most - len(newest))
                if len(newest) >= most:
                    break
        return sorted(_each_once(newest), key=lambda trace: trace.at_ms, reverse=True)

    @contextmanager
    def _asking(self) -> Iterator[Iterator[Days]]:
        """All days, the newest by itself: where it has enough, no other is asked."""
        if self._catalog.sqlite:
            there = self._days(None)
            for gone in self._looks.keys() - set(there):
                self._shut(gone)
            with told():
                yield (Days([day], "?", ask) for day in there if (ask := self._look(day)))
        else:
            with self._catalog.read() as connection:
                there = self._days(connection)
                yield (Days(some, "%s", connection.exec_driver_sql) for some in (there[:1], there[1:]) if some)

    def newest(self, tenant: str | None, most: int) -> list[Trace]:
        """Return the newest traces, newest first."""
        found: list[Trace] = []
        for trace in self.backwards():
            if tenant is None or tenant in trace.tenants:
                found.append(trace)
            if len(found) >= most:
                break
        return found

    def backwards(self) -> Iterator[Trace]:
        """Yield all traces, frame by frame from the newest back."""
        for day in self.days():
            base, made = self._day(day), tables(day)
            last = None
            while base is not None:
                query = select(made.frames.c.id, made.frames.c.lines).order_by(made.frames.c.id.desc()).limit(16)
                if last is not None:
                    query = query.where(made.frames.c.id < last)
                with base.read() as connection:
                    rows = connection.execute(query).all()
                for number, packed in rows:
                    last = number
                    for line in reversed(unpack(packed)):
                        with suppress(TraceError):  # of a later version
                            yield read(line)
                if not rows:
                    break

    def counts(self, day: int) -> dict[tuple[str, str], int]:
        """Return what happened at a day by tenant and name, whether its traces are still there or not."""
        base, made = self._day(day) if day in self.days() else None, tables(day)
        with (base or self._catalog).read() as connection:
            if base is not None:
                rows = connection.execute(select(made.counts)).all()
            else:
                columns = (kept_counts.c.tenant, kept_counts.c.name, kept_counts.c.number)
                rows = connection.execute(select(*columns).where(kept_counts.c.day == day)).all()
        return {(tenant, name): number for tenant, name, number in rows}

    def streams(self, since: int) -> Streams:
        """Return how many messages came and were held in each slot, from a day on.

        This is asked each minute: days that are over are read once a day, and after this process has loaded something into them. What another
        node loads late into one on PostgreSQL is seen when the next day begins.
        """
        there = self.days()
        if there[:1] != self._newest:
            self._over, self._newest = {}, there[:1]
        known = self._over | self._slots(since, there)
        self._over = {day: rows for day, rows in known.items() if day < max(known) - 1}
        found = Streams(Counter(), Counter())
        for rows in (rows for day, rows in known.items() if day >= since):
            for name, number in rows:
                (found.came if name.startswith(CAME) else found.held)[int(name.rpartition(" ")[2])] += number
        return found

    def _slots(self, since: int, there: Sequence[int]) -> dict[int, list[tuple[str, int]]]:
        """Return the counts by slot of the days that are not in `_over`."""
        found: dict[int, list[tuple[str, int]]] = {}
        c = kept_counts.c
        kept = select(c.day, c.name, c.number).where(c.tenant == EVERYBODY, c.day >= since)
        with self._catalog.read() as connection:
            for day, name, number in connection.execute(kept.where(c.day.not_in({*there, *self._over}))):
                found.setdefault(day, []).append((name, number))
        for day in there:
            base = self._day(day) if day >= since and day not in self._over else None
            if base is not None:
                with base.read() as connection:
                    c = tables(day).counts.c
                    rows = connection.execute(select(c.name, c.number).where(c.tenant == EVERYBODY))
                    found[day] = [(name, number) for name, number in rows]
        return found

    # going

    def drop_before(self, day: int) -> list[int]:
        """Drop all days before `day`, each as a whole; what they counted stays. Returns those dropped."""
        dropped = [each for each in self.days() if each < day]
        for each in dropped:
            self._keep_counts(each)
            self._shut(each)
            if self._catalog.sqlite:
                for suffix in (".db-wal", ".db-shm", ".db"):  # the file last: without it the others mean nothing
                    (self._folder / (day_name(each) + suffix)).unlink(missing_ok=True)
            else:
                with self._catalog.write() as connection:
                    made = tables(each)
                    made.frames.metadata.drop_all(connection)
        return dropped

    def _keep_counts(self, day: int) -> None:
        rows = [
            {"tenant": tenant, "day": day, "name": name, "number": number}
            for (tenant, name), number in self.counts(day).items()
        ]
        with self._catalog.write() as connection:  # the same however often it is done
            connection.execute(delete(kept_counts).where(kept_counts.c.day == day))
            if rows:
                connection.execute(insert(kept_counts), rows)

    # the tables of a day

    def _day(self, day: int, *, make: bool = False) -> Catalog | None:
        if not self._catalog.sqlite:
            if make and day not in self._open:
                with self._catalog.write() as connection:
                    connection.execute(select(func.pg_advisory_xact_lock(day)))  # two nodes may begin a day at once
                    tables(day).frames.metadata.create_all(connection)
                self._open[day] = self._catalog
            return self._catalog
        if day not in self._open:
            path = self._file(day)
            if not make and not path.exists():
                return None
            if make and not path.exists():
                self._begin_file(day, path)
            self._open[day] = open_file(path)
        return self._open[day]

    def _look(self, day: int) -> Ask | None:
        """Return how a day's file is asked; None where the background process has dropped it meanwhile."""
        if day not in self._looks:
            try:
                with told():
                    self._looks[day] = look_into(self._file(day))
            except CatalogError:
                if self._file(day).exists():
                    raise
                return None
        return self._looks[day].execute  # type: ignore[no-any-return]

    def _file(self, day: int) -> Path:
        return self._folder / f"{day_name(day)}.db"

    def _begin_file(self, day: int, path: Path) -> None:
        """Make a day's file; whoever looks sees it with its tables, or not at all."""
        self._folder.mkdir(mode=0o750, exist_ok=True)
        half = path.with_suffix(".new")
        for left in self._folder.glob(f"{half.name}*"):  # of a process that died here
            left.unlink()
        base = open_file(half)
        with base.write() as connection:
            tables(day).frames.metadata.create_all(connection)
        base.close()  # the last one to close a file writes its log back
        half.rename(path)

    def _shut(self, day: int) -> None:
        base = self._open.pop(day, None)
        if base is not None and base is not self._catalog:
            base.close()
        if day in self._looks:
            self._looks.pop(day).close()


def _lines(frame: Frame) -> list[bytes]:
    """Return the lines of a frame; what cannot be unpacked is kept, and found by nothing."""
    try:
        return frame.lines()
    except ValueError:
        return []


def _insert_words(connection: Connection, day: str, rows: list[tuple[int, str, int]]) -> None:
    """Insert words, in the order of their tree: each page of it is then written once."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"insert into {WORDS}{day} values (?, ?, ?)", rows)  # noqa: S608 digits
        return
    columns = dict(zip(("word", "tenant", "place"), map(list, zip(*rows, strict=True)), strict=True))
    unnested = "unnest(cast(:word as bigint[])), unnest(cast(:tenant as text[])), unnest(cast(:place as bigint[]))"
    connection.execute(text(f"insert into {WORDS}{day} select {unnested}"), columns)


def _each_once(traces: Sequence[Trace]) -> list[Trace]:
    """A message that is thrown away has two traces, of which the whole one says more."""
    whole = {trace.id for trace in traces if trace.kind != "discard"}
    return [trace for trace in traces if trace.kind != "discard" or trace.id not in whole]


def _adding(connection: Connection, table: Table) -> Executable:
    """Return the statement that adds numbers to those that are there."""
    statement = inserting(connection.dialect, table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={"number": table.c.number + statement.excluded.number}
    )
