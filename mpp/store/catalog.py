"""The catalog: one SQLAlchemy engine on SQLite (the bundled one, WAL, synchronous=FULL) or PostgreSQL 15 and later.

`prepare` brings the schema up to date and is called once at start, before any other process opens the catalog; `open_catalog`
refuses what does not fit. Every use is one transaction: `with catalog.read() as connection` or `with catalog.write() as ...`.
What goes wrong within raises CatalogError. Engines do not survive a fork: each process opens its own.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection, Dialect, Engine, Table, bindparam, create_engine, event, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from mpp.store import migrations
from mpp.store.errors import CatalogError, CatalogRefusedError, CommitLostError, ValueRefusedError

LEAST_SQLITE = (3, 51, 3)  # earlier ones may lose committed pages when the WAL is reset
LEAST_POSTGRESQL = 15
BUSY_S = 10.0  # wait for another writer of a SQLite file
_AGAIN_S = 0.02
_SAFETY_PAGES = 16384  # 64 MiB of WAL: the background process checkpoints long before, a writer only if there is none
_UPGRADE = 0x6D7070  # advisory lock of PostgreSQL for upgrades of the schema
_WRITING = "mpp_writing"


class Catalog:
    """One process's way to the catalog. `write` on SQLite takes the one write lock at once, so it never fails half-way."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._kept: Connection | None = None

    @property
    def sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent look. Raises CatalogError."""
        with told(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at the end, rolled back by an exception.

        Raises CatalogError: ValueRefusedError and others say that nothing of it is there, CommitLostError that nobody knows.
        """
        with told(), nullcontext(self._kept) if self._kept else _to_write(self.engine) as writing:
            transaction = writing.begin()
            try:
                yield writing
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except DBAPIError as error:
                self._let_go()
                raise CommitLostError(_text(error)) from error

    def write_back(self) -> None:
        """Write SQLite's log back into its file, nothing elsewhere; writers do not wait for it. Raises CatalogError."""
        if self.sqlite:
            with told(), self.engine.connect() as connection:
                connection.exec_driver_sql("pragma wal_checkpoint(passive)")

    def keep_pages(self, octets: int) -> None:
        """Have SQLite keep that much of its file in memory, for one thread that is about to write much of it. Raises CatalogError."""
        if self.sqlite:
            with told(), self.engine.connect() as connection:
                connection.exec_driver_sql(f"pragma cache_size=-{octets >> 10}")

    def for_one_thread(self) -> None:
        """Have all writing go by one connection that is kept: to take it from the engine and to give it back costs more than a row. Raises CatalogError."""
        with told():
            self._kept = _to_write(self.engine)

    def _let_go(self) -> None:
        kept, self._kept = self._kept, None
        if kept:
            kept.close()

    def close(self) -> None:
        self._let_go()
        self.engine.dispose()


def catalog_url(catalog: str, password: str, data: Path) -> URL:
    """Return the address of the catalog that [store] names; `password` is what catalog_password refers to."""
    if not catalog:
        return URL.create("sqlite", database=str(data / "catalog.db"))
    if catalog.startswith("sqlite:"):
        return URL.create("sqlite", database=catalog.removeprefix("sqlite:"))
    url = make_url(catalog).set(drivername="postgresql+psycopg")
    return url.set(password=password) if password else url


def prepare(url: URL) -> None:
    """Make the schema or bring it up to date; another process doing the same is waited for. Raises CatalogError."""
    engine = _engine(url)
    try:
        with told(), _to_write(engine) as writing, writing.begin():
            _refuse_old(writing)
            if engine.dialect.name == "postgresql":
                writing.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _UPGRADE})
            migrations.upgrade(writing)
    finally:
        engine.dispose()


def open_catalog(url: URL) -> Catalog:
    """Open a catalog that `prepare` has made. Raises CatalogRefusedError where it does not fit, else CatalogError."""
    engine = _engine(url)
    try:
        with told(), engine.connect() as connection, connection.begin():
            _refuse_old(connection)
            found, wanted = migrations.current(connection), migrations.NEWEST
    except BaseException:
        engine.dispose()
        raise
    if found != wanted:
        engine.dispose()
        what = f"has schema {found or 'none'}, this MPP needs {wanted}"
        raise CatalogRefusedError(
            f"catalog {engine.url.render_as_string()} {what}; start `mpp serve` of this version once"
        )
    return Catalog(engine)


def open_file(path: Path) -> Catalog:
    """Open or make a SQLite file beside the catalog; whoever uses it makes its tables. Raises CatalogError."""
    return Catalog(_engine(URL.create("sqlite", database=str(path))))


