"""A store in a folder, and letters to put into it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.store.letter import Copy, Letter
from mpp.store.opening import open_store_catalog, open_writer, prepare_store
from mpp.store.reader import Reader
from mpp.store.settings import Store

DAY_MS = 86_400_000


def letter(identifier: str, raw: bytes = b"Subject: one\r\n\r\ntext\r\n", *recipients: str, **more: Any) -> Letter:
    names = recipients or ("bob@example.org",)
    envelope = Envelope("alice@example.net", tuple(map(Recipient, names)), {"BODY": "8BITMIME"})
    copies = tuple(Copy(name, "spam", "policies.default.quarantine_above", 7.5) for name in names)
    values = {"copies": copies, "held_until_ms": 30 * DAY_MS, **more}
    return Letter(identifier, 1_000, envelope, Client("192.0.2.1", helo="client"), Message(raw), **values)


@dataclass
class Folder:
    """A store that was prepared, and how to open its parts."""

    data: Path
    settings: Store

    def writer(self):
        return open_writer(self.data, self.settings, "node")

    def catalog(self):
        return open_store_catalog(self.data, self.settings)

    def reader(self):
        return Reader.open(self.data, self.settings.master_key)


@pytest.fixture
def make_letter() -> Callable[..., Letter]:
    return letter


@pytest.fixture
def store(tmp_path: Path, catalog_setting: str) -> Folder:
    settings = Store(catalog=catalog_setting, min_free=0)
    prepare_store(tmp_path / "data", settings)
    return Folder(tmp_path / "data", settings)
