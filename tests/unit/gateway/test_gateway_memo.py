"""The memo: what a retry must know survives the process and is seen by every worker."""

import sqlite3
import time

import pytest

from mpp.gateway.memo import KEEP_S, MemoError, SqliteMemo

DIGEST = b"d" * 16


@pytest.fixture
def path(tmp_path):
    return tmp_path / "memo.db"


async def test_what_was_kept_is_known_to_another_worker_and_after_a_restart(path):
    first, second = SqliteMemo(path), SqliteMemo(path)
    assert await second.accepted("a@x", ["b@y"], DIGEST) == {}
    await first.keep("a@x", DIGEST, {"b@y": "queued as 1"}, {"c@y": "550 5.1.1 no such user"})
    for memo in (first, second, SqliteMemo(path)):
        assert await memo.accepted("a@x", ["b@y", "c@y"], DIGEST) == {"b@y": "queued as 1"}
        assert memo.refusal("a@x", "c@y") == "550 5.1.1 no such user"


@pytest.mark.parametrize(
    ("reverse_path", "recipient", "digest"),
    [("other@x", "b@y", DIGEST), ("a@x", "other@y", DIGEST), ("a@x", "b@y", b"e" * 16)],
)
async def test_nothing_else_is_taken_for_it(path, reverse_path, recipient, digest):
    memo = SqliteMemo(path)
    await memo.keep("a@x", DIGEST, {"b@y": "ok"}, {})
    assert await memo.accepted(reverse_path, [recipient], digest) == {}


async def test_what_is_forgotten_is_gone_for_all(path):
    first, second = SqliteMemo(path), SqliteMemo(path)
    await first.keep("a@x", DIGEST, {"b@y": "ok"}, {"c@y": "550 5.1.1 no"})
    assert second.refusal("a@x", "c@y")
    await second.forget("a@x", DIGEST, ["b@y"], ["c@y"])
    assert await first.accepted("a@x", ["b@y"], DIGEST) == {}
    assert first.refusal("a@x", "c@y") is None


async def test_five_days_are_the_end(path):
    now = [1000.0]
    memo = SqliteMemo(path, clock=lambda: now[0])
    await memo.keep("a@x", DIGEST, {"b@y": "ok"}, {})
    now[0] += KEEP_S + 1
    await memo.keep("z@x", DIGEST, {"b@y": "ok"}, {})
    assert await memo.accepted("a@x", ["b@y"], DIGEST) == {}


async def test_another_tenant_knows_nothing(path):
    await SqliteMemo(path, tenant="one").keep("a@x", DIGEST, {"b@y": "ok"}, {})
    assert await SqliteMemo(path, tenant="two").accepted("a@x", ["b@y"], DIGEST) == {}


async def test_a_file_that_is_no_database_is_said_so(path):
    path.write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        SqliteMemo(path)


async def test_a_row_ends_after_five_days_though_nobody_writes(path):
    now = [1000.0]
    memo = SqliteMemo(path, clock=lambda: now[0])
    await memo.keep("a@x", DIGEST, {"b@y": "ok"}, {"c@y": "550 5.1.1 no"})
    now[0] += KEEP_S + 1
    assert await memo.accepted("a@x", ["b@y"], DIGEST) == {}
    assert memo.refusal("a@x", "c@y") is None


async def test_the_loop_never_waits_for_another_process(path):
    memo = SqliteMemo(path)
    await memo.keep("a@x", DIGEST, {}, {"c@y": "550 5.1.1 no"})
    assert memo.refusal("a@x", "c@y")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("insert into refused values ('default', 'a@x', 'd@y', '550 5.1.1 no', 9e9)")
    other.execute("begin exclusive")
    began = time.monotonic()
    assert memo.refusal("a@x", "c@y") == "550 5.1.1 no"
    assert memo.refusal("a@x", "d@y") is None
    assert time.monotonic() - began < 0.5
    other.execute("rollback")
    assert memo.refusal("a@x", "d@y") == "550 5.1.1 no"


async def test_what_could_not_be_written_is_known_to_this_process(path):
    memo = SqliteMemo(path)
    memo._writing.execute("pragma query_only=on")  # as a full disk: every write fails
    with pytest.raises(MemoError):
        await memo.keep("a@x", DIGEST, {"b@y": "ok"}, {"c@y": "550 5.1.1 no"})
    assert await memo.accepted("a@x", ["b@y"], DIGEST) == {"b@y": "ok"}
    assert memo.refusal("a@x", "c@y") == "550 5.1.1 no"
    memo._writing.execute("pragma query_only=off")
    await memo.forget("a@x", DIGEST, ["b@y"], ["c@y"])
    assert await memo.accepted("a@x", ["b@y"], DIGEST) == {}
