"""The tables of a day of traces (mpp.store.trace_days), and the numbers by which words and places stand in them."""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

FRAMES = "trace_frames_"  # before the name of the day
WORDS = "trace_words_"
LINES = 1 << 16  # in a frame, at most
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Tables(NamedTuple):
    frames: Table
    words: Table
    counts: Table


@lru_cache(64)
def tables(day: int) -> Tables:
    name, metadata = day_name(day), MetaData()
    whole = BigInteger().with_variant(Integer, "sqlite")  # an INTEGER primary key is SQLite's row number
    return Tables(
        Table(
            FRAMES + name,
            metadata,
            Column("id", whole, primary_key=True, autoincrement=True),
            Column("spool", BigInteger, nullable=False),
            Column("number", Integer, nullable=False),
            Column("lines", LargeBinary, nullable=False),
            UniqueConstraint("spool", "number"),
        ),
        Table(
            WORDS + name,
            metadata,
            Column("word", BigInteger, nullable=False),
            Column("tenant", Text, nullable=False),
            Column("place", BigInteger, nullable=False),
            PrimaryKeyConstraint("word", "tenant", "place"),
            sqlite_with_rowid=False,
        ),
        Table(
            "trace_counts_" + name,
            metadata,
            Column("tenant", Text, nullable=False),
            Column("name", Text, nullable=False),
            Column("number", BigInteger, nullable=False),
            PrimaryKeyConstraint("tenant", "name"),
            sqlite_with_rowid=False,
        ),
    )


@lru_cache(1000)
def day_name(day: int) -> str:
    """Return 20261127 for the days since 1970."""
    return (_EPOCH + timedelta(days=day)).strftime("%Y%m%d")


@lru_cache(1000)
def day_of(name: str) -> int:
    """Return the days since 1970. Raises ValueError."""
    return (datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC) - _EPOCH).days


def word_key(word: str) -> int:
    """Return 64 bits of a word's digest, as the signed number that both databases have."""
    return int.from_bytes(
        hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True
    )
