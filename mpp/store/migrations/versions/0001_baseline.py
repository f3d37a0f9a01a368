"""The first schema, written out as it was: a migration never looks at mpp.store.schema, which goes on changing."""

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None


def upgrade() -> None:
    _table(
        "messages",
        "tenant id",
        _column("tenant", Text),
        _column("id", Text),
        _column("received", BigInteger),
        _column("sender", Text),
        _column("sender_box", Text),
        _column("author", Text),
        _column("subject", Text),
        _column("message_id", Text),
        _column("size", BigInteger),
        _column("digest", LargeBinary),
        _column("direction", Text),
        _column("client", Text),
        _column("archived_until", BigInteger, null=True),
        _column("segment", Text),
        _column("position", BigInteger),
        _column("length", BigInteger),
        _column("slot", Integer),
        _column("leaf", BigInteger, null=True),
        rowid=True,
    )
    _index("messages", "received", name="ix_messages_pending", where="leaf is null")
    _index("messages", "segment")
    _index("messages", "tenant sender_box received")
    _table(
        "copies",
        "tenant message recipient",
        _column("tenant", Text),
        _column("message", Text),
        _column("recipient", Text),
        _column("mailbox", Text),
        _column("received", BigInteger),
        _column("state", Text),
        _column("on_hold", Boolean),
        _column("verdict", Text),
        _column("rule", Text),
        _column("score", Float),
        _column("reply", Text),
        _column("expires", BigInteger),
        _column("changed", BigInteger),
        _column("claim", Text),
        rowid=True,
    )
    _index("copies", "expires", where="state = 'held'")
    _index("copies", "tenant mailbox received")
    _index("copies", "tenant received")
    _index("copies", "tenant verdict received")
    _table(
        "blobs",
        "tenant digest",
        _column("tenant", Text),
        _column("digest", LargeBinary),
        _column("size", BigInteger),
        _column("used", BigInteger),
        _column("segment", Text),
        _column("position", BigInteger),
        _column("length", BigInteger),
        _column("slot", Integer),
    )
    _index("blobs", "segment")
    _table(
        "blob_uses",
        "tenant message digest",
        _column("tenant", Text),
        _column("message", Text),
        _column("digest", LargeBinary),
    )
    _table(
        "forgotten",
        "tenant segment slot",
        _column("tenant", Text),
        _column("segment", Text),
        _column("slot", Integer),
    )
    _table(
        "counts",
        "tenant day name",
        _column("tenant", Text),
        _column("day", Integer),
        _column("name", Text),
        _column("number", BigInteger),
    )
    _table(
        "events",
        "tenant number",
        _column("tenant", Text),
        _column("number", BigInteger),
        _column("at", BigInteger),
        _column("actor", Text),
        _column("action", Text),
        _column("message", Text),
        _column("recipient", Text),
        _column("detail", Text),
        _column("leaf", BigInteger, null=True),
    )
    _index("events", "leaf")
    _index("events", "number", name="ix_events_pending", where="leaf is null")
    _index("events", "tenant message")
    _table(
        "leaves",
        "log number",
        _column("log", Text),
        _column("number", BigInteger),
        _column("hash", LargeBinary),
    )
    _table(
        "checkpoints",
        "log size",
        _column("log", Text),
        _column("size", BigInteger),
        _column("root", LargeBinary),
        _column("at", BigInteger),
        _column("signature", LargeBinary),
    )
    _table(
        "list_entries",
        "tenant scope owner pattern",
        _column("tenant", Text),
        _column("scope", Text),
        _column("owner", Text),
        _column("pattern", Text),
        _column("action", Text),
        _column("networks", Text),
        _column("override", Boolean),
        _column("expires", BigInteger, null=True),
        _column("note", Text),
        _column("who", Text),
        _column("at", BigInteger),
    )
    _table(
        "requests",
        "tenant message recipient",
        _column("tenant", Text),
        _column("message", Text),
        _column("recipient", Text),
        _column("asked_by", Text),
        _column("asked_at", BigInteger),
        _column("reason", Text),
        _column("state", Text),
        _column("answered_by", Text, null=True),
        _column("answered_at", BigInteger, null=True),
        _column("answer", Text, null=True),
    )
    _table(
        "revisions",
        "tenant number",
        _column("tenant", Text),
        _column("number", Integer),
        _column("at", BigInteger),
        _column("who", Text),
        _column("why", Text),
        _column("digest", LargeBinary),
        _column("file", LargeBinary),
        _column("body", Text),
    )
    _table(
        "versions",
        "tenant name",
        _column("tenant", Text),
        _column("name", Text),
        _column("number", BigInteger),
    )
    _table(
        "memo_accepted",
        "tenant reverse_path recipient digest",
        _column("tenant", Text),
        _column("reverse_path", Text),
        _column("recipient", Text),
        _column("digest", LargeBinary),
        _column("reply", Text),
        _column("at", BigInteger),
    )
    _table(
        "memo_refused",
        "tenant reverse_path recipient",
        _column("tenant", Text),
        _column("reverse_path", Text),
        _column("recipient", Text),
        _column("reply", Text),
        _column("at", BigInteger),
    )
    _table(
        "segments",
        "id",
        _column("id", Text),
        _column("node", Text),
        _column("made", BigInteger),
        _column("unfinished", Boolean),
    )
    _table(
        "nodes",
        "name",
        _column("name", Text),
        _column("seen", BigInteger),
        _column("work", Text),
    )


def _column(name: str, kind: type[TypeEngine[Any]], *, null: bool = False) -> Column[Any]:
    return Column(name, kind, nullable=null)


def _table(name: str, key: str, *columns: Column[Any], rowid: bool = False) -> None:
    primary = PrimaryKeyConstraint(*key.split(), name=f"pk_{name}")
    op.create_table(name, *columns, primary, sqlite_with_rowid=rowid)


def _index(table: str, columns: str, *, name: str = "", where: str = "") -> None:
    names = columns.split()
    only: dict[str, Any] = {"sqlite_where": text(where), "postgresql_where": text(where)} if where else {}
    op.create_index(name or f"ix_{table}_{'_'.join(names)}", table, names, **only)
