"""Held copies: found by filters, page by page; each a decision of its own; nobody sees or changes another tenant's."""

import inspect
import os

import pytest
from sqlalchemy import insert, select, update

from mpp.store import quarantine, quarantine_query, requests
from mpp.store.clock import now_ms
from mpp.store.events import about
from mpp.store.opening import prepare_store
from mpp.store.quarantine import Settled
from mpp.store.quarantine_query import FEW, LOOKED, OPEN, Filter, Key
from mpp.store.schema import copies, messages
from servers.held import fill, held

BOB, EVE = "bob@example.org", "Eve@Sub.example.org"


@pytest.fixture
async def box(store):
    """A small quarantine with its catalog, of two tenants."""
    prepare_store(store.data, store.settings, ("default", "other"))
    letters = [
        held("a1", BOB, EVE, raw=b"Subject: Cheap Pills 100%\r\n\r\n", at=1000),
        held("a2", BOB, sender="", verdict="virus", score=0.0, at=2000),
        held("a3", EVE, sender="Spam@Bulk.example.com", rule="scanners.clamd.on_failure", score=20.0, at=3000),
        held("b1", BOB, tenant="other", at=1500),
    ]
    await fill(store.data, store.settings, letters)
    catalog = store.catalog()
    yield catalog
    catalog.close()


def ids(catalog, wanted=None, tenant="default", **more):
    with catalog.read() as connection:
        rows = quarantine_query.page(connection, tenant, wanted or Filter(**more)).rows
    return [f"{row.key.message} {row.key.recipient.split('@')[0].lower()}" for row in rows]


def change(catalog, what, *arguments, **more):
    with catalog.write() as connection:
        return what(connection, *arguments, **more)


FOUND = [
    ({}, ["a3 eve", "a2 bob", "a1 bob", "a1 eve"]),
    ({"recipient": "BOB@example.org"}, ["a2 bob", "a1 bob"]),
    ({"domain": "sub.example.ORG"}, ["a3 eve", "a1 eve"]),
    ({"domain": "example.org"}, ["a2 bob", "a1 bob"]),
    ({"sender": "spam@bulk.example.com"}, ["a3 eve"]),
    ({"sender": "@bulk.example.com"}, ["a3 eve"]),
    ({"sender": "<>"}, ["a2 bob"]),
    ({"verdict": "virus"}, ["a2 bob"]),
    ({"rule": "scanners.clamd"}, ["a3 eve"]),
    ({"least_score": 7.5}, ["a3 eve", "a1 bob", "a1 eve"]),
    ({"most_score": 7.5}, ["a2 bob", "a1 bob", "a1 eve"]),
    ({"since": 2000}, ["a3 eve", "a2 bob"]),
    ({"until": 2000}, ["a1 bob", "a1 eve"]),
    ({"subject": "pills 100%"}, ["a1 bob", "a1 eve"]),
    ({"subject": "%"}, ["a1 bob", "a1 eve"]),
    ({"subject": "_"}, []),
    ({"message": "a1"}, ["a1 bob", "a1 eve"]),
    ({"recipient": BOB, "verdict": "spam"}, ["a1 bob"]),
    ({"sender": "alice@example.net", "recipient": EVE, "subject": "cheap"}, ["a1 eve"]),
    ({"states": ("released",)}, []),
]


async def test_filters(box):
    for wanted, found in FOUND:
        assert sorted(ids(box, **wanted)) == sorted(found), wanted
    assert ids(box)[:2] == ["a3 eve", "a2 bob"], "newest first"


