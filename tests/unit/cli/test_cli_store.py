"""`mpp store check|rebuild|compact` as an operator calls them."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.store.errors import CatalogError
from mpp.store.letter import Copy, Letter
from mpp.store.opening import open_writer, prepare_store
from mpp.store.schema import segments
from mpp.store.settings import Store
from servers.stored import rows


@pytest.fixture
def data(tmp_path):
    folder, settings = tmp_path / "data", Store(min_free=0)
    prepare_store(folder, settings)

    async def fill():
        writer = open_writer(folder, settings, "node")
        for number in range(3):
            copy = Copy("bob@example.org", "spam", "rule")
            envelope = Envelope("a@example.net", (Recipient("bob@example.org"),))
            await writer.store(
                Letter(f"id{number}", 1, envelope, Client("192.0.2.1"), Message(b"Subject: x\r\n\r\n"), (copy,), 9)
            )
        await writer.close()

    asyncio.run(fill())
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["store", *map(str, arguments)])


def test_a_sound_store(data):
    done = run("check", "--data", data)
    assert (done.exit_code, done.output) == (0, "1 segments, 3 records, 0 MiB: no faults\n")
    assert json.loads(run("check", "--data", data, "--json").output)["faults"] == 0
    assert run("compact", "--data", data).output == "0 MiB are free again\n"


def test_a_lost_catalog_is_made_anew(data):
    for path in data.glob("catalog.db*"):
        path.unlink()
    done = run("rebuild", "--data", data)
    assert done.exit_code == 0
    assert "3 messages and 0 attachments are in the catalog" in done.output
    assert run("check", "--data", data).exit_code == 0


def test_a_segment_is_of_the_node_that_the_background_process_names(data):
    settings = data.parent / "mpp.toml"
    settings.write_text(f'node = {{ hostname = "gw.example", data = "{data}" }}\n')
    for path in data.glob("catalog.db*"):
        path.unlink()
    assert run("rebuild", "--settings", settings).exit_code == 0
    assert [row["node"] for row in rows(data, segments)] == ["gw.example"]


def test_damage_is_named_and_the_exit_code_says_so(data):
    (segment,) = data.glob("segments/*.seg")
    octets = bytearray(segment.read_bytes())
    octets[200] ^= 1
    segment.write_bytes(octets)
    done = run("check", "--data", data)
    assert done.exit_code == 1
    assert f"{segment}: at octet " in done.output


def test_a_lost_master_key_is_said_with_its_cure(data):
    (data.parent / "data.master.key").unlink()
    done = run("check", "--data", data)
    assert done.exit_code == 1
    assert "put it back from your backup" in done.output


@pytest.mark.parametrize("error", [CatalogError("the catalog is\x1b away"), OSError(5, "Input/output error")])
def test_a_store_that_fails_while_it_is_read_ends_the_command_with_words(data, monkeypatch, error):
    closed = []

    def failing(catalog, folder, reader, counts):
        for each in (catalog, reader):
            monkeypatch.setattr(type(each), "close", lambda it: closed.append(type(it).__name__))
        raise error
        yield

    monkeypatch.setattr("mpp.store.check.check", failing)
    done = run("check", "--data", data)
    assert (done.exit_code, done.output) == (1, str(error).replace("\x1b", "\\x1b") + "\n")
    assert sorted(closed) == ["Catalog", "Reader"]
