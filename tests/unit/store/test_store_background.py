"""The background process's tasks on the store: held copies expire, their keys and their room go, events reach the journal."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mpp.store.background import Tasks, open_tasks
from mpp.store.clock import now_ms
from mpp.store.events import all_events
from mpp.store.journal import journal_path
from mpp.store.opening import prepare_store
from mpp.store.quarantine import claim, claim_of, node_name
from mpp.store.quarantine_query import Key
from mpp.store.schema import copies, forgotten, leaves, messages
from mpp.store.settings import Store
from mpp.store.spool import FILE_AGE_S, MAGIC
from servers.held import fill, held

TO = "bob@example.org"


@pytest.fixture
async def tasks(catalog_setting: str, tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    settings = Store(catalog=catalog_setting, min_free=0)
    prepare_store(data, settings)
    old = [held(f"old{number}", at=now_ms() - 1000, until=now_ms() - 500) for number in range(3)]
    await fill(data, settings, [*old, held("new")])
    made = open_tasks(settings, data, "node")
    yield made
    made.close()


def count(tasks: Tasks, table) -> int:
    with tasks.catalog.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def again(task) -> None:
    """As the process does: until there is no more to do."""
    while task():
        pass


async def test_what_expires_goes_for_good_and_is_told(tasks: Tasks, tmp_path: Path):
    again(tasks.append_leaves)
    again(tasks.expire)
    again(tasks.overwrite_keys)
    tasks.write_journal()
    assert (count(tasks, messages), count(tasks, forgotten)) == (1, 0)
    with tasks.catalog.read() as connection:
        assert [(event.actor, event.action) for event in all_events(connection)] == [("background", "expired")] * 3
        assert set(connection.execute(select(copies.c.message).where(copies.c.state == "held")).scalars()) == {"new"}
    written = journal_path(tmp_path / "data").read_bytes()
    assert written.count(b"expired") == 3
    tasks.write_journal()
    assert journal_path(tmp_path / "data").read_bytes() == written
    again(tasks.append_leaves)
    assert count(tasks, leaves) == 4 + 3
    assert [(each.log, each.size) for each in tasks.sign()] == [("events", 3), ("messages", 4)]
    again(tasks.compact)
    assert count(tasks, messages) == 1


async def test_a_release_whose_process_has_ended_is_settled(tasks: Tasks):
    dead, alive, away = Key("old1", TO), Key("old2", TO), Key("new", TO)
    gone = subprocess.Popen(["true"])
    gone.wait()
    with tasks.catalog.write() as connection:
        claim(connection, "default", [dead], f"{node_name()}:{gone.pid}")
        claim(connection, "default", [alive], claim_of(node_name()))
        claim(connection, "default", [away], f"another-node:{gone.pid}")
    assert tasks.give_up() is False
    with tasks.catalog.read() as connection:
        states = dict(connection.execute(select(copies.c.message, copies.c.state)).all())
        told = [(event.actor, event.action, event.message) for event in all_events(connection)]
    assert states == {"old0": "held", "old1": "unknown", "old2": "releasing", "new": "releasing"}
    assert told == [("background", "release-unknown", "old1")]


def test_what_writers_left_that_died_in_making_a_file_is_removed(tmp_path: Path):
    tasks, spool = open_tasks(Store(), tmp_path, "node"), tmp_path / "spool"
    spool.mkdir()
    old, young = spool / "0-dead.new", spool / "1-alive.new"
    for path in (old, young):
        path.write_bytes(MAGIC)
    os.utime(old, times=(time.time() - FILE_AGE_S - 1,) * 2)
    assert tasks.load_traces(spool).damaged == 0
    assert list(spool.iterdir()) == [young]
    tasks.close()