async def test_pages_follow_each_other(catalog):
    rows = [
        {"tenant": "default", "message": f"m{n // 3:05d}", "recipient": f"r{n % 3}@example.org", "received": n // 7,
         "state": "held" if n % 5 else "deleted", "on_hold": False, "verdict": "spam", "rule": "r", "score": float(n % 10),
         "reply": "", "expires": 10**12, "changed": 0}
        for n in range(3 * FEW)
    ]  # fmt: skip
    with catalog.write() as connection:
        connection.execute(insert(copies), rows)
    for wanted in (Filter(), Filter(verdict="spam", least_score=9.0), Filter(recipient="r1@example.org")):
        with catalog.read() as connection:
            pages = list(quarantine_query.every(connection, "default", wanted, limit=37))
        seen = [row for page in pages for row in page]
        fitting = [
            row for row in rows
            if row["state"] == "held" and (wanted.least_score is None or row["score"] >= 9) and (not wanted.recipient or row["recipient"] == wanted.recipient)
        ]  # fmt: skip
        assert len(seen) == len({row.key for row in seen}) == len(fitting)
        assert [row.cursor for row in seen] == sorted((row.cursor for row in seen), reverse=True)
        assert max(map(len, pages)) <= 37


async def test_a_page_ends_where_nothing_fits_for_long(catalog):
    rows = [
        {"tenant": "default", "message": f"m{n:06d}", "recipient": "r@example.org", "received": n, "state": "held",
         "on_hold": False, "verdict": "spam", "rule": "r", "score": 1.0, "reply": "", "expires": 1, "changed": 0}
        for n in range(2 * LOOKED - 500)
    ]  # fmt: skip
    rows[0]["score"] = 9.0
    with catalog.write() as connection:
        connection.execute(insert(copies), rows)
    with catalog.read() as connection:
        first = quarantine_query.page(connection, "default", Filter(least_score=5.0))
        assert first.rows == ()
        assert first.more is not None
        second = quarantine_query.page(connection, "default", Filter(least_score=5.0), after=first.more)
    assert [row.key.message for row in second.rows] == ["m000000"]
    assert second.more is None


async def test_pages_that_take_several_steps_leave_nothing_out(catalog):
    rows = [
        {"tenant": "default", "message": f"m{n:06d}", "recipient": "r@example.org", "received": n // 3, "state": "held",
         "on_hold": False, "verdict": "spam", "rule": "r", "score": float(n % 13), "reply": "", "expires": 1, "changed": 0}
        for n in range(LOOKED + 100)
    ]  # fmt: skip
    with catalog.write() as connection:
        connection.execute(insert(copies), rows)
    fitting = [row["message"] for row in reversed(rows) if row["score"] == 12 and row["received"] < 1000]
    wanted = Filter(least_score=12.0, until=1000)
    with catalog.read() as connection:
        for limit in (1, 20, 50, 1000):
            found = [
                row.key.message
                for part in quarantine_query.every(connection, "default", wanted, limit=limit)
                for row in part
            ]
            assert found == fitting, limit


async def test_each_copy_is_a_decision_of_its_own(box):
    bob, eve = Key("a1", BOB), Key("a1", EVE)
    assert change(box, quarantine.claim, "default", [bob], "node:1") == {bob}
    assert change(box, quarantine.claim, "default", [bob, eve], "node:2") == {eve}, "whoever comes second gets none"
    change(
        box, quarantine.settle, "default", [Settled(bob, "released", "250 ok", "host", BOB)], "node:1", "command:root"
    )
    change(
        box, quarantine.settle, "default", [Settled(eve, "released", "250 ok", "host", EVE)], "node:1", "command:root"
    )
    with box.read() as connection:
        states = {row.key: row.state for row in quarantine_query.copies_of(connection, "default", "a1")}
        told = about(connection, "default", "a1")
    assert states == {bob: "released", eve: "releasing"}, "the claim was another's"
    assert [event.action for event in told] == ["released"], "nothing is told of what did not change"
    assert told[0].detail == {"reply": "250 ok", "host": "host", "to": BOB}


async def test_a_claim_whose_process_ended_becomes_unknown(box):
    dead, alive, far = Key("a1", BOB), Key("a1", EVE), Key("a2", BOB)
    change(box, quarantine.claim, "default", [dead], "here:999999999")
    change(box, quarantine.claim, "default", [alive], quarantine.claim_of("here"))
    change(box, quarantine.claim, "default", [far], "elsewhere:1")
    assert change(box, quarantine.abandon, "default", "here") == [dead]
    with box.read() as connection:
        row = quarantine_query.one(connection, "default", dead)
    assert (row.state, row.claim) == ("unknown", "")
    assert change(box, quarantine.claim, "default", [dead], "here:1") == set(), "not again without being asked to"
    assert change(box, quarantine.claim, "default", [dead], "here:1", states=("unknown",)) == {dead}