def look_into(path: Path) -> sqlite.Connection:
    """Open a SQLite file that is there for statements that only look, each by itself. Errors are the driver's: use it within `told`.

    Without an engine, since making one and beginning a transaction cost much more than a look.
    """
    where = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite.connect(where, uri=True, isolation_level=None, timeout=BUSY_S, check_same_thread=False)


def inserting(dialect: Dialect, table: Table) -> sqlite_dialect.Insert | postgresql.Insert:
    """Return an insert that can be told what to do with rows that are there already (on_conflict_...), on both databases."""
    return sqlite_dialect.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)


def add_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, keep: bool = False) -> int:
    """Insert, within a transaction, many rows with the same columns, among them all that have a default; with `keep` those that are there already stay.

    Returns how many were added.

    Text and values go to the driver itself: SQLAlchemy's own way looks at each value of each row again, which costs more than the
    database, and what it makes around a statement costs as much as a row.
    """
    if not rows:
        return 0
    statement, names = _insertion(connection.dialect, table, tuple(rows[0]), keep)
    return _many(connection, statement, names, rows)


def set_column(connection: Connection, table: Table, column: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one column of many rows, within a transaction; each of `rows` has the primary key, and the value as "new_COLUMN"."""
    if rows:
        _many(connection, *_update(connection.dialect, table, column), rows)


def _many(connection: Connection, statement: str, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> int:
    """Have the driver do a statement for each of the rows; return how many it was for."""
    cursor, driver = connection.connection.cursor(), connection.dialect.loaded_dbapi
    values = list(map(itemgetter(*names), rows)) if names else list(map(dict, rows))
    try:
        cursor.executemany(statement, values)
    except driver.Error as error:
        raise DBAPIError.instance(statement, None, error, driver.Error, dialect=connection.dialect) from error
    return cursor.rowcount


@lru_cache(64)
def _insertion(dialect: Dialect, table: Table, columns: tuple[str, ...], keep: bool) -> tuple[str, Sequence[str]]:
    """Return the text of an insert, and the names of its values in their order where the driver wants no names."""
    statement = inserting(dialect, table)
    if keep:
        statement = statement.on_conflict_do_nothing()
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    return str(compiled), compiled.positiontup or ()


@lru_cache(64)
def _update(dialect: Dialect, table: Table, column: str) -> tuple[str, Sequence[str]]:
    """Return the text of an update of one column by the primary key, and the names of its values as _insertion does."""
    statement = update(table).values({column: bindparam(f"new_{column}")})
    for part in table.primary_key:
        statement = statement.where(part == bindparam(part.name))
    compiled = statement.compile(dialect=dialect)
    return str(compiled), compiled.positiontup or ()


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong within is a CatalogError."""
    try:
        yield
    except (IntegrityError, DataError, ProgrammingError) as error:
        raise ValueRefusedError(_text(error)) from error
    except DBAPIError as error:
        raise CatalogError(_text(error)) from error
    except (SQLAlchemyError, sqlite.Error) as error:
        raise CatalogError(str(error)) from error


def _text(error: DBAPIError) -> str:
    return str(error.orig).strip() or type(error.orig).__name__


def _to_write(engine: Engine) -> Connection:
    """Return a connection whose transactions take SQLite's write lock when they begin."""
    return engine.connect().execution_options(**{_WRITING: True})


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, module=sqlite, connect_args={"timeout": BUSY_S, "check_same_thread": False})
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begins)
        return engine
    return create_engine(url, pool_pre_ping=False, pool_size=2, connect_args=_POSTGRESQL_OPTIONS)


# A peer that is gone is noticed within seconds, one that is slow ends a statement; libpq's own defaults wait for hours.
_POSTGRESQL_OPTIONS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "options": "-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000",
    "application_name": "mpp",
}


def _sqlite_connected(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    _into_wal(connection)
    for pragma in ("synchronous=full", f"wal_autocheckpoint={_SAFETY_PAGES}", "foreign_keys=on"):
        connection.execute(f"pragma {pragma}")


def _into_wal(connection: Any) -> None:
    """Have the file written by WAL. SQLite waits for nobody here: of several that open a new file all but one are told "locked"."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("pragma journal_mode=wal")
        except sqlite.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


def _sqlite_begins(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITING)
    connection.connection.cursor().execute("begin immediate" if writing else "begin")


def _refuse_old(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        if sqlite.sqlite_version_info < LEAST_SQLITE:
            least = ".".join(map(str, LEAST_SQLITE))
            raise CatalogRefusedError(
                f"SQLite {sqlite.sqlite_version} can lose data, {least} or later is needed; install the locked requirements"
            )
    elif (found := int(connection.exec_driver_sql("show server_version_num").scalar_one()) // 10000) < LEAST_POSTGRESQL:
        raise CatalogRefusedError(f"PostgreSQL {found} is too old, {LEAST_POSTGRESQL} or later is needed; upgrade it")
