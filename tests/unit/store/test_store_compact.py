"""Compaction frees what nobody names any more, moves the rest unharmed, and survives its own end at any step."""

import base64
import os

import pytest
from sqlalchemy import update

from mpp.store import check as checking
from mpp.store import compact as compacting
from mpp.store.check import Counts, check
from mpp.store.compact import compact
from mpp.store.forget import drop, overwrite
from mpp.store.schema import copies
from mpp.store.segment import Limits

LIMITS = Limits(1 << 28, 1e6, 0)
RAWS = {f"m{n}": b"Subject: %d\r\n\r\n" % n + os.urandom(3000) for n in range(20)}
LARGE = b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(os.urandom(70_000)).replace(b"\n", b"\r\n")


@pytest.fixture
async def filled(store, make_letter):
    """Twenty messages and a large one; all but three of them deleted."""
    writer = store.writer()
    for name, raw in [*RAWS.items(), ("large", LARGE)]:
        await writer.store(make_letter(name, raw))
    await writer.close()
    delete(store, [f"m{n}" for n in range(18)])
    return store


def delete(store, names):
    catalog = store.catalog()
    with catalog.write() as connection:
        connection.execute(update(copies).where(copies.c.message.in_(names)).values(state="deleted"))
        drop(connection, "default", names, now_ms=1)
    overwrite(catalog, store.data)
    catalog.close()


def run(store):
    catalog, reader = store.catalog(), store.reader()
    try:
        return compact(catalog, store.data, reader, "node", LIMITS)
    finally:
        reader.close()
        catalog.close()


def whole(store, names):
    catalog, reader = store.catalog(), store.reader()
    with catalog.read() as connection:
        for name in names:
            assert reader.message(connection, "default", name).raw == {**RAWS, "large": LARGE}[name]
    faults = [fault.text for fault in check(catalog, store.data, reader, Counts(), "node") if not fault.note]
    reader.close()
    catalog.close()
    return faults == []


def files(store):
    return sorted(path.name for folder in ("segments", "keys") for path in store.data.glob(f"{folder}/0*"))


async def test_a_segment_that_is_mostly_named_stays(filled):
    before = files(filled)
    assert run(filled) is None  # the large one is more than half of it
    assert files(filled) == before


async def test_what_is_left_moves_and_the_old_files_go(filled):
    delete(filled, ["large"])
    before = files(filled)
    done = run(filled)
    assert done.freed > 100_000
    assert len(files(filled)) == 2
    assert not set(files(filled)) & set(before)
    assert whole(filled, ["m18", "m19"])
    assert run(filled) is None


async def test_a_segment_without_any_row_goes(filled):
    delete(filled, ["large", "m18", "m19"])
    assert run(filled)
    assert files(filled) == []


async def test_records_that_no_row_names_but_could_be_opened_stay(filled):
    catalog = filled.catalog()
    with catalog.write() as connection:
        connection.exec_driver_sql("delete from messages")
        connection.exec_driver_sql("delete from blobs")
    catalog.close()
    before = files(filled)
    assert run(filled) is None
    assert files(filled) == before


@pytest.mark.parametrize("step", ["_rename", "_remove", "_remove_unfinished"])
@pytest.mark.parametrize("after", [False, True])
async def test_the_end_at_any_step_loses_nothing(filled, monkeypatch, step, after):
    delete(filled, ["large"])
    real = getattr(compacting, step)

    def die(*arguments):
        if after:
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(compacting, step, die)
        with pytest.raises(KeyboardInterrupt):
            run(filled)
    assert whole(filled, ["m18", "m19"])
    while run(filled):
        pass
    assert whole(filled, ["m18", "m19"])
    assert len(files(filled)) == 2


def looked_beside(store, monkeypatch, step, work):
    """What `check` finds where `work` is done by a gateway just before the first call of `step`, or the first time it yields."""
    real, to_do = getattr(checking, step), [work]

    def beside(*arguments):
        if to_do and step != "records":
            to_do.pop()()
        for number, each in enumerate(real(*arguments)):
            if to_do and number:
                to_do.pop()()
            yield each

    monkeypatch.setattr(checking, step, beside)
    catalog, reader = store.catalog(), store.reader()
    try:
        return [fault.text for fault in check(catalog, store.data, reader, Counts(), "node")]
    finally:
        assert not to_do
        reader.close()
        catalog.close()


def move(store):
    delete(store, ["m18"])
    assert run(store) is not None


@pytest.mark.parametrize("step", ["_segment", "records"])
async def test_a_check_beside_a_compaction_finds_no_fault(filled, monkeypatch, step):
    """Its files go before they are opened, or while they are read."""
    delete(filled, ["large"])
    assert looked_beside(filled, monkeypatch, step, lambda: move(filled)) == []
    assert whole(filled, ["m19"])


async def test_a_check_beside_a_deletion_finds_no_fault(filled, monkeypatch):
    assert looked_beside(filled, monkeypatch, "records", lambda: delete(filled, ["m18", "m19", "large"])) == []


async def test_a_message_that_moves_while_it_is_put_together_is_no_fault(filled, monkeypatch):
    delete(filled, ["m18", "m19"])
    catalog, reader = filled.catalog(), filled.reader()
    real = reader.content

    def moving(place):
        monkeypatch.setattr(reader, "content", real)
        move_all(filled)
        return real(place)

    monkeypatch.setattr(reader, "content", moving)
    assert list(checking._messages(catalog, reader, set(checking.segments_here(filled.data)))) == []
    reader.close()
    catalog.close()


def move_all(store):
    """Move what is in the first segment, however much that is."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compacting, "LIVELY", 2.0)
        assert run(store) is not None
