"""`mpp quarantine learn` against a real spamd: what was held is taught once, forgotten by its opposite, and written down."""

import asyncio
import json
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from mpp.cli.programs import free_port
from mpp.store.events import about
from mpp.store.opening import open_store_catalog, prepare_store
from mpp.store.settings import Store
from servers.held import fill, held
from servers.warm import run

WORDS = b"invoice overdue pharmacy watches lottery winner transfer account urgent reply claim prize today "


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A quarantine with two messages that no Bayes database knows yet."""
    prepare_store(tmp_path / "data", Store(min_free=0))
    letters = [
        held(name, raw=b"From: ann@example.net\r\nMessage-ID: <%s@example.net>\r\nSubject: %s\r\n\r\n%s\r\n" % (uuid.uuid4().hex.encode(), name.encode(), WORDS * 5))
        for name in ("one", "two")
    ]  # fmt: skip
    asyncio.run(fill(tmp_path / "data", Store(min_free=0), letters))
    return tmp_path


def learn(box: Path, servers: list[str], *arguments: str) -> tuple[int, list[dict[str, str]]]:
    file = box / "mpp.toml"
    file.write_text(
        f'[node]\ndata = "{box}/data"\n[[scanners]]\nname = "sa"\nkind = "spamd"\nservers = {json.dumps(servers)}\n'
    )
    done = run("quarantine", "learn", *arguments, "--json", "--settings", str(file), timeout=120)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found, done.stderr
    return done.returncode, [{key: each[key] for key in ("id", "state", "reply")} for each in found]


def known(folder: Path) -> tuple[int, int]:
    """How many spam and ham messages the Bayes database of spamd has, as SpamAssassin's own tool says."""
    command = [shutil.which("sa-learn") or "sa-learn", "--dump", "magic", "--dbpath", str(folder / "spamd" / "bayes")]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    numbers = {line.rpartition(" ")[2]: int(line.split()[2]) for line in lines}
    return numbers["nspam"], numbers["nham"]


def test_a_held_message_is_taught_once_and_its_opposite_corrects_it(box: Path, spamd: str, server_folder: Path) -> None:
    assert learn(box, [spamd], "one", "--spam") == (0, [{"id": "one", "state": "learnt", "reply": "new to it"}])
    spam, ham = known(server_folder)
    assert learn(box, [spamd], "one", "--spam") == (0, [{"id": "one", "state": "learnt", "reply": "known already"}])
    assert known(server_folder) == (spam, ham)
    assert learn(box, [spamd], "one", "--ham") == (0, [{"id": "one", "state": "learnt", "reply": "new to it"}])
    assert known(server_folder) == (spam - 1, ham + 1)
    catalog = open_store_catalog(box / "data", Store())
    with catalog.read() as connection:
        assert [each.action for each in about(connection, "default", "one")] == ["learnt-spam"] * 2 + ["learnt-ham"]
    catalog.close()


def test_many_are_taught_and_a_server_that_is_away_is_named(box: Path, spamd: str, server_folder: Path) -> None:
    away = f"127.0.0.1:{free_port()}"
    code, found = learn(box, [spamd, away], "--all", "--spam")
    assert (code, sorted(each["id"] for each in found)) == (1, ["one", "two"])
    assert {each["state"] for each in found} == {"failed"}
    assert all(each["reply"].startswith(f"{away}: ") for each in found)
    spam, ham = known(server_folder)
    code, found = learn(box, [spamd], "--all", "--spam")
    assert {each["reply"] for each in found} == {"known already"}, "the server that was there has learnt"
    assert known(server_folder) == (spam, ham)
