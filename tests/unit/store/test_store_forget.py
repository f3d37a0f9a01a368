"""What is deleted cannot be opened again, and what anything still keeps stays."""

import base64
import os

import pytest
from sqlalchemy import select, update

from mpp.store.forget import drop, overwrite
from mpp.store.reader import ForgottenError
from mpp.store.rows import Place
from mpp.store.schema import blobs, copies, forgotten, messages


async def fill(store, letters):
    writer = store.writer()
    for letter in letters:
        await writer.store(letter)
    await writer.close()


def set_state(connection, message, state, recipient=None):
    where = [copies.c.message == message, *([copies.c.recipient == recipient] if recipient else [])]
    connection.execute(update(copies).where(*where).values(state=state))


async def test_a_deleted_message_is_gone_for_good(store, make_letter):
    await fill(store, [make_letter("gone"), make_letter("stays")])
    catalog, reader = store.catalog(), store.reader()
    with catalog.read() as connection:
        columns = (messages.c.segment, messages.c.position, messages.c.length, messages.c.slot)
        place = Place(*connection.execute(select(*columns).where(messages.c.id == "gone")).one())
    with catalog.write() as connection:
        set_state(connection, "gone", "deleted")
        assert drop(connection, "default", ["gone", "stays", "no such"], now_ms=1) == ["gone"]
    assert overwrite(catalog, store.data) == 1
    assert overwrite(catalog, store.data) == 0
    with pytest.raises(ForgottenError, match="deleted for good"):
        reader.content(place)
    with catalog.read() as connection:
        assert reader.message(connection, "default", "gone") is None
        assert reader.message(connection, "default", "stays").raw == make_letter("stays").message.raw
        assert connection.execute(select(forgotten)).all() == []
    catalog.close()


@pytest.mark.parametrize(
    ("keeps", "more"),
    [
        pytest.param("another copy", {}, id="another recipient's copy is held"),
        pytest.param("hold", {}, id="a legal hold"),
        pytest.param("archive", {"archived_until_ms": 5}, id="the archive copy"),
        pytest.param("tenant", {}, id="it is another tenant's"),
    ],
)
async def test_what_keeps_a_message(store, make_letter, keeps, more):
    await fill(store, [make_letter("m", b"\r\n", "a@example.org", "b@example.org", **more)])
    catalog = store.catalog()
    with catalog.write() as connection:
        set_state(connection, "m", "deleted", "a@example.org" if keeps == "another copy" else None)
        if keeps == "hold":
            connection.execute(update(copies).where(copies.c.recipient == "a@example.org").values(on_hold=True))
        assert drop(connection, "other" if keeps == "tenant" else "default", ["m"], now_ms=1) == []
        if keeps == "archive":
            assert drop(connection, "default", ["m"], now_ms=5) == ["m"]
    catalog.close()


async def test_an_attachment_goes_with_its_last_use(store, make_letter):
    data = base64.encodebytes(os.urandom(100_000)).replace(b"\n", b"\r\n")
    raw = b"Content-Transfer-Encoding: base64\r\n\r\n" + data
    await fill(store, [make_letter("first", raw), make_letter("second", raw)])
    catalog, reader = store.catalog(), store.reader()
    with catalog.read() as connection:
        place = Place(
            *connection.execute(select(blobs.c.segment, blobs.c.position, blobs.c.length, blobs.c.slot)).one()
        )
    for identifier, left in (("first", 1), ("second", 0)):
        with catalog.write() as connection:
            set_state(connection, identifier, "deleted")
            drop(connection, "default", [identifier], now_ms=1)
        overwrite(catalog, store.data)
        with catalog.read() as connection:
            assert len(connection.execute(select(blobs)).all()) == left
            if left:
                assert reader.message(connection, "default", "second").raw == raw
    with pytest.raises(ForgottenError):
        reader.content(place)
    catalog.close()
