"""Which node does what is to be done once for all that share a catalog. For mpp.gateway.background. Raises StoreError."""

from sqlalchemy import Connection, text

from mpp.store.catalog import Catalog, told

_ELECTION = 0x6D7071  # advisory lock of PostgreSQL


class Election:
    """On PostgreSQL whoever has the lock. On SQLite there is one node, and the lock of the folder has decided."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._connection: Connection | None = None

    def held(self) -> bool:
        """True while this process has the lock. Raises StoreError where the catalog cannot be asked."""
        if self._catalog.sqlite:
            return True
        with told():
            if self._connection is None:
                self._connection = self._catalog.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                asked = {"key": _ELECTION}
                # It counts locks: asked again by its holder it says yes.
                mine = bool(self._connection.execute(text(_HELD), asked).scalar())
                return mine or bool(self._connection.execute(text("select pg_try_advisory_lock(:key)"), asked).scalar())
            except BaseException:
                self.end()
                raise

    def end(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


_HELD = (
    "select count(*) from pg_locks where locktype = 'advisory' and objid = :key and pid = pg_backend_pid() and granted"
)
