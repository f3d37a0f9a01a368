"""`mpp store check|rebuild|compact` as an operator calls them."""

import asyncio
import json
import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app
from mpp.gateway.reload import keep
from mpp.gateway.revising import good_text, revise
from mpp.gateway.settings import Route, Settings
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.settings.common import Node
from mpp.settings.write import write
from mpp.store.errors import CatalogError
from mpp.store.letter import Copy, Letter
from mpp.store.lists import KnownLists, entries, put, remove
from mpp.store.opening import open_store_catalog, open_writer, prepare_store
from mpp.store.quarantine import delete
from mpp.store.quarantine_query import Key
from mpp.store.schema import segments
from mpp.store.settings import Store
from mpp.verdict.lists import Entry, Level
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


@pytest.mark.parametrize("command", ["rebuild", "compact"])
def test_what_root_makes_is_the_gateways(data, command):
    """Its user is the folder's owner: a catalog or segment of root's would keep the gateway from its next start."""
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders let no other user in
        os.chmod(open_to_all, 0o711)
        moved = shutil.copytree(data, Path(open_to_all) / "data")
        shutil.copy(data.parent / "data.master.key", open_to_all)
        if command == "rebuild":
            for path in moved.glob("catalog.db*"):
                path.unlink()
        else:
            with closing(open_store_catalog(moved, Store())) as catalog, catalog.write() as connection:
                delete(connection, "default", [Key("id0", "bob@example.org"), Key("id1", "bob@example.org")], "x")
        for path in (moved, *moved.rglob("*"), Path(open_to_all) / "data.master.key"):
            os.chown(path, user, -1)
        was = {path.name for path in moved.rglob("*")}
        done = run(command, "--data", moved)
        assert done.exit_code == 0, done.output
        files = list(moved.rglob("*"))
        assert {path.name for path in files} != was, "nothing was made, so nothing is shown"
        assert [path for path in files if path.stat().st_uid != user] == []
        assert os.geteuid() == os.getuid()


def test_what_else_was_in_a_lost_catalog(tmp_path):
    """Lists come back as they were known last; of the settings is said where the last ones are, and those can be applied."""
    file, folder = tmp_path / "mpp.toml", tmp_path / "data"
    settings = Settings(node=Node(data=folder), routes=(Route(domains=("example.org",), hosts=("127.0.0.1:2525",)),))
    file.write_text(write(settings))
    prepare_store(folder, settings.store)
    stricter = settings.model_copy(update={"release": settings.release.model_copy(update={"mark": "X-Mark: 1"})})
    keep(good_text(write(stricter), settings), folder)
    block = Entry("block", Level.TENANT, "", "bob@example.net")
    known = KnownLists(lambda: open_store_catalog(folder, settings.store), folder)
    with closing(open_store_catalog(folder, settings.store)) as catalog, catalog.write() as connection:
        put(connection, "default", block, "root")
    known.refresh(["default"])
    known.close()
    for path in folder.glob("catalog.db*"):
        path.unlink()

    done = run("rebuild", "--settings", file)
    assert "1 entries of allow and block lists are back" in done.output
    assert f"what held last is in {folder}/settings.good.toml" in done.stderr
    assert "lists are back" not in run("rebuild", "--settings", file).output
    applying = [
        "settings",
        "apply",
        str(folder / "settings.good.toml"),
        "--why",
        "it was lost",
        "--settings",
        str(file),
    ]
    assert CliRunner().invoke(app, applying).exit_code == 0
    assert "is lost" not in run("rebuild", "--settings", file).stderr
    with closing(open_store_catalog(folder, settings.store)) as catalog:
        assert revise(catalog, settings, who="file", why="start").settings.release.mark == "X-Mark: 1"
        with catalog.read() as connection:
            assert [entry for entry, _ in entries(connection, "default")] == [block]
        with catalog.write() as connection:
            remove(connection, "default", Level.TENANT, "", block.pattern)
    assert json.loads(run("rebuild", "--settings", file, "--json").stdout.splitlines()[-1])["lists"] == 0, (
        "it was taken out"
    )


def test_lists_that_cannot_be_read_are_told(data):
    (data / "lists.good.json").write_text('[["default", {"no": "entry"}]]')
    done = run("rebuild", "--data", data)
    assert done.exit_code == 1
    assert "lists.good.json" in done.stderr
    assert "3 messages" in done.stdout


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


def test_a_damaged_event_log_is_a_fault_like_others(data):
    (data / "events.log").write_bytes(b"00000000 {}\n" * 2)
    done = run("check", "--data", data)
    assert done.exit_code == 1
    assert f"{data}/events.log: at octet 0: a damaged line; restore the file from your backup" in done.stderr
    assert done.stdout == "1 segments, 3 records, 0 MiB: 1 faults\n"


def test_a_lost_master_key_is_said_with_its_cure(data):
    (data.parent / "data.master.key").unlink()
    done = run("check", "--data", data)
    assert done.exit_code == 1
    assert "put it back from your backup" in done.output


@pytest.mark.parametrize("error", [CatalogError("the catalog is\x1b away"), OSError(5, "Input/output error")])
def test_a_store_that_fails_while_it_is_read_ends_the_command_with_words(data, monkeypatch, error):
    closed = []

    def failing(catalog, folder, reader, counts, node):
        for each in (catalog, reader):
            monkeypatch.setattr(type(each), "close", lambda it: closed.append(type(it).__name__))
        raise error
        yield

    monkeypatch.setattr("mpp.store.check.check", failing)
    done = run("check", "--data", data)
    assert (done.exit_code, done.output) == (1, str(error).replace("\x1b", "\\x1b") + "\n")
    assert sorted(closed) == ["Catalog", "Reader"]
