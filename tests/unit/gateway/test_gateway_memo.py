"""The memo: what a retry must know survives the process and is seen by every worker."""

import sqlite3

import pytest

from mpp.gateway.memo import KEEP_S, SqliteMemo

DIGEST = b"d" * 16


@pytest.fixture
def path(tmp_path):
    return tmp_path / "memo.db"


async def test_what_was_kept_is_known_to_another_worker_and_after_a_restart(path):
    first, second = SqliteMemo(path), SqliteMemo(path)
    assert second.accepted("a@x", ["b@y"], DIGEST) == {}
    await first.keep("a@x", DIGEST, {"b@y": "queued as 1"}, {"c@y": "550 5.1.1 no such user"})
    for memo in (first, second, SqliteMemo(path)):
        assert memo.accepted("a@x", ["b@y", "c@y"], DIGEST) == {"b@y": "queued as 1"}
        assert memo.refusal("a@x", "c@y") == "550 5.1.1 no such user"


@pytest.mark.parametrize(
    ("reverse_path", "recipient", "digest"),
    [("other@x", "b@y", DIGEST), ("a@x", "other@y", DIGEST), ("a@x", "b@y", b"e" * 16)],
)
async def test_nothing_else_is_taken_for_it(path, reverse_path, recipient, digest):
    memo = SqliteMemo(path)
    await memo.keep("a@x", DIGEST, {"b@y": "ok"}, {})
    assert memo.accepted(reverse_path, [recipient], digest) == {}


async def test_what_is_forgotten_is_gone_for_all(path):
    first, second = SqliteMemo(path), SqliteMemo(path)
    await first.keep("a@x", DIGEST, {"b@y": "ok"}, {"c@y": "550 5.1.1 no"})
    assert second.refusal("a@x", "c@y")
    await second.forget("a@x", DIGEST, ["b@y"], ["c@y"])
    assert first.accepted("a@x", ["b@y"], DIGEST) == {}
    assert first.refusal("a@x", "c@y") is None


async def test_five_days_are_the_end(path):
    now = [1000.0]
    memo = SqliteMemo(path, clock=lambda: now[0])
    await memo.keep("a@x", DIGEST, {"b@y": "ok"}, {})
    now[0] += KEEP_S + 1
    await memo.keep("z@x", DIGEST, {"b@y": "ok"}, {})
    assert memo.accepted("a@x", ["b@y"], DIGEST) == {}


async def test_another_tenant_knows_nothing(path):
    await SqliteMemo(path, tenant="one").keep("a@x", DIGEST, {"b@y": "ok"}, {})
    assert SqliteMemo(path, tenant="two").accepted("a@x", ["b@y"], DIGEST) == {}


async def test_a_file_that_is_no_database_is_said_so(path):
    path.write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        SqliteMemo(path)
