"""A catalog that was lost comes back as it was; what was let go of does not. And `check` names whatever is not right."""

import base64
import os
import shutil
from itertools import count

import pytest
from sqlalchemy import delete, insert, select, update

from mpp.store import compact as compacting
from mpp.store import events as events_module
from mpp.store import quarantine
from mpp.store.background import Tasks
from mpp.store.catalog import add_rows, catalog_url, open_catalog, prepare
from mpp.store.check import Counts, check
from mpp.store.events import Event, all_events, record
from mpp.store.fates import fates, outdated
from mpp.store.forget import drop, overwrite
from mpp.store.journal import Journal, Told, journal_path, put_back, told
from mpp.store.keyfile import KeyFile
from mpp.store.opening import url_of
from mpp.store.quarantine import Settled
from mpp.store.quarantine_query import Key
from mpp.store.rebuild import rebuild
from mpp.store.schema import blob_uses, blobs, copies, messages, metadata
from mpp.store.segment import SLOT_SIZE, Limits, key_path

RAW = b"Content-Transfer-Encoding: base64\r\n\r\n"
LARGE = RAW + base64.encodebytes(bytes(range(256)) * 300).replace(b"\n", b"\r\n")


async def fill(store, letters):
    writer = store.writer()
    for letter in letters:
        await writer.store(letter)
    await writer.close()


def everything(store):
    """All rows of the tables that a rebuild makes, and every message as it opens."""
    catalog, reader = store.catalog(), store.reader()
    with catalog.read() as connection:
        tables = {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for table in (messages, copies, blobs, blob_uses)
        }
        opened = {
            identifier: reader.message(connection, tenant, identifier).raw
            for tenant, identifier in connection.execute(select(messages.c.tenant, messages.c.id)).all()
        }
    reader.close()
    catalog.close()
    return tables, opened


def lose_catalog(store):
    catalog = store.catalog()
    with catalog.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
    catalog.close()
    prepare(url_of(store.data, store.settings))


def rebuilt(store, events=()):
    catalog, reader = store.catalog(), store.reader()
    try:
        *_, done = rebuild(catalog, store.data, reader, events, "node")
        overwrite(catalog, store.data)
        return done
    finally:
        reader.close()
        catalog.close()


def faults(store, *, notes=False):
    catalog, reader, counts = store.catalog(), store.reader(), Counts()
    try:
        return [fault.text for fault in check(catalog, store.data, reader, counts, "node") if fault.note is notes]
    finally:
        reader.close()
        catalog.close()


def some(make_letter):
    return [
        make_letter("one", b"Subject: 1\r\n\r\n", "a@example.org", "b@example.org"),
        make_letter("two", LARGE),
        make_letter("three", LARGE, archived_until_ms=1 << 50),
        make_letter("kept", b"Subject: k\r\n\r\n", copies=(), archived_until_ms=1 << 50),
    ]


async def test_a_lost_catalog_comes_back(store, make_letter):
    await fill(store, some(make_letter))
    before = everything(store)
    assert faults(store) == faults(store, notes=True) == []
    lose_catalog(store)
    done = rebuilt(store)
    assert (done.messages, done.attachments, done.faults) == (4, 1, [])
    assert everything(store) == before
    assert faults(store) == faults(store, notes=True) == []
    rebuilt(store)  # again: nothing changes
    assert everything(store) == before


