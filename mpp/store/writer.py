"""The one writer thread of a process: batches all that waits into one transaction (group commit).

For a batch: the records are appended to the segment and synced, then the catalog's transaction is committed, and only then
are the callers told. While it works the next batch gathers, so under load many messages share two waits for the disk.

A caller that was told StoreError was promised nothing. What surely is not in the catalog is then made unreadable in the segment. Where
the answer to a commit was lost the catalog is asked: what it has is told as stored; what it has not may still come back in a rebuild,
as a second copy of what its sender sends again.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from sqlalchemy import Connection, select, tuple_

from mpp.store import blobs
from mpp.store.catalog import Catalog, add_rows
from mpp.store.content import Cut, cuts_of, write_content
from mpp.store.dictionary import Compressor
from mpp.store.errors import CatalogError, CommitLostError, StoreError, ValueRefusedError
from mpp.store.letter import Letter
from mpp.store.record import Kind
from mpp.store.rows import Place, copy_rows, message_row, segment_row, use_rows
from mpp.store.schema import copies, messages, segments
from mpp.store.segment import Content, Limits, SegmentWriter
from mpp.store.tenants import Public

MOST = 256  # of one batch: beyond it the first ones wait for the last ones' sealing
MOST_OCTETS = 64 << 20

Change = Callable[[Connection], None]


@dataclass(slots=True, eq=False)
class _Job:
    """One thing to be done, and what became of it."""

    future: asyncio.Future[None]
    letter: Letter | None = None
    change: Change | None = None
    error: Exception | None = None
    described: dict[str, Any] = field(default_factory=dict)  # of the letter, once it is ready to be written
    cuts: list[Cut] = field(default_factory=list)
    place: Place | None = None  # once it is written


class Writer:
    """To be made in the running loop. `open_catalog` is called in the thread, again after each fault of the catalog."""

    def __init__(
        self, open_catalog: Callable[[], Catalog], file: SegmentWriter, tenant: Callable[[str], Public], node: str
    ) -> None:
        self._open_catalog, self._segments, self._tenant, self._node = open_catalog, file, tenant, node
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[_Job | None] = SimpleQueue()  # None: there will be no more
        self._closed, self._ended = False, False  # as the loop has it, and the thread
        self._catalog: Catalog | None = None
        self._named = ""  # the segment that the catalog knows already
        self._stored: dict[blobs.Name, tuple[int, Place]] = {}  # blobs of this batch
        self._compressor = Compressor()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def take(self, limits: Limits) -> None:
        """Hold to other limits from now on."""
        self._segments.limits = limits

    async def store(self, letter: Letter) -> None:
        """Keep a message with its copies; returns when that is durable. Raises StoreError: nothing was promised then."""
        await self._put(_Job(self._loop.create_future(), letter=letter))

    async def change(self, change: Change) -> None:
        """Do one change of the catalog, in a transaction with others; it may be called again after a fault of another.

        Raises StoreError, and what `change` itself raises; in both cases nothing of it is in the catalog.
        """
        await self._put(_Job(self._loop.create_future(), change=change))

    async def close(self) -> None:
        """Finish what waits, and end."""
        self._closed = True
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _put(self, job: _Job) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        self._waiting.put(job)
        await job.future

    # What follows runs in the thread.

    def _run(self) -> None:
        while not self._ended:
            if batch := self._take():
                self._do(batch)
                self._loop.call_soon_threadsafe(_tell, batch)
        self._segments.close()
        self._drop_catalog()

    def _take(self) -> list[_Job]:
        """Wait for a job and take all that wait by then; whoever has given up meanwhile (its future is cancelled) is left out."""
        batch: list[_Job] = []
        octets = 0
        while job := self._waiting.get():
            if not job.future.cancelled():
                batch.append(job)
                octets += len(job.letter.message.raw) if job.letter else 0
            if self._waiting.empty() or len(batch) >= MOST or octets >= MOST_OCTETS:
                return batch
        self._ended = True
        return batch

    def _do(self, batch: list[_Job]) -> None:
        """Do a batch: each job has its error afterwards, or is durable."""
        try:
            catalog = self._opened()
            self._write([job for job in batch if job.letter], catalog)
            self._commit_all([job for job in batch if not job.error], catalog)
        except CatalogError as error:
            self._drop_catalog()
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 the edge of the thread: whoever waits is told, and was promised nothing
            _fail(batch, _as_store_error(error))

    def _opened(self) -> Catalog:
        """Return the catalog, opened anew after a fault of it. Raises CatalogError."""
        self._catalog = self._catalog or self._open_catalog()
        return self._catalog

    def _drop_catalog(self) -> None:
        catalog, self._catalog = self._catalog, None
        if catalog:
            catalog.close()

    # Into the segment

    def _write(self, jobs: list[_Job], catalog: Catalog) -> None:
        """Write the letters' records; a job whose record is not there has its error."""
        contents = self._contents(jobs)
        ready = [job for job in jobs if not job.error]
        if not ready:
            return
        parts = self._new_blobs(ready, catalog)
        try:
            places = self._segments.append([*contents, *(self._blob(name[0], data) for name, data in parts.items())])
        except (OSError, StoreError) as error:
            _fail(ready, _as_store_error(error))
            return
        for job, place in zip(ready, places, strict=False):
            job.place = place
        self._stored = {
            name: (len(data), place) for (name, data), place in zip(parts.items(), places[len(ready) :], strict=True)
        }

    def _contents(self, jobs: list[_Job]) -> list[Content]:
        """Make ready what is to be sealed; a letter that cannot be made ready fails alone."""
        contents = []
        for job in jobs:
            assert job.letter
            try:
                tenant = self._tenant(job.letter.tenant)
                job.cuts = [] if job.letter.unread else cuts_of(job.letter.message, tenant.digests)
                content, job.described = write_content(job.letter, job.cuts)
                contents.append(Content(Kind.MESSAGE, tenant, *self._compressor.compress(content)))
            except Exception as error:  # noqa: BLE001 whatever one message holds, the others of the batch go on
                job.error = _as_store_error(error)
        return contents

    def _new_blobs(self, jobs: list[_Job], catalog: Catalog) -> dict[blobs.Name, bytes]:
        cuts = {(job.described["tenant"], cut.digest): cut.data for job in jobs for cut in job.cuts}
        if cuts:
            with catalog.read() as connection:
                for name in blobs.known(connection, cuts):
                    del cuts[name]
        return cuts

    def _blob(self, tenant: str, data: bytes) -> Content:
        return Content(Kind.BLOB, self._tenant(tenant), *self._compressor.compress(data))

    # Into the catalog

    def _commit_all(self, jobs: list[_Job], catalog: Catalog) -> None:
        """Commit all in one transaction; where one of them is at fault, each by itself."""
        if not jobs:
            return
        try:
            self._commit(jobs, catalog)
        except CommitLostError as error:
            self._drop_catalog()
            self._ask(jobs, error)
        except ValueRefusedError:
            self._commit_each(jobs)
        except CatalogError:
            self._unwrite(jobs)
            self._segments.forget([place for _, place in self._stored.values()])
            raise
        except Exception:  # noqa: BLE001 raised by a change
            self._commit_each(jobs)
        self._stored = {}

    def _commit_each(self, jobs: list[_Job]) -> None:
        for job in jobs:
            try:
                self._commit([job], self._opened())
            except CommitLostError as error:
                self._drop_catalog()
                self._ask([job], error)
            except Exception as error:  # noqa: BLE001 what a change raises is for who asked for it
                job.error = error
                self._unwrite([job])

    def _commit(self, jobs: list[_Job], catalog: Catalog) -> None:
        letters = [(job, job.place) for job in jobs if job.place]
        with catalog.write() as connection:
            if letters:
                self._add(letters, connection)
            for job in jobs:
                if job.change:
                    job.change(connection)
        if letters:
            self._named = letters[0][1].segment
        if self._stored and letters:
            with catalog.read() as connection:
                self._segments.forget(blobs.superfluous(connection, self._stored))

    def _add(self, letters: list[tuple[_Job, Place]], connection: Connection) -> None:
        self._name_segment(letters[0][1].segment, connection)
        add_rows(connection, messages, [message_row(job.described, place) for job, place in letters])
        add_rows(connection, copies, [row for job, _ in letters for row in copy_rows(job.described)])
        if uses := [row for job, _ in letters for row in use_rows(job.described)]:
            blobs.use(connection, uses, self._stored)

    def _name_segment(self, identifier: str, connection: Connection) -> None:
        """Put the segment into the catalog, with the first batch of it that is committed."""
        if identifier != self._named:
            add_rows(connection, segments, [segment_row(identifier, self._node)], keep=True)

    def _ask(self, jobs: list[_Job], error: CatalogError) -> None:
        """After a lost answer: is it in the catalog? Where that cannot be known, nothing is promised."""
        wanted = [(job.described["tenant"], job.described["id"]) for job in jobs if job.place]
        _fail([job for job in jobs if not job.place], error)
        try:
            with self._opened().read() as connection:
                key = (messages.c.tenant, messages.c.id)
                found = {tuple(row) for row in connection.execute(select(*key).where(tuple_(*key).in_(wanted)))}
        except CatalogError:
            found = set()
        _fail([job for job in jobs if job.place and (job.described["tenant"], job.described["id"]) not in found], error)

    def _unwrite(self, jobs: Sequence[_Job]) -> None:
        """Make unreadable what was written and is surely not in the catalog."""
        self._segments.forget([job.place for job in jobs if job.place])


def _fail(jobs: Sequence[_Job], error: Exception) -> None:
    for job in jobs:
        job.error = job.error or error


def _as_store_error(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if isinstance(error, OSError):
        return StoreError(f"{error.strerror or error} (errno {error.errno})")
    return StoreError(f"{type(error).__name__}: {error}")


def _tell(batch: list[_Job]) -> None:
    """In the loop: answer those who still wait."""
    for job in batch:
        if not job.future.done():
            if job.error:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(None)
