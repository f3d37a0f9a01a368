"""The n-th call to the disk fails, for each n, and the power goes in the middle of the last record: nothing promised is lost."""

import errno
import os
import time

import pytest
from sqlalchemy import delete, select

from mpp.store import keyfile, segment
from mpp.store.check import Counts, check
from mpp.store.errors import KeysError, StoreError
from mpp.store.opening import prepare_store
from mpp.store.rebuild import rebuild
from mpp.store.schema import copies, messages
from mpp.store.tenants import open_tenants, tenants_file

CALLS = ("pwrite", "fdatasync", "fsync", "ftruncate", "open", "statvfs")


class Failing:
    """The module os, of which the n-th call fails; with `torn`, a write that fails has written half."""

    def __init__(self, fail_at: int, *, torn: bool) -> None:
        self.fail_at, self.torn, self.count = fail_at, torn, 0

    def __getattr__(self, name):
        real = getattr(os, name)
        return self._counted(name, real) if name in CALLS else real

    def _counted(self, name, real):
        def call(*arguments, **more):
            self.count += 1
            if self.count != self.fail_at:
                return real(*arguments, **more)
            if name == "pwrite" and self.torn:
                real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2], arguments[2])
            raise OSError(errno.EIO, f"{name} fails")

        return call


def looked_at(store):
    """The ids that the catalog has, each opened; what is wrong; what is noted."""
    catalog, reader = store.catalog(), store.reader()
    try:
        return looked_at_with(catalog, reader, store.data)
    finally:
        reader.close()
        catalog.close()


def looked_at_with(catalog, reader, data):
    with catalog.read() as connection:
        names = [name for (name,) in connection.execute(select(messages.c.id))]
        for name in names:
            assert reader.message(connection, "default", name)
    faults = list(check(catalog, data, reader, Counts(), "node"))
    return set(names), [each.text for each in faults if not each.note], [each for each in faults if each.note]


async def attempt(store, make_letter, monkeypatch, failing) -> tuple[set[str], bool]:
    """Store three letters with a disk that fails once, and a fourth on a sound one; the ids that were promised."""
    writer, promised = store.writer(), set()
    with monkeypatch.context() as patched:
        patched.setattr(segment, "os", failing)
        patched.setattr(keyfile, "os", failing)
        for name in ("a", "b", "c"):
            try:
                await writer.store(make_letter(name))
                promised.add(name)
            except StoreError:
                continue
    await writer.store(make_letter("d"))
    await writer.close()
    return promised | {"d"}, failing.count >= failing.fail_at


@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True])
async def test_the_nth_call_to_the_disk_fails(tmp_path, make_letter, monkeypatch, torn):
    from mpp.store.settings import Store
    from unit.store.conftest import Folder

    n, failed = 0, True
    while failed:
        n += 1
        store = Folder(tmp_path / str(n) / "data", Store(min_free=0))
        prepare_store(store.data, store.settings)
        promised, failed = await attempt(store, make_letter, monkeypatch, Failing(n, torn=torn))
        there, faults, _ = looked_at(store)
        assert (there, faults) == (promised, []), n
        assert len(promised) >= 3, n
        if failed:
            assert len(promised) == 3, n  # exactly the one whose call failed
    assert n > 15


@pytest.mark.slow
async def test_the_power_goes_at_every_octet_of_the_last_record(tmp_path, make_letter, catalog_setting):
    """The record is torn, and its row was never committed: nothing is wrong with the rest, and a rebuild does not stumble."""
    from mpp.store.settings import Store
    from unit.store.conftest import Folder

    store = Folder(tmp_path / "data", Store(catalog=catalog_setting, min_free=0))
    prepare_store(store.data, store.settings)
    writer = store.writer()
    for name in ("first", "last"):
        await writer.store(make_letter(name, b"Subject: x\r\n\r\n"))
    await writer.close()
    catalog, reader = store.catalog(), store.reader()
    with catalog.write() as connection:
        where = select(messages.c.position, messages.c.length).where(messages.c.id == "last")
        position, length = connection.execute(where).one()
        connection.execute(delete(messages).where(messages.c.id == "last"))
        connection.execute(delete(copies).where(copies.c.message == "last"))
    (file,) = store.data.glob("segments/*.seg")
    whole = file.read_bytes()
    for cut in range(1, length):
        file.write_bytes(whole[: position + cut])
        there, faults, notes = looked_at_with(catalog, reader, store.data)
        assert (there, faults, len(notes)) == ({"first"}, [], 1), cut
    for torn in (whole[:-3] + bytes(3), whole[: position + 9] + bytes(length - 9), whole[:position] + bytes(length)):
        file.write_bytes(torn)
        assert looked_at(store)[:2] == ({"first"}, [])
        *_, done = rebuild(catalog, store.data, reader, (), "node")
        assert (done.messages, len(done.faults)) == (1, 1)
    writer = store.writer()
    await writer.store(make_letter("after"))
    await writer.close()
    assert looked_at(store)[:2] == ({"first", "after"}, [])
    catalog.close()


async def test_a_clock_that_goes_back_begins_another_segment(store, make_letter, monkeypatch):
    writer = store.writer()
    await writer.store(make_letter("now"))
    real = time.time
    monkeypatch.setattr(segment.time, "time", lambda: real() - 86_400)
    await writer.store(make_letter("yesterday"))
    await writer.close()
    assert len([*store.data.glob("segments/*.seg")]) == 2
    assert looked_at(store)[:2] == ({"now", "yesterday"}, [])


def snapshot(store):
    return {path: path.read_bytes() for path in sorted(store.data.glob("keys/*")) if path.is_file()}


@pytest.mark.parametrize(
    ("harm", "cure"),
    [
        pytest.param(lambda key: key.write_text("0" * 64), "is not the one", id="another key"),
        pytest.param(lambda key: key.write_text("0" * 63), "not 64 hexadecimal digits", id="no key"),
        pytest.param(lambda key: key.unlink(), "put it back from your backup", id="lost"),
        pytest.param(lambda key: key.chmod(0o644), "chmod 600", id="readable by all"),
    ],
)
async def test_a_wrong_or_lost_key_is_refused_and_nothing_is_overwritten(store, make_letter, harm, cure):
    writer = store.writer()
    await writer.store(make_letter("m"))
    await writer.close()
    key, before = store.data.parent / "data.master.key", snapshot(store)
    kept = key.read_text()
    harm(key)
    with pytest.raises(KeysError, match=cure):
        open_tenants(store.data, "")
    with pytest.raises(KeysError, match=cure):
        prepare_store(store.data, store.settings, ("default", "new"))
    assert snapshot(store) == before
    key.write_text(kept)
    key.chmod(0o600)
    assert looked_at(store)[:2] == ({"m"}, [])


async def test_lost_tenants_keys_are_not_made_anew(store, make_letter):
    writer = store.writer()
    await writer.store(make_letter("m"))
    await writer.close()
    tenants_file(store.data).unlink()
    with pytest.raises(KeysError, match="the store holds messages"):
        prepare_store(store.data, store.settings)
    assert not tenants_file(store.data).exists()
