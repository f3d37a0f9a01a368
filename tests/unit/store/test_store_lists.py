"""Lists in the catalog: a tenant's own and those for all; workers see a change, and keep what they know while it is away."""

import pytest
from sqlalchemy import delete

from mpp.settings.values import read_network
from mpp.store.errors import CatalogError
from mpp.store.lists import GLOBAL, KnownLists, entries, lists_of, put, remove
from mpp.store.schema import list_entries, versions
from mpp.verdict.lists import Entry, Level, Recipient, Sender

BLOCK = Entry("block", Level.TENANT, "", "bob@example.net", note="a nuisance")
ALLOW = Entry(
    "allow", Level.USER, "anna@example.org", "@example.net", (read_network("192.0.2.0/24"),), False, 2000.5, "wanted"
)
ALL = Entry("block", Level.GLOBAL, "", "@.example.com")


def holds(lists, sender, tenant="acme"):
    return lists.find(Sender((sender,), "192.0.2.1"), Recipient("anna@example.org", tenant), 1000.0).entry


def test_entries_come_back_as_they_were(catalog):
    with catalog.write() as connection:
        for entry in (BLOCK, ALLOW, ALL):
            put(connection, "acme", entry, "root")
    with catalog.read() as connection:
        assert [entry for entry, about in entries(connection, "acme")] == [BLOCK, ALLOW]
        assert [entry for entry, about in entries(connection, GLOBAL)] == [ALL]
        assert entries(connection, "acme")[0][1]["who"] == "root"
        assert entries(connection, "other") == []


def test_an_entry_is_replaced_and_removed(catalog):
    with catalog.write() as connection:
        put(connection, "acme", BLOCK, "root")
        put(connection, "acme", Entry("allow", Level.TENANT, "", BLOCK.pattern, override=True), "anna")
    with catalog.write() as connection:
        assert [entry.action for entry, _ in entries(connection, "acme")] == ["allow"]
        assert not remove(connection, "other", Level.TENANT, "", BLOCK.pattern), "another tenant's"
        assert remove(connection, "acme", Level.TENANT, "", BLOCK.pattern)
        assert not remove(connection, "acme", Level.TENANT, "", BLOCK.pattern)
        assert entries(connection, "acme") == []


def test_lists_of_tenants(catalog):
    with catalog.write() as connection:
        put(connection, "acme", BLOCK, "root")
        put(connection, "acme", ALL, "root")
    with catalog.read() as connection:
        lists = lists_of(connection, ["acme", "other"])
    assert holds(lists, "bob@example.net") == BLOCK
    assert holds(lists, "bob@example.net", "other") is None
    assert holds(lists, "eve@www.example.com", "other") == ALL


class Away:
    """A catalog that can be away."""

    def __init__(self, catalog):
        self.catalog, self.away = catalog, False

    def __call__(self):
        if self.away:
            raise CatalogError("it is away")
        return self.catalog


def test_a_worker_sees_changes_and_keeps_what_it_knows(catalog, tmp_path):
    source = Away(catalog)
    known = KnownLists(source, tmp_path)
    known.begin()
    assert not known.current
    assert known.refresh(["acme"]), "the first look"
    assert not known.refresh(["acme"])
    with catalog.write() as connection:
        put(connection, "acme", BLOCK, "root")
    assert known.refresh(["acme"])
    assert not known.refresh(["acme"])
    assert holds(known.current, "bob@example.net") == BLOCK
    known.close()
    source.away = True
    with pytest.raises(CatalogError):
        known.refresh(["acme"])
    assert holds(known.current, "bob@example.net") == BLOCK

    started = KnownLists(source, tmp_path)  # another worker, while the catalog is away
    started.begin()
    assert holds(started.current, "bob@example.net") == BLOCK
    source.away = False
    with catalog.write() as connection:
        remove(connection, "acme", Level.TENANT, "", BLOCK.pattern)
    assert started.refresh(["acme"])
    assert not started.current


def test_lists_of_a_catalog_that_was_lost_do_not_stay(catalog, tmp_path):
    with catalog.write() as connection:
        put(connection, "acme", BLOCK, "root")
    KnownLists(Away(catalog), tmp_path).refresh(["acme"])
    with catalog.write() as connection:
        connection.execute(delete(list_entries))
        connection.execute(delete(versions))
    started = KnownLists(Away(catalog), tmp_path)
    started.begin()
    assert holds(started.current, "bob@example.net") == BLOCK
    assert started.refresh(["acme"])
    assert not started.current
    assert not started.refresh(["acme"])


def test_a_change_that_was_rolled_back_is_not_seen(catalog, tmp_path):
    known = KnownLists(Away(catalog), tmp_path)
    known.refresh(["acme"])

    def fail():
        with catalog.write() as connection:
            put(connection, "acme", BLOCK, "root")
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        fail()
    assert not known.refresh(["acme"])
    assert not known.current
