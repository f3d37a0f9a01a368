"""Times from which scanners' signatures are: what is usual between two updates is learned from them."""

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "engine_updates",
        Column("engine", Text, nullable=False),
        Column("at", BigInteger, nullable=False),
        PrimaryKeyConstraint("engine", "at", name="pk_engine_updates"),
        sqlite_with_rowid=False,
    )
