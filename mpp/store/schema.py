"""The tables of the catalog, the same on SQLite and PostgreSQL (design section 6).

The tenant is the first column of every key; what belongs to a node rather than to a customer is in NODE_TABLES. Times are
milliseconds since 1970, UTC (mpp.store.clock). Content is never here: it is in segments, and its keys in key files. Changes go with a
migration in mpp.store.migrations, which writes out what it does: a test compares what all of them make with these tables.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.engine.default import DefaultExecutionContext

from mpp.store.mailbox import mailbox

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)  # fmt: skip


def _mailbox_of(name: str) -> Callable[[DefaultExecutionContext], str]:
    """The default of a column that repeats an address for searching."""
    return lambda context: mailbox(context.get_current_parameters()[name])  # type: ignore[no-untyped-call]


_BY_NUMBER = ("messages", "copies")  # they have several indexes, which would repeat the whole primary key


def _table(name: str, *items: Column[Any] | PrimaryKeyConstraint | Index) -> Table:
    """A table that is its own primary key's tree in SQLite, which keeps no second one, but for those in _BY_NUMBER."""
    return Table(name, metadata, *items, sqlite_with_rowid=name in _BY_NUMBER)


# A stored message: where it lies, and what lists show. One row, whatever number of recipients.
messages = _table(
    "messages",
    Column("tenant", Text, nullable=False),
    Column("id", Text, nullable=False),  # of the transaction, as in log and replies
    Column("received", BigInteger, nullable=False),
    Column("sender", Text, nullable=False),  # reverse-path, "" where null
    Column("sender_box", Text, nullable=False, default=_mailbox_of("sender")),
    Column("author", Text, nullable=False),  # From of the header, decoded, at most 200 characters
    Column("subject", Text, nullable=False),  # decoded, at most 200 characters
    Column("message_id", Text, nullable=False),  # of the header, at most 200 characters
    Column("size", BigInteger, nullable=False),  # octets as they came
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of these octets; the leaf of the Merkle log is made of it
    Column("direction", Text, nullable=False),
    Column("client", Text, nullable=False),  # its address
    Column("archived_until", BigInteger),  # until then it is kept whatever becomes of the copies; None: not archived
    Column("segment", Text, nullable=False),
    Column("position", BigInteger, nullable=False),  # of its record in the segment
    Column("length", BigInteger, nullable=False),  # of that record
    Column("slot", Integer, nullable=False),  # of its data key in the segment's key file
    Column("leaf", BigInteger),  # its number in the Merkle log; None until it is there
    PrimaryKeyConstraint("tenant", "id"),
    Index("ix_messages_pending", "received", sqlite_where=text("leaf is null"), postgresql_where=text("leaf is null")),
    Index(None, "tenant", "sender_box", "received"),
    Index(None, "segment"),
)

