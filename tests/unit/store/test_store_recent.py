import asyncio

from mpp.store import recent as module
from mpp.store.recent import recent


async def test_recent_messages_come_in_pages_of_their_tenant_alone(store, make_letter, monkeypatch):
    monkeypatch.setattr(module, "_PAGE", 2)
    writer = store.writer()
    try:
        letters = [make_letter(f"id{number}", b"Subject: %d\r\n\r\n" % number) for number in range(5)]
        await asyncio.gather(*map(writer.store, letters))
    finally:
        await writer.close()
    catalog, reader = store.catalog(), store.reader()
    try:
        found = [(stored.id, stored.raw) for stored in recent(catalog, reader, "default", 0)]
        assert found == [(f"id{number}", b"Subject: %d\r\n\r\n" % number) for number in range(5)]
        assert list(recent(catalog, reader, "default", 2_000)) == []
        assert list(recent(catalog, reader, "other", 0)) == []
    finally:
        reader.close()
        catalog.close()
