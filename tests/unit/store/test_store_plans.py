"""Work on some copies looks at these on PostgreSQL too, however many others there are and whatever it believes of them.

By PostgreSQL's own count of the rows that a transaction has read, with the plans that it takes where it does not know the values.
"""

import pytest
from sqlalchemy import text

from mpp.store.catalog import catalog_url, open_catalog, prepare
from mpp.store.events import Event, record
from mpp.store.quarantine import Settled, claim, delete, settle
from mpp.store.quarantine_query import Key

THERE, SOME = 20_000, 100
KEYS = [Key(f"m{number}", "bob@example.org") for number in range(SOME)]
_MESSAGES = """
insert into messages (tenant, id, received, sender, sender_box, author, subject, message_id, size, digest, direction, client,
    segment, position, length, slot)
select 'default', 'm' || n, n, '', '', '', '', '', 1, '', 'inbound', '', 's', n, 1, n from generate_series(0, :last) n
"""
_COPIES = """
insert into copies (tenant, message, recipient, mailbox, received, state, on_hold, verdict, rule, score, reply, expires, changed, claim)
select 'default', 'm' || n, 'bob@example.org', 'example.org/bob', n, 'held', false, 'spam', '', 1, '', 1, 1, ''
from generate_series(0, :last) n
"""
_EVENTS = """
insert into events (tenant, number, at, actor, action, message, recipient, detail)
select 'default', n, 1, 'a', 'deleted', 'm' || n, 'bob@example.org', '{}' from generate_series(1, :last) n
"""


@pytest.fixture
def full(postgresql, tmp_path):
    """A quarantine of many copies, and many events of which PostgreSQL knows few."""
    url = postgresql.database()
    prepare(catalog_url(url, "", tmp_path))
    catalog = open_catalog(catalog_url(url, "", tmp_path))
    with catalog.write() as connection:
        record(connection, [Event("a", "viewed")])
        connection.execute(text("delete from events"))
        connection.execute(text("insert into events values ('default', 0, 1, 'a', 'b', '', '', '{}')"))
        for each in (_MESSAGES, _COPIES):
            connection.execute(text(each), {"last": THERE - 1})
        for table in ("messages", "copies", "events"):
            connection.execute(text(f"analyze {table}"))
        connection.execute(text(_EVENTS), {"last": THERE})
    yield catalog
    catalog.close()
    postgresql.drop(url)


def delete_some(connection):
    assert len(delete(connection, "default", KEYS, "a")) == SOME


def claim_some(connection):
    assert len(claim(connection, "default", KEYS, "me")) == SOME


def settle_some(connection):
    claim_some(connection)
    settle(connection, "default", [Settled(key, "released", "250 Ok", "h", "r") for key in KEYS], "me", "a")


def record_one(connection):
    record(connection, [Event("a", "viewed")])


@pytest.mark.parametrize("work", [delete_some, claim_some, settle_some, record_one])
def test_no_more_is_looked_at_than_a_few_times_what_is_changed(full, work):
    read = text("select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables")
    with full.write() as connection:
        connection.execute(text("set local plan_cache_mode = force_generic_plan"))
        work(connection)
        assert connection.scalar(read) < 20 * SOME
