"""`mpp why` and `mpp store verify` on a store that was filled by hand: stories, data, words for the operator."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app
from mpp.gateway.recorder import spool_folder
from mpp.store import master
from mpp.store.catalog import catalog_url, open_catalog, prepare
from mpp.store.checkpoint import public_text, read_note, signing_key
from mpp.store.events import Event, record
from mpp.store.evidence import Evidence
from mpp.store.spool import SpoolFile, SpoolWriter, spool_files
from mpp.store.trace import CopyTrace, Trace
from mpp.store.trace_days import TraceDays, traces_folder
from mpp.store.trace_line import write

RUN = CliRunner().invoke


def trace(number: int, tenant: str = "default") -> Trace:
    copies = (
        CopyTrace("bob@example.org", "accepted", "deliver", tenant=tenant),
        CopyTrace("eve@example.com", "accepted"),
    )
    return Trace(f"id{number}", number * 1000, reverse_path="ann@example.net", copies=copies)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two traces in the catalog, a third one in the spool, one event under a checkpoint."""
    folder = tmp_path / "data"
    folder.mkdir()
    master.make_master_key(where := master.reference("", folder), folder)
    url = catalog_url("", "", folder)
    prepare(url)
    catalog = open_catalog(url)
    writer = SpoolWriter(spool_folder(folder), "0", 1 << 20)
    writer.write([write(trace(1)), write(trace(2, "other"))])
    writer.close()
    (path,) = spool_files(spool_folder(folder))
    days = TraceDays(catalog, traces_folder(folder))
    days.load(20_000, list(SpoolFile(path).frames()))
    days.close()
    path.unlink()
    writer.write([write(trace(3))])
    writer.close()
    with catalog.write() as connection:
        record(connection, [Event("command:root", "released", message="id1")])
    evidence = Evidence(catalog, signing_key(master.read_master_key(where)))
    evidence.append()
    evidence.checkpoint(5)
    catalog.close()
    return folder


def test_a_story_and_what_was_done_later(data: Path):
    done = RUN(app, ["why", "id1", "--data", str(data)])
    assert done.exit_code == 0, done.stderr
    assert "Message id1, 1970-01-01 00:00:01 UTC" in done.stdout
    assert "command:root released it" in done.stdout


def test_the_newest_first_with_those_on_their_way(data: Path):
    done = RUN(app, ["why", "ANN@example.net", "--json", "--data", str(data)])
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["id3", "id2", "id1"]
    done = RUN(app, ["why", "--last", "1", "--json", "--data", str(data)])
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["id3"]


def test_a_tenant_sees_its_own(data: Path):
    done = RUN(app, ["why", "ann@example.net", "--tenant", "other", "--json", "--data", str(data)])
    (line,) = done.stdout.splitlines()
    assert [copy["to"] for copy in json.loads(line)["rcpt"]] == ["bob@example.org"]


def test_what_is_not_known_is_said(data: Path, tmp_path: Path):
    done = RUN(app, ["why", "nobody\x1b@example.org", "--data", str(data)])
    assert done.exit_code == 1
    assert "Nothing is known of nobody\\x1b@example.org" in done.stderr
    done = RUN(app, ["why", "x", "--data", str(tmp_path / "nowhere")])
    assert (done.exit_code, "name the gateway's settings" in done.stderr) == (1, True)
    empty = tmp_path / "empty"
    empty.mkdir()
    done = RUN(app, ["why", "x", "--data", str(empty)])
    assert (done.exit_code, "start `mpp serve`" in done.stderr) == (1, True)


def test_verify_export_and_key(data: Path, tmp_path: Path):
    done = RUN(app, ["store", "verify", "--data", str(data), "--export", str(tmp_path / "log")])
    assert (done.exit_code, done.stdout) == (0, "verified: 1 leaves, 1 checkpoints\n"), done.stderr
    leaf, checkpoint = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert json.loads(leaf["data"])["action"] == "released"
    assert read_note(checkpoint["checkpoint"]).size == 1
    key = signing_key(master.read_master_key(master.reference("", data))).public_key()
    assert RUN(app, ["store", "verify", "--data", str(data), "--public-key"]).stdout == public_text(key) + "\n"
    (tmp_path / "kept").write_text(checkpoint["checkpoint"])
    assert RUN(app, ["store", "verify", "--data", str(data), "--known", str(tmp_path / "kept")]).exit_code == 0
    done = RUN(app, ["store", "verify", "--data", str(data), "--known", str(tmp_path / "log")])
    assert (done.exit_code, "holds no checkpoint" in done.stderr) == (1, True)
    done = RUN(app, ["store", "verify", "--data", str(data), "--message", "id1"])
    assert (done.exit_code, "is not in the store" in done.stderr) == (1, True)


def test_verify_tells_what_was_tampered_with(data: Path):
    import sqlite3

    with sqlite3.connect(data / "catalog.db") as connection:
        connection.execute("update events set actor = 'nobody'")
    done = RUN(app, ["store", "verify", "--data", str(data)])
    assert (done.exit_code, done.stderr) == (1, "events: default/1: is not what leaf 0 of the log says\n")
    done = RUN(app, ["store", "verify", "--json", "--data", str(data)])
    assert (done.exit_code, len(json.loads(done.stdout)["problems"])) == (1, 1)


def test_verify_without_the_master_key_says_which(data: Path):
    Path(master.reference("", data).removeprefix("file:")).unlink()
    done = RUN(app, ["store", "verify", "--data", str(data)])
    assert done.exit_code == 1
    assert "master.key" in done.stderr