async def test_what_was_let_go_of_is_not_raised(store, make_letter):
    await fill(store, [*some(make_letter), make_letter("gone")])
    catalog = store.catalog()
    with catalog.write() as connection:
        connection.execute(update(copies).where(copies.c.message == "gone").values(state="deleted"))
        drop(connection, "default", ["gone"], now_ms=1)
    overwrite(catalog, store.data)
    catalog.close()
    lose_catalog(store)
    events = [
        Told("default", 1, "released", "one", "a@example.org", 1),
        Told("default", 2, "hold", "one", "b@example.org", 1),
        Told("default", 3, "deleted", "two", "bob@example.org", 1),
        Told("default", 4, "deleted", "three", "bob@example.org", 1),
        Told("default", 5, "viewed", "one", "a@example.org", 1),
    ]
    done = rebuilt(store, events)
    assert (done.messages, done.gone) == (4, 1)
    tables, opened = everything(store)
    assert set(opened) == {"one", "three", "kept"}  # two had one copy, and it was deleted; three is archived
    assert len(tables["blob_uses"]) == 1
    catalog = store.catalog()
    with catalog.read() as connection:
        rows = connection.execute(select(copies.c.message, copies.c.recipient, copies.c.state, copies.c.on_hold)).all()
    catalog.close()
    assert sorted(map(tuple, rows)) == [
        ("one", "a@example.org", "released", False), ("one", "b@example.org", "held", True),
        ("three", "bob@example.org", "deleted", False), ("two", "bob@example.org", "deleted", False),
    ]  # fmt: skip
    lose_catalog(store)
    assert set(everything(store)[1]) == set()
    rebuilt(store)
    assert "two" not in everything(store)[1]  # its key is gone for good


async def test_rows_that_lack_are_added_and_the_others_stay(store, make_letter):
    await fill(store, some(make_letter))
    before = everything(store)
    catalog = store.catalog()
    with catalog.write() as connection:
        connection.execute(delete(messages).where(messages.c.id == "one"))
        connection.execute(update(copies).where(copies.c.message == "two").values(state="released"))
    catalog.close()
    assert "is held, and its message has no row" in "\n".join(faults(store))
    assert "that no row names" in "\n".join(faults(store, notes=True))
    rebuilt(store)
    assert everything(store)[1] == before[1]
    assert "released" in "\n".join(everything(store)[0]["copies"])


@pytest.mark.slow
async def test_a_flipped_bit_anywhere_is_found_and_named(store, make_letter, soak):
    await fill(store, [make_letter("one"), make_letter("two")])
    (segment,) = store.data.glob("segments/*.seg")
    (keys,) = store.data.glob("keys/0*.keys")
    whole = {path: path.read_bytes() for path in (segment, keys)}
    for path, first, last in ((segment, 0, len(whole[segment])), (keys, 0, 256 + 2 * 64)):
        for position in range(first, last, 1 if soak else 29):
            data = bytearray(whole[path])
            if path == keys and not any(data[position : position + 1]) and position % 64 > 55:
                continue  # the padding of a slot says nothing
            data[position] ^= 1 << position % 8
            path.write_bytes(data)
            told = faults(store) + faults(store, notes=True)
            if path == segment or data[position] != whole[path][position]:
                assert told or _padding(path, position, keys), position
                assert all(segment.stem in text for text in told)
        path.write_bytes(whole[path])
    assert faults(store) == []


def _padding(path, position, keys):
    """Octets of a key file that carry nothing: behind its head's content and checksum, and behind a slot's key."""
    if path != keys:
        return False
    return 72 <= position < 256 or (position >= 256 and ((position - 256) % 64 >= 56 or (position - 256) % 64 == 1))


async def test_a_lost_file_is_named(store, make_letter):
    await fill(store, [make_letter("one")])
    (segment,) = store.data.glob("segments/*.seg")
    (keys,) = store.data.glob("keys/0*.keys")
    shutil.move(keys, keys.with_suffix(".away"))
    assert any(str(keys) in text and "backup of keys" in text for text in faults(store))
    shutil.move(keys.with_suffix(".away"), keys)
    segment.unlink()
    assert any(str(segment) in text and "backup" in text for text in faults(store))


