"""The schema's versions, by Alembic, shipped within the package: `upgrade` on a connection whose transaction is the caller's.

A new version is a file in `versions` that begins from the newest one; tests compare what all of them make with mpp.store.schema.
"""

from functools import lru_cache

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from mpp.store.schema import metadata


@lru_cache(1)
def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", "mpp.store:migrations")
    return ScriptDirectory.from_config(config)


def newest() -> str:
    """Return the version that this MPP needs."""
    return _scripts().get_current_head() or ""


def current(connection: Connection) -> str:
    """Return the version that a catalog has, "" for an empty one."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def upgrade(connection: Connection, to: str = "head") -> None:
    """Bring the schema to a version; does nothing where it is there."""
    scripts = _scripts()
    with EnvironmentContext(
        Config(), scripts, fn=lambda revision, _: scripts._upgrade_revs(to, revision)
    ) as environment:
        environment.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
        environment.run_migrations()