async def test_a_living_process_of_this_node_keeps_its_claims_however_long_it_takes(box, monkeypatch):
    mine, far, recycled = Key("a1", BOB), Key("a2", BOB), Key("a1", EVE)
    change(box, quarantine.claim, "default", [mine], quarantine.claim_of("here"))
    change(box, quarantine.claim, "default", [recycled], f"here:{os.getpid()}:1")
    change(box, quarantine.claim, "default", [far], "elsewhere:1:1")
    assert change(box, quarantine.abandon, "default", "here") == [recycled], "its number was given to another process"
    monkeypatch.setattr(quarantine, "STALE_MS", -1000)
    assert change(box, quarantine.abandon, "default", "here") == [far]
    change(
        box, quarantine.settle, "default", [Settled(mine, "released", "250", "", BOB)], quarantine.claim_of("here"), "x"
    )
    with box.read() as connection:
        assert quarantine_query.one(connection, "default", mine).state == "released"


async def test_a_claim_whose_process_cannot_be_seen_is_judged_by_its_age(box, monkeypatch):
    key, who = Key("a1", BOB), quarantine.claim_of("here")
    change(box, quarantine.claim, "default", [key], who)
    monkeypatch.setattr(quarantine, "_begun", lambda _: "")
    assert change(box, quarantine.abandon, "default", "here") == []
    monkeypatch.setattr(quarantine, "STALE_MS", -1000)
    assert change(box, quarantine.abandon, "default", "here") == [key]


async def test_a_fresh_claim_is_not_taken_for_the_abandoned_one_before_it(box, monkeypatch):
    key = Key("a1", BOB)
    change(box, quarantine.claim, "default", [key], "here:999999999")
    with box.write() as connection:

        def claimed_meanwhile(_who, _node):
            connection.execute(update(copies).where(copies.c.message == "a1").values(claim="there:2"))
            return False

        monkeypatch.setattr(quarantine, "_lives", claimed_meanwhile)
        assert quarantine.abandon(connection, "default", "here") == []
    with box.read() as connection:
        row = quarantine_query.one(connection, "default", key)
    assert (row.state, row.claim) == ("releasing", "there:2")


async def test_deleted_for_good_with_the_last_copy(box, store):
    assert change(box, quarantine.delete, "default", [Key("a1", BOB)], "command:root") == [Key("a1", BOB)]
    assert "a1 eve" in ids(box)
    with box.read() as connection:
        assert store.reader().message(connection, "default", "a1") is not None
    change(box, quarantine.delete, "default", [Key("a1", EVE)], "command:root")
    with box.read() as connection:
        assert store.reader().message(connection, "default", "a1") is None
        assert [row.state for row in quarantine_query.copies_of(connection, "default", "a1")] == ["deleted"] * 2
        assert [event.action for event in about(connection, "default", "a1")] == ["deleted"] * 2


async def test_what_is_on_hold_is_neither_deleted_nor_expires(box):
    key = Key("a1", BOB)
    with box.write() as connection:
        connection.execute(copies.update().values(expires=now_ms() - 1))
    assert change(box, quarantine.hold, "default", [key], "command:root", "case 7", on=True) == [key]
    assert change(box, quarantine.hold, "default", [key], "command:root", "case 7", on=True) == []
    assert change(box, quarantine.delete, "default", [key], "command:root") == []
    assert change(box, quarantine.expire, "default", most=2) == 2
    assert change(box, quarantine.expire, "default") == 1
    assert change(box, quarantine.expire, "default") == 0
    assert ids(box) == ["a1 bob"]
    change(box, quarantine.hold, "default", [key], "command:root", "", on=False)
    assert change(box, quarantine.expire, "default") == 1
    assert ids(box, tenant="other") == ["b1 bob"]
    with box.read() as connection:
        assert [row.id for row in connection.execute(select(messages.c.id))] == ["b1"]