@pytest.mark.parametrize("cut", range(1, 40))
async def test_the_journal_outlives_a_torn_line(tmp_path, cut):
    from mpp.store.journal import _line, _lines

    rows = [{"tenant": "t", "number": n, "action": "released", "message": "m", "recipient": "r"} for n in (1, 2)]
    path = journal_path(tmp_path)
    path.write_bytes(b"".join(map(_line, rows))[:-cut])
    assert [line["number"] for line, _ in _lines(path)] == [1]


def test_a_line_that_is_finished_while_it_is_read_is_no_damage(tmp_path):
    from mpp.store.journal import _line, _lines

    rows = [{"tenant": "t", "number": n, "action": "released", "message": "m", "recipient": "r"} for n in (1, 2)]
    whole, path = b"".join(map(_line, rows)), journal_path(tmp_path)

    class Growing:
        """The file, as it is where its writer ends the line as soon as its first half was read."""

        def open(self, mode):
            self._file = path.open(mode)
            return self

        def __iter__(self):
            for line in self._file:
                if not line.endswith(b"\n"):
                    path.write_bytes(whole)
                yield line

        def read(self, size):
            return self._file.read(size)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

    path.write_bytes(whole[:-9])
    assert [line["number"] for line, _ in _lines(Growing())] == [1]
    assert [line["number"] for line, _ in _lines(path)] == [1, 2]


async def test_the_journal_tells_what_a_lost_catalog_knew(store, make_letter):
    await fill(store, [make_letter("one", b"Subject: 1\r\n\r\n", "a@example.org", "b@example.org")])
    catalog = store.catalog()
    with catalog.write() as connection:
        record(connection, [Event("user", "released", message="one", recipient="a@example.org")])
    for _ in range(2):  # taken once
        journal = Journal(store.data)
        journal.take(catalog)
        journal.close()
    with catalog.write() as connection:
        record(connection, [Event("user", "hold", message="one", recipient="b@example.org")])
    known = list(told(store.data, catalog))
    assert [(event.number, event.action) for event in known] == [(1, "released"), (2, "hold")]
    catalog.close()
    lose_catalog(store)
    catalog = store.catalog()
    events = list(told(store.data, catalog))
    catalog.close()
    assert [event.action for event in events] == ["released"]
    rebuilt(store, events)
    assert "released" in "".join(everything(store)[0]["copies"])


async def test_what_happened_after_a_rebuild_outlives_the_next_one(store, make_letter):
    """Numbers of events are not given twice, else the journal takes none of the new ones and released mail is held again."""
    await fill(store, some(make_letter))
    happened(store, *[Event("user", "viewed", message="one", detail={"n": n}) for n in range(3)])
    was = all_told(store)
    lose_catalog(store)
    rebuilt_by_journal(store)
    assert all_told(store) == was
    happened(store, Event("user", "released", message="two", recipient="bob@example.org"))
    lose_catalog(store)
    rebuilt_by_journal(store)
    assert [(event.number, event.action) for event in all_told(store)][2:] == [(3, "viewed"), (4, "released")]
    assert state_of(store, "two") == "released"


async def test_a_catalog_that_went_on_empty_gets_its_events_back_before_new_ones_are_journaled(store, make_letter):
    await fill(store, some(make_letter))
    happened(store, *[Event("user", "viewed", message="one") for _ in range(3)])
    was = all_told(store)
    lose_catalog(store)
    work = Tasks(store.catalog(), store.settings, store.data, "node")
    work.write_journal()
    work.close()
    assert all_told(store) == was


