"""What the background process does to the store, a slice a call; mpp.gateway.background says when.

Own writes to the catalog are cut so that each holds its lock for at most about 20 ms; traces are in files and tables that nobody
else writes. Everything may be killed at any moment and begun again. Raises StoreError, OSError.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, insert, select

from mpp.store import master
from mpp.store.catalog import Catalog, open_catalog, prepare
from mpp.store.checkpoint import Checkpoint, signing_key
from mpp.store.clock import now_ms
from mpp.store.compact import compact
from mpp.store.evidence import Evidence
from mpp.store.forget import overwrite
from mpp.store.journal import Journal, put_back
from mpp.store.opening import url_of
from mpp.store.quarantine import abandon, expire, node_name
from mpp.store.reader import Reader
from mpp.store.rows import HELD
from mpp.store.schema import copies, nodes
from mpp.store.segment import Limits
from mpp.store.settings import Store
from mpp.store.spool import Frame, SpoolFile, remove_unfinished, spool_files
from mpp.store.trace_days import TraceDays, traces_folder
from mpp.store.trace_tables import day_name

DAY_MS = 86_400_000
EXPIRED = 50  # copies let go in a transaction
KEYS_A_TURN = 1000  # overwritten, and in a statement that ends their notes
MOST_TRACES = 4000  # in a transaction: the more, the fewer pages are written for each


@dataclass(slots=True)
class Loading:
    """What one turn of loading did."""

    traces: int = 0
    unreadable: int = 0  # lines that are no trace of this version
    damaged: int = 0  # octets that are no frame
    waiting: int = 0  # octets in the spool
    more: bool = False


class Tasks:
    """The tasks, with what they keep open."""

    def __init__(self, catalog: Catalog, settings: Store, data: Path, node: str) -> None:
        self.catalog = catalog
        self._settings, self._data, self._node = settings, data, node
        self.days = TraceDays(catalog, traces_folder(data))
        self._evidence: Evidence | None = None
        self._journal: Journal | None = None
        self._files: dict[Path, SpoolFile] = {}

    def close(self) -> None:
        self.days.close()
        if self._journal:
            self._journal.close()
        self.catalog.close()

    def load_traces(self, folder: Path) -> Loading:
        """Load some of what the workers have spooled; remove files that are complete and loaded."""
        done = Loading()
        remove_unfinished(folder)
        paths = spool_files(folder)
        self._files = {path: self._files.get(path) or SpoolFile(path) for path in paths}
        for path, file in self._files.items():
            complete = file.complete  # before it is read: what is written later is not missed then
            before = file.damaged
            frames, more = self._next(file)
            offset = file.offset
            try:
                self._load(frames, done)
            except BaseException:
                self._files.pop(path)  # read again from its beginning: what was loaded is known
                raise
            done.damaged += file.damaged - before
            done.more = done.more or more
            size = path.stat().st_size
            if complete and not more:
                done.damaged += size - offset if offset else 0
                path.unlink()
            else:
                done.waiting += size
        return done

    @staticmethod
    def _next(file: SpoolFile) -> tuple[list[Frame], bool]:
        """Return frames up to a fair number of traces, and whether there are more."""
        frames, count = [], 0
        for frame in file.frames():
            frames.append(frame)
            count += frame.count
            if count >= MOST_TRACES:
                return frames, True
        return frames, False

    def _load(self, frames: list[Frame], done: Loading) -> None:
        """Load frames into their days; what is older than what is kept (a clock that went back) into the oldest of these."""
        oldest = self._oldest()
        by_day: dict[int, list[Frame]] = {}
        for frame in frames:
            by_day.setdefault(max(frame.day, oldest), []).append(frame)
        for day, some in by_day.items():
            loaded = self.days.load(day, some)
            done.traces += loaded.traces
            done.unreadable += loaded.unreadable

    def _oldest(self) -> int:
        """The first day of which traces are kept."""
        return (now_ms() - int(self._settings.keep_traces * 1000)) // DAY_MS

    def drop_traces(self) -> list[str]:
        """Drop days whose last trace is too old; return their names."""
        return [day_name(day) for day in self.days.drop_before(self._oldest())]

    def append_leaves(self) -> bool:
        """Make leaves of some events and messages; True where there are more."""
        return self._log().append() > 0

    def sign(self) -> list[Checkpoint]:
        return self._log().checkpoint(now_ms())

    def _log(self) -> Evidence:
        """The Merkle log; without the master key nothing can be signed, and the other tasks go on."""
        if self._evidence is None:
            where = master.reference(self._settings.master_key, self._data)
            self._evidence = Evidence(self.catalog, signing_key(master.read_master_key(where)))
        return self._evidence

    def write_journal(self) -> bool:
        """Append new events to the log beside the catalog, from which a lost catalog is made anew."""
        if self._journal is None:
            self._journal = Journal(self._data)
            if self._journal.ahead(self.catalog):  # new events would get numbers of old ones, and never be taken
                put_back(self._data, self.catalog)
        self._journal.take(self.catalog)
        return False

    def expire(self) -> bool:
        """Let go of some held copies whose time is over; True where there may be more."""
        c = copies.c
        due = select(c.tenant).where(c.state == HELD, c.expires <= now_ms(), c.on_hold.is_(False))
        with self.catalog.read() as connection:
            tenant = connection.execute(due.limit(1)).scalar()
        if tenant is None:
            return False
        with self.catalog.write() as connection:
            expire(connection, tenant, most=EXPIRED)
        return True

    def give_up(self) -> bool:
        """Make `unknown` of releases whose process has ended."""
        c = copies.c
        with self.catalog.read() as connection:
            tenants = list(connection.scalars(select(c.tenant).where(c.state == "releasing").distinct()))
        for tenant in tenants:
            with self.catalog.write() as connection:
                abandon(connection, tenant, node_name())
        return False

    def overwrite_keys(self) -> bool:
        """Overwrite the keys of what was deleted; True where there may be more."""
        return overwrite(self.catalog, self._data, KEYS_A_TURN) == KEYS_A_TURN

    def compact(self) -> bool:
        """Free the room of what was deleted, a segment at a time; True where there may be more."""
        reader = Reader.open(self._data, self._settings.master_key)
        try:
            return compact(self.catalog, self._data, reader, self._node, Limits.of(self._settings)) is not None
        finally:
            reader.close()

    def write_back(self) -> bool:
        """Write SQLite's logs back into their files; writers do not wait for it."""
        self.catalog.write_back()
        self.days.write_back()
        return False

    def tell(self, work: str) -> None:
        """Write what this node's background process did last."""
        with self.catalog.write() as connection:
            connection.execute(delete(nodes).where(nodes.c.name == self._node))
            connection.execute(insert(nodes), {"name": self._node, "seen": now_ms(), "work": work})


def open_tasks(settings: Store, data: Path, node: str) -> Tasks:
    """Open the catalog, making its schema where it was away at the start."""
    url = url_of(data, settings)
    prepare(url)
    return Tasks(open_catalog(url), settings, data, node)