# A recipient's copy of a stored message: a decision of its own.
copies = _table(
    "copies",
    Column("tenant", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("recipient", Text, nullable=False),  # as the envelope wrote it
    Column("mailbox", Text, nullable=False, default=_mailbox_of("recipient")),
    Column("received", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # held, releasing, released, unknown, deleted, expired
    Column("on_hold", Boolean, nullable=False),  # by legal order: neither deleted nor expired
    Column(
        "verdict", Text, nullable=False
    ),  # virus, banned, unchecked, forged-bounce, spam, clean, undeliverable, stripped
    Column("rule", Text, nullable=False),  # the settings key that decided
    Column("score", Float, nullable=False),
    Column(
        "reply", Text, nullable=False
    ),  # a next hop's refusal where undeliverable; of the release once there was one
    Column("expires", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),  # when the state did
    Column("claim", Text, nullable=False, default=""),  # who is releasing it; only its holder says how that ended
    PrimaryKeyConstraint("tenant", "message", "recipient"),
    Index(None, "tenant", "received"),
    Index(None, "tenant", "mailbox", "received"),
    Index(None, "tenant", "verdict", "received"),
    Index(None, "expires", sqlite_where=text("state = 'held'"), postgresql_where=text("state = 'held'")),
)

# Large attachments, once a tenant; the row and the key go with the last reference.
blobs = _table(
    "blobs",
    Column("tenant", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # keyed, so that it tells nothing of the content
    Column("size", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),  # number of rows in blob_uses
    Column("segment", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("slot", Integer, nullable=False),
    PrimaryKeyConstraint("tenant", "digest"),
    Index(None, "segment"),
)
blob_uses = _table(
    "blob_uses",
    Column("tenant", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "message", "digest"),
)

# Keys that are to be overwritten: written with the deletion, removed once that has happened.
forgotten = _table(
    "forgotten",
    Column("tenant", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("slot", Integer, nullable=False),
    PrimaryKeyConstraint("tenant", "segment", "slot"),
)

# What is kept of a day when its traces go; these are in tables of their own (mpp.store.trace_days).
counts = _table(
    "counts",
    Column("tenant", Text, nullable=False),
    Column("day", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "day", "name"),
)

# Who did what. Append-only; each a leaf of the Merkle log.
events = _table(
    "events",
    Column("tenant", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("message", Text, nullable=False),  # "" where it is about none
    Column("recipient", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    Column("leaf", BigInteger),  # its number in the Merkle log; None until it is there
    PrimaryKeyConstraint("tenant", "number"),
    Index(None, "tenant", "message"),
    Index("ix_events_pending", "number", sqlite_where=text("leaf is null"), postgresql_where=text("leaf is null")),
    Index("ix_events_leaf", "leaf"),
)
# The Merkle log of events and that of messages (mpp.store.evidence).
leaves = _table(
    "leaves",
    Column("log", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("log", "number"),
)
checkpoints = _table(
    "checkpoints",
    Column("log", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    PrimaryKeyConstraint("log", "size"),
)

list_entries = _table(
    "list_entries",
    Column("tenant", Text, nullable=False),
    Column("scope", Text, nullable=False),  # user, group, domain, tenant, global
    Column("owner", Text, nullable=False),  # the user, group or domain; "" for the tenant
    Column("pattern", Text, nullable=False),  # whom it is about
    Column("action", Text, nullable=False),  # allow, block
    Column("networks", Text, nullable=False),  # allow of an address counts from these, separated by blanks
    Column("override", Boolean, nullable=False),  # allow without proof of who sends: risky
    Column("expires", BigInteger),
    Column("note", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "scope", "owner", "pattern"),
)
requests = _table(
    "requests",
    Column("tenant", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),  # waiting, granted, refused
    Column("answered_by", Text),
    Column("answered_at", BigInteger),
    Column("answer", Text),
    PrimaryKeyConstraint("tenant", "message", "recipient"),
)
revisions = _table(
    "revisions",
    Column("tenant", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # of the body
    Column("file", LargeBinary, nullable=False),  # digest of what the settings file said when it was last taken
    Column("body", Text, nullable=False),  # TOML
    PrimaryKeyConstraint("tenant", "number"),
)
# Counters that tell whoever keeps a copy of a table that it has changed: "lists", "revisions".
versions = _table(
    "versions",
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "name"),
)

# The memo (design section 3): what must survive a crash between two attempts of one sender.
memo_accepted = _table(
    "memo_accepted",
    Column("tenant", Text, nullable=False),
    Column("reverse_path", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("reply", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "reverse_path", "recipient", "digest"),
)
memo_refused = _table(
    "memo_refused",
    Column("tenant", Text, nullable=False),
    Column("reverse_path", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "reverse_path", "recipient"),
)

# What belongs to nodes.
segments = _table(
    "segments",
    Column("id", Text, nullable=False),
    Column("node", Text, nullable=False),  # whose disk it is on
    Column("made", BigInteger, nullable=False),
    Column("unfinished", Boolean, nullable=False),  # it is being made by compaction, or to be removed by it
    PrimaryKeyConstraint("id"),
)
nodes = _table(
    "nodes",
    Column("name", Text, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("work", Text, nullable=False),  # what its background process did last, JSON
    PrimaryKeyConstraint("name"),
)
# From when the signatures of each server of a scanner are, as it told; the last ones (mpp.store.engine_updates).
engine_updates = _table(
    "engine_updates",
    Column("engine", Text, nullable=False),  # scanner and server
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("engine", "at"),
)

NODE_TABLES = frozenset({leaves, checkpoints, segments, nodes, engine_updates})