async def test_an_old_catalog_put_back_is_found_and_settled(store, make_letter):
    """What was released or deleted since its backup is not held again, what was put on hold does not expire."""
    await fill(
        store,
        [
            make_letter("one", b"Subject: 1\r\n\r\n", "a@example.org", "b@example.org", "c@example.org"),
            make_letter("two"),
        ],
    )
    before = everything(store)
    catalog = store.catalog()
    a, b, c = (Key("one", f"{name}@example.org") for name in "abc")
    with catalog.write() as connection:
        record(connection, [Event("x", "release-unknown", message="one", recipient=c.recipient)])
        connection.execute(update(copies).where(copies.c.recipient == c.recipient).values(state="unknown"))
        old = connection.execute(select(copies)).mappings().all()
    with catalog.write() as connection:
        quarantine.claim(connection, "default", [a], "me")
        quarantine.settle(connection, "default", [Settled(a, "released", "250 ok", "h", a.recipient)], "me", "user")
        quarantine.hold(connection, "default", [b], "user", "why", on=True)
        quarantine.delete(connection, "default", [c], "user")
    assert faults(store) == []
    with catalog.write() as connection:
        connection.execute(delete(copies))
        connection.execute(insert(copies), [dict(row) for row in old])
    assert len(faults(store)) == 3, faults(store)
    assert all("rebuild" in text for text in faults(store))
    assert rebuilt(store, list(told(store.data, catalog))).settled == 3
    catalog.close()
    assert faults(store) == []
    assert [state_of(store, "one", key.recipient) for key in (a, b, c)] == ["released", "held", "deleted"]
    assert everything(store)[1] == before[1]


async def test_a_release_that_went_on_when_the_backup_was_made_is_settled(store, make_letter, monkeypatch):
    """Its row says that it is being released, and nobody does: the log says how it ended. One that began since then goes on."""
    ticking(monkeypatch)
    await fill(store, [make_letter("one", b"Subject: 1\r\n\r\n", *(f"{name}@example.org" for name in "abc"))])
    a, b, c = (Key("one", f"{name}@example.org") for name in "abc")
    catalog = store.catalog()
    with catalog.write() as connection:
        quarantine.claim(connection, "default", [c], "me")
        quarantine.settle(connection, "default", [Settled(c, "unknown", "", "h", "")], "me", "user")
        quarantine.claim(connection, "default", [a, b], "me")
        quarantine.claim(connection, "default", [c], "me", states=("unknown",))
    assert faults(store) == []
    old = backup(store)
    with catalog.write() as connection:
        quarantine.hold(connection, "default", [c], "user", "why", on=True)
        ends = [Settled(a, "released", "250 ok", "h", ""), Settled(b, "held", "450 no", "h", "")]
        quarantine.settle(connection, "default", ends, "me", "user")
        quarantine.delete(connection, "default", [b], "user")
    catalog.close()
    happened(store)
    put_back_catalog(store, old)
    assert len(faults(store)) == 3
    catalog = store.catalog()
    assert rebuilt(store, list(told(store.data, catalog))).settled == 3
    assert faults(store) == []
    with catalog.read() as connection:
        rows = connection.execute(select(copies.c.state, copies.c.on_hold, copies.c.claim).order_by(copies.c.recipient))
        assert list(map(tuple, rows)) == [
            ("released", False, ""), ("deleted", False, ""), ("releasing", True, "me"),
        ]  # fmt: skip
    catalog.close()


async def test_what_was_released_stays_so_though_an_old_catalog_gave_it_up(store, make_letter, monkeypatch):
    """Whoever goes on with the backup finds a process that has ended, and knows nothing of what it wrote down at last."""
    ticking(monkeypatch)
    await fill(store, [make_letter("one", b"Subject: 1\r\n\r\n", "a@example.org", "b@example.org")])
    a, b = (Key("one", f"{name}@example.org") for name in "ab")
    catalog = store.catalog()
    with catalog.write() as connection:
        quarantine.claim(connection, "default", [a, b], "elsewhere:1:1")
    old = backup(store)
    with catalog.write() as connection:
        ends = [Settled(a, "released", "250 ok", "h", ""), Settled(b, "held", "450 no", "h", "")]
        quarantine.settle(connection, "default", ends, "elsewhere:1:1", "user")
        quarantine.delete(connection, "default", [b], "user")
    catalog.close()
    happened(store)
    put_back_catalog(store, old)
    catalog = store.catalog()
    put_back(store.data, catalog)
    monkeypatch.setattr(quarantine, "STALE_MS", 0)
    with catalog.write() as connection:
        assert quarantine.abandon(connection, "default", "here") == [a, b]
    catalog.close()
    happened(store)
    assert len(faults(store)) == 2
    catalog = store.catalog()
    assert rebuilt(store, list(told(store.data, catalog))).settled == 2
    catalog.close()
    assert faults(store) == []
    assert [state_of(store, "one", key.recipient) for key in (a, b)] == ["released", "deleted"]


