"""What the writer said is stored can be read, octet for octet; what it refused is not there."""

import asyncio
import base64
import os
from contextlib import contextmanager

import pytest
from sqlalchemy import insert, select

from mpp.store.catalog import Catalog
from mpp.store.errors import CommitLostError, StoreError
from mpp.store.schema import blob_uses, blobs, copies, messages, versions
from mpp.store.segment import NoRoomError


async def stored(store, letters):
    writer = store.writer()
    try:
        await asyncio.gather(*map(writer.store, letters))
    finally:
        await writer.close()


def read(store, identifier, tenant="default"):
    catalog, reader = store.catalog(), store.reader()
    try:
        with catalog.read() as connection:
            return reader.message(connection, tenant, identifier)
    finally:
        reader.close()
        catalog.close()


def rows(store, table):
    catalog = store.catalog()
    try:
        with catalog.read() as connection:
            return connection.execute(select(table)).mappings().all()
    finally:
        catalog.close()


async def test_what_is_stored_comes_back(store, make_letter):
    raws = [b"Subject: n%d\r\nFrom: A <a@example.net>\r\n\r\n" % n + os.urandom(n) for n in range(100)]
    await stored(store, [make_letter(f"id{n}", raw) for n, raw in enumerate(raws)])
    for n, raw in enumerate(raws):
        found = read(store, f"id{n}")
        assert found.raw == raw
        assert found.envelope.reverse_path == "alice@example.net"
        assert found.envelope.parameters == {"BODY": "8BITMIME"}
        assert found.client.helo == "client"
    assert {row["subject"] for row in rows(store, messages)} == {f"n{n}" for n in range(100)}
    assert len(rows(store, copies)) == 100
    assert read(store, "id1", tenant="other") is None
    assert read(store, "nobody") is None


async def test_a_copy_for_each_recipient_and_none_for_the_archive(store, make_letter):
    held = make_letter("held", b"\r\n", "a@example.org", "b@example.org")
    kept = make_letter("kept", b"\r\n", copies=(), archived_until_ms=99)
    await stored(store, [held, kept])
    assert [(row["message"], row["recipient"], row["state"]) for row in rows(store, copies)] == [
        ("held", "a@example.org", "held"), ("held", "b@example.org", "held"),
    ]  # fmt: skip
    assert {row["id"]: row["archived_until"] for row in rows(store, messages)} == {"held": None, "kept": 99}


def attached(data: bytes, subject: bytes) -> bytes:
    encoded = base64.encodebytes(data).replace(b"\n", b"\r\n")
    top = b"Subject: " + subject + b"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
    return top + b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded + b"--b--\r\n"


async def test_a_large_attachment_is_stored_once(store, make_letter):
    data = os.urandom(200_000)
    await stored(store, [make_letter(f"id{n}", attached(data, b"s%d" % n)) for n in range(5)])
    await stored(store, [make_letter("later", attached(data, b"later"))])
    (blob,) = rows(store, blobs)
    assert (blob["size"], blob["used"]) == (len(data), 6)
    assert len(rows(store, blob_uses)) == 6
    on_disk = sum(path.stat().st_size for path in store.data.glob("segments/*.seg"))
    assert on_disk < 1.1 * len(data)
    for n in range(5):
        assert read(store, f"id{n}").raw == attached(data, b"s%d" % n)
    assert read(store, "later").raw == attached(data, b"later")


@pytest.mark.parametrize("end", [b"\r\n", b"", b"\r\n\r\n", b"=\r\n"])
async def test_odd_base64_comes_back_as_it_was(store, make_letter, end):
    encoded = base64.encodebytes(os.urandom(70_000)).replace(b"\n", b"\r\n").rstrip(b"\r\n=") + end
    raw = b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded
    await stored(store, [make_letter("odd", raw)])
    assert read(store, "odd").raw == raw


async def test_one_bad_letter_does_not_stop_the_others(store, make_letter):
    writer = store.writer()
    letters = [make_letter("same"), make_letter("same"), make_letter("other"), make_letter("odd", about={"not": {1}})]
    said = await asyncio.gather(*map(writer.store, letters), return_exceptions=True)
    await writer.close()
    assert [type(each).__name__ for each in said] == ["NoneType", "ValueRefusedError", "NoneType", "StoreError"]
    assert {row["id"] for row in rows(store, messages)} == {"same", "other"}
    assert read(store, "same").raw == read(store, "other").raw


async def test_a_change_goes_with_the_batch_and_fails_alone(store, make_letter):
    def note(name):
        return lambda connection: connection.execute(insert(versions), {"tenant": "t", "name": name, "number": 1})

    def fail(connection):
        note("failed")(connection)
        raise LookupError

    writer = store.writer()
    jobs = [writer.change(note("a")), writer.change(fail), writer.change(note("a")), writer.store(make_letter("m"))]
    said = await asyncio.gather(*jobs, return_exceptions=True)
    await writer.close()
    assert [type(each).__name__ for each in said] == ["NoneType", "LookupError", "ValueRefusedError", "NoneType"]
    assert [row["name"] for row in rows(store, versions)] == ["a"]
    assert [row["id"] for row in rows(store, messages)] == ["m"]


async def test_after_a_lost_answer_the_others_of_a_batch_go_to_a_catalog_that_is_opened_anew(
    store, make_letter, monkeypatch
):
    write, close = Catalog.write, Catalog.close
    used, closed = [], []

    @contextmanager
    def second_is_lost(catalog):
        used.append(catalog)
        with write(catalog) as connection:
            yield connection
        if len(used) == 3:  # all in one, which fails by the change, then each by itself
            raise CommitLostError("no answer")

    def fail(connection):
        raise LookupError

    monkeypatch.setattr(Catalog, "write", second_is_lost)
    monkeypatch.setattr(Catalog, "close", lambda catalog: closed.append(catalog) or close(catalog))
    writer = store.writer()
    jobs = [writer.change(fail), writer.store(make_letter("asked")), writer.store(make_letter("other"))]
    said = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(each).__name__ for each in said] == ["LookupError", "NoneType", "NoneType"]
    assert {row["id"] for row in rows(store, messages)} == {"asked", "other"}
    first, last = used[2], used[3]
    assert last is not first
    assert first in closed
    assert last not in closed
    await writer.close()
    assert last in closed


async def test_too_little_room_is_said_and_nothing_written(store, make_letter):
    store.settings = store.settings.model_copy(update={"min_free": 1 << 60})
    with pytest.raises(NoRoomError, match=r"store\.min_free"):
        await stored(store, [make_letter("m")])
    assert rows(store, messages) == []
    assert [*store.data.glob("segments/*")] == []


async def test_segments_change_by_size(store, make_letter):
    store.settings = store.settings.model_copy(update={"segment_size": 100_000})
    writer = store.writer()
    for n in range(8):
        await writer.store(make_letter(f"m{n}", os.urandom(30_000)))
    await writer.close()
    assert len([*store.data.glob("segments/*")]) == 2
    assert len({row["segment"] for row in rows(store, messages)}) == 2


async def test_a_closed_writer_promises_nothing(store, make_letter):
    writer = store.writer()
    await writer.close()
    with pytest.raises(StoreError):
        await writer.store(make_letter("m"))
