"""The first schema. Nothing was released with it, so it still makes the tables as mpp.store.schema has them now; before the
first release their definitions are written out here."""

from alembic import op

from mpp.store.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