def ticking(monkeypatch):
    """A clock on which nothing happens at the same time."""
    clock = count(1_000_000)
    for module in (quarantine, events_module):
        monkeypatch.setattr(module, "now_ms", lambda: next(clock))


async def test_a_change_while_check_looks_is_no_fault(store, make_letter):
    await fill(store, [make_letter("one")])
    catalog, key = store.catalog(), Key("one", "bob@example.org")
    with catalog.write() as connection:
        quarantine.hold(connection, "default", [key], "user", "why", on=True)
    known = fates(told(store.data, catalog))
    with catalog.write() as connection:
        quarantine.hold(connection, "default", [key], "user", "why", on=False)
    with catalog.read() as connection:
        assert list(outdated(connection, known)) == []
    catalog.close()


def backup(store):
    """All rows of the catalog."""
    catalog = store.catalog()
    with catalog.read() as connection:
        rows = {t: [dict(row) for row in connection.execute(select(t)).mappings()] for t in metadata.sorted_tables}
    catalog.close()
    return rows


def put_back_catalog(store, rows):
    lose_catalog(store)
    catalog = store.catalog()
    with catalog.write() as connection:
        for table, each in rows.items():
            add_rows(connection, table, each, keep=True)
    catalog.close()


def let_go(store, names):
    """What people deleted, and the background process's next turns but for compaction."""
    catalog, journal = store.catalog(), Journal(store.data)
    with catalog.write() as connection:
        quarantine.delete(connection, "default", [Key(name, "bob@example.org") for name in names], "user")
    overwrite(catalog, store.data)
    journal.take(catalog)
    journal.close()
    catalog.close()


def compacted(store):
    catalog, reader = store.catalog(), store.reader()
    try:
        return compacting.compact(catalog, store.data, reader, "node", Limits(1 << 28, 1e6, 0))
    finally:
        reader.close()
        catalog.close()


def only_keys(data, segment):
    """Die where the keys of a segment are overwritten, and its files are still there."""
    keys = KeyFile(key_path(data, segment), SLOT_SIZE, writing=True)
    keys.forget(range(len(keys.read_all())))
    keys.close()
    raise KeyboardInterrupt


@pytest.mark.parametrize("removed", [True, False])
async def test_what_was_moved_since_an_old_catalog_opens_after_a_rebuild(store, make_letter, monkeypatch, removed):
    """Its rows name a segment that is gone, or its keys; what is younger than the backup has no row at all."""
    letters = [make_letter(f"m{n}", b"Subject: %d\r\n\r\n" % n + os.urandom(3000)) for n in range(10)]
    writer = store.writer()
    for letter in [*letters[:9], make_letter("large", LARGE)]:
        await writer.store(letter)
    old = backup(store)
    await writer.store(letters[9])
    await writer.close()
    let_go(store, [f"m{n}" for n in range(8)])
    with monkeypatch.context() as patched:
        if removed:
            assert compacted(store)
        else:
            patched.setattr(compacting, "_remove", only_keys)
            with pytest.raises(KeyboardInterrupt):
                compacted(store)
    _, held = everything(store)
    assert set(held) == {"m8", "m9", "large"}
    put_back_catalog(store, old)
    assert "rebuild" in "\n".join(faults(store))
    rebuilt_by_journal(store)
    assert faults(store) == faults(store, notes=True) == []
    assert everything(store)[1] == held
    while compacted(store):
        pass
    assert everything(store)[1] == held
    assert faults(store) == faults(store, notes=True) == []


