"""The schema's versions, by Alembic, shipped within the package: `upgrade` on a connection whose transaction is the caller's.

A new version is a file in `versions` that begins from the newest one, and NEWEST names it; tests compare what all of them make with
mpp.store.schema. Alembic is imported only where something is upgraded: it would take 10 MiB of every worker.
"""

from sqlalchemy import Connection, inspect, text

from mpp.store.errors import CatalogRefusedError
from mpp.store.schema import metadata

NEWEST = "0002"


def current(connection: Connection) -> str:
    """Return the version that a catalog has, "" for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("select version_num from alembic_version")).scalar() or ""


def upgrade(connection: Connection, to: str = NEWEST) -> None:
    """Bring the schema to a version; does nothing where it is there. Raises CatalogRefusedError for one from before the versions."""
    found = current(connection)
    if found:
        _refuse_unversioned(connection)
    if found == to:
        return
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "mpp.store:migrations")
    scripts = ScriptDirectory.from_config(config)
    with EnvironmentContext(config, scripts, fn=lambda found, _: scripts._upgrade_revs(to, found)) as environment:
        environment.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
        environment.run_migrations()


def _refuse_unversioned(connection: Connection) -> None:
    """Until "0001" was frozen it changed in its place: a catalog of that time says the same, and would refuse every row."""
    if not any(column["name"] == "unfinished" for column in inspect(connection).get_columns("segments")):
        raise CatalogRefusedError(
            "the catalog was made before the first release and cannot be brought up to date; stop the gateway, move catalog.db* away "
            "(on PostgreSQL: make the database anew), then run `mpp store rebuild`"
        )