async def test_what_has_not_expired_stays(box):
    assert change(box, quarantine.expire, "other") == 0


async def test_requests_wait_for_an_answer(box):
    key = Key("a2", BOB)
    change(box, requests.ask, "default", key, "user:bob", "I know it")
    with box.read() as connection:
        (waiting,) = requests.requests_of(connection, "default")
    assert (waiting.key, waiting.reason, waiting.state) == (key, "I know it", "waiting")
    assert change(box, requests.answer, "default", key, "command:root", "no", granted=False)
    assert not change(box, requests.answer, "default", key, "command:root", "yes", granted=True)
    with box.read() as connection:
        assert requests.requests_of(connection, "default") == []
        assert requests.request_for(connection, "default", key).state == "refused"


# The tenant: whatever asks or changes is tried for another tenant, and must get nothing.

KEYS = [Key("a1", BOB), Key("a1", EVE), Key("a2", BOB), Key("a3", EVE)]
TRIED = {
    quarantine.claim: lambda connection: quarantine.claim(connection, "other", KEYS, "x:1", states=OPEN),
    quarantine.settle: lambda connection: quarantine.settle(
        connection, "other", [Settled(key, "released", "", "", "") for key in KEYS], "", "x"
    ),
    quarantine.abandon: lambda connection: quarantine.abandon(connection, "other", "x"),
    quarantine.delete: lambda connection: quarantine.delete(connection, "other", KEYS, "x"),
    quarantine.hold: lambda connection: quarantine.hold(connection, "other", KEYS, "x", "", on=True),
    quarantine.expire: lambda connection: quarantine.expire(connection, "other"),
    quarantine_query.page: lambda connection: [
        row
        for wanted in (
            Filter(message="a1"), Filter(recipient=EVE), Filter(domain="sub.example.org"), Filter(sender="@bulk.example.com"),
            Filter(verdict="virus"), Filter(rule="scanners"), Filter(states=(), since=1600), Filter(subject="pills"),
            Filter(least_score=8.0), Filter(sender="<>"),
        )
        for row in quarantine_query.page(connection, "other", wanted).rows
    ],
    quarantine_query.every: lambda connection: list(quarantine_query.every(connection, "other", Filter(since=1600))),
    quarantine_query.one: lambda connection: quarantine_query.one(connection, "other", KEYS[0]),
    quarantine_query.copies_of: lambda connection: quarantine_query.copies_of(connection, "other", "a1"),
    requests.answer: lambda connection: requests.answer(connection, "other", KEYS[0], "x", "", granted=True),
    requests.requests_of: lambda connection: requests.requests_of(connection, "other", waiting=False),
    requests.request_for: lambda connection: requests.request_for(connection, "other", KEYS[0]),
}  # fmt: skip
OWN = {quarantine.note, requests.ask}  # they write a row of the tenant that they are told


async def test_nothing_of_another_tenant(box):
    change(box, requests.ask, "default", KEYS[0], "user:bob", "please")
    with box.read() as connection:
        before = connection.execute(select(copies).where(copies.c.tenant == "default").order_by("message")).all()
    for asked, trial in TRIED.items():
        if asked is quarantine.expire:
            with box.write() as connection:  # what is due is another's
                connection.execute(copies.update().where(copies.c.tenant == "default").values(expires=1))
                before = connection.execute(
                    select(copies).where(copies.c.tenant == "default").order_by("message")
                ).all()
        assert not change(box, trial), asked
    with box.read() as connection:
        assert (
            connection.execute(select(copies).where(copies.c.tenant == "default").order_by("message")).all() == before
        )
        assert requests.request_for(connection, "default", KEYS[0]).state == "waiting"


def test_no_query_was_forgotten():
    """Everything public that takes a connection takes a tenant after it, and is tried above."""
    asking = {
        function
        for module in (quarantine, quarantine_query, requests)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
        and next(iter(inspect.signature(function).parameters), "") == "connection"
    }  # fmt: skip
    assert asking == set(TRIED) | OWN
    for function in asking:
        assert list(inspect.signature(function).parameters)[1] == "tenant", function