async def test_a_gateway_that_goes_on_with_an_old_catalog_frees_nothing_that_a_rebuild_needs(store, make_letter):
    """Held mail without a row stays when most of its segment is let go of."""
    letters = [make_letter(f"m{n}", b"Subject: %d\r\n\r\n" % n + os.urandom(3000)) for n in range(10)]
    writer = store.writer()
    for letter in letters[:9]:
        await writer.store(letter)
    old = backup(store)
    await writer.store(letters[9])
    await writer.close()
    _, held = everything(store)
    put_back_catalog(store, old)
    let_go(store, [f"m{n}" for n in range(8)])
    assert compacted(store)
    assert compacted(store) is None
    rebuilt_by_journal(store)
    assert everything(store)[1] == {name: held[name] for name in ("m8", "m9")}


@pytest.mark.parametrize("again", [True, False])
async def test_a_backup_from_the_midst_of_a_compaction_loses_nothing(store, make_letter, monkeypatch, again):
    """By it the new segment is unfinished and to be removed; the old one, which its rows name, is gone."""
    letters = [make_letter(f"m{n}", b"Subject: %d\r\n\r\n" % n + os.urandom(3000)) for n in range(10)]
    await fill(store, [*letters, make_letter("large", LARGE)])
    let_go(store, [f"m{n}" for n in range(8)])
    _, held = everything(store)
    old, rename = [], compacting._rename

    def saving(*arguments):
        old.append(backup(store))
        return rename(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(compacting, "_rename", saving)
        assert compacted(store)
    put_back_catalog(store, old[0])
    if again:
        compacted(store)
    rebuilt_by_journal(store)
    compacted(store)
    assert everything(store)[1] == held
    assert faults(store) == faults(store, notes=True) == []


def happened(store, *events):
    """What people did, and the background process's next turn."""
    catalog, journal = store.catalog(), Journal(store.data)
    with catalog.write() as connection:
        record(connection, events)
    journal.take(catalog)
    journal.close()
    catalog.close()


def rebuilt_by_journal(store):
    catalog = store.catalog()
    events = list(told(store.data, catalog))
    catalog.close()
    rebuilt(store, events)


def all_told(store):
    catalog = store.catalog()
    with catalog.read() as connection:
        found = list(all_events(connection))
    catalog.close()
    return found


def state_of(store, message, recipient="bob@example.org"):
    catalog, c = store.catalog(), copies.c
    with catalog.read() as connection:
        found = connection.scalar(select(c.state).where(c.message == message, c.recipient == recipient))
    catalog.close()
    return found


def test_a_look_for_new_events_does_not_walk_the_old_ones(tmp_path):
    """It is done each second: SQLite does as much for it whatever number of events is there."""
    url = catalog_url("", "", tmp_path)
    prepare(url)
    catalog, journal, steps = open_catalog(url), Journal(tmp_path), []
    with catalog.read() as connection:
        connection.connection.driver_connection.set_progress_handler(lambda: steps.append(1) or 0, 1)

    def looked(number: int) -> int:
        with catalog.write() as connection:
            record(connection, [Event("user", "seen", tenant) for tenant in ("two", "one") for _ in range(number)])
        assert journal.take(catalog) == 2 * number
        steps.clear()
        assert journal.take(catalog) == 0
        return len(steps)

    assert looked(10) == looked(2000) > 0
    of = [event.tenant for event in told(tmp_path, catalog)]
    assert of == ["one"] * 10 + ["two"] * 10 + ["one"] * 2000 + ["two"] * 2000
    journal.close()
    catalog.close()


def test_random_octets_are_no_segment(store):
    (store.data / "segments" / ("0" * 24 + ".seg")).write_bytes(os.urandom(5000))
    assert any("no head of a segment" in text for text in faults(store, notes=False))
