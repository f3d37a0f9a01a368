"""mpp quarantine: what is shown is escaped, what is done is permitted, and --json is one object a line."""

import asyncio
import json
import re
import shutil
from contextlib import closing, contextmanager
from functools import partial

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app
from mpp.gateway.settings import Settings
from mpp.settings.write import write
from mpp.store.alone import alone
from mpp.store.events import all_events
from mpp.store.journal import Journal, journal_path
from mpp.store.opening import open_store_catalog, prepare_store
from mpp.store.settings import Store
from servers.held import fill, held
from servers.sink import Sink

BOB, EVE = "bob@example.org", "eve@example.org"
MAIL = (
    b"From: Eve <eve@example.net>\r\nSubject: =?utf-8?q?red_=1B=5B31m?=\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
    b"<style>p {}</style><p>Hello <b>you</b></p><script>alert(1)</script><a href=http://x.example>click</a>\r\n"
    b"--b\r\nContent-Type: application/pdf; name=\"bill.pdf\"\r\n\r\n%PDF\r\n--b--\r\n"
)  # fmt: skip


LETTERS = (
    held("m1", BOB, EVE, raw=MAIL, at=1_700_000_000_000),
    held("m2", BOB, verdict="virus", at=1_700_000_001_000),
    held("m3", BOB, verdict="banned", at=1_700_000_002_000),
    held("m4", BOB, at=1_700_000_003_000),
    held("m5", BOB, at=1_700_000_004_000),
    held("m6", "x@acme.example", tenant="acme", at=1_700_000_005_000),
)


@contextmanager
def holding(folder, *letters, **more):
    """A folder with settings and a store with these letters; what is released goes to a next hop that takes all."""
    with Sink() as sink:
        settings = Settings.model_validate(
            {
                "node": {"data": str(folder / "data"), "hostname": "mpp.example.org"},
                "store": {"min_free": 0},
                "tenants": {"acme": {"domains": ("acme.example",)}},
                "routes": [{"domains": ["example.org"], "hosts": [f"127.0.0.1:{sink.port}"]}],
                **more,
            }
        )
        (folder / "mpp.toml").write_text(write(settings), "utf-8")
        prepare_store(settings.node.data, settings.store, ("default", "acme"))
        asyncio.run(fill(settings.node.data, settings.store, letters))
        yield folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Held copies that no test here changes for good."""
    with holding(tmp_path_factory.mktemp("quarantine"), *LETTERS) as folder:
        yield folder


@pytest.fixture
def run(folder):
    return partial(call, folder)


def call(folder, *arguments, code=0, output=False):
    result = CliRunner().invoke(app, ["quarantine", *arguments, "--settings", str(folder / "mpp.toml")])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.stdout if code == 0 and not output else result.output


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def test_list(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    rows = objects(run("list", "--state", "all", "--json"))
    assert [row["id"] for row in rows if row["id"] in ("m1", "m2", "m3")] == ["m3", "m2", "m1", "m1"]
    assert rows[-1]["subject"] == "red \x1b[31m"
    assert rows[-1]["class"] == "spam"
    table = run("list", "--recipient", EVE)
    assert "m1" in table
    assert "\\x1b[31m" in "".join(table.split())
    assert "\x1b" not in table


LONG = held(
    "0123456789ab-0123456789ab", "somebody.with.a.long.name@department.example.org", at=1_700_000_000_000,
    raw=b"From: a@example.net\r\nSubject: an offer that goes on and on, and then on again\r\n\r\ntext\r\n",
)  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [(40, "score, subject, received, state"), (80, "score, subject, received"), (120, ""), (400, "")],
)
def test_a_copy_is_one_line_at_every_width(tmp_path, monkeypatch, columns, left_out):
    monkeypatch.setenv("COLUMNS", str(columns))
    with holding(tmp_path, LONG) as folder:
        told = call(folder, "list").splitlines()
    (line,) = [line for line in told if "0123456789ab-0123456789ab" in line]
    cells = line.split()
    assert "spam" in cells
    assert any(len(cell) >= 16 and "somebody.with.a.long.name".startswith(cell.rstrip("…")[:15]) for cell in cells)
    assert max(map(len, told[:3])) <= max(columns, 85)
    said = [line for line in told if line.startswith("Left out")]
    assert said == ([f"Left out, as there are {columns} columns: {left_out}; --json shows all."] if left_out else [])
    if columns == 400:
        assert "somebody.with.a.long.name@department.example.org" in cells
        assert "an offer that goes on and on, and then on again" in line


def test_list_in_pages(run):
    first = run("list", "--state", "all", "--limit", "2")
    place = re.search(r"--after '(.*)'", first)[1]
    second = objects(run("list", "--state", "all", "--json", "--limit", "2", "--after", place))
    assert [row["id"] for row in second] == ["m3", "m2"]


def test_another_tenant(run):
    assert [row["id"] for row in objects(run("list", "--tenant", "acme", "--json"))] == ["m6"]
    assert "no such copy" in run("delete", "m1", "--tenant", "acme", code=1)
    assert "there is no tenant nobody; there are: default, acme" in run("list", "--tenant", "nobody", code=1)


def test_show_is_safe_and_says_why(run):
    shown = objects(run("show", "m1", "--json"))[0]
    assert shown["text"] == ["Hello", "you", "click"]
    assert shown["attachments"] == [{"name": "bill.pdf", "type": "application/pdf", "size": 4}]
    assert [each["recipient"] for each in shown["copies"]] == [BOB, EVE]
    story = run("show", "m1")
    assert "eve@example.org: spam, score 7.5, by policies.default.quarantine_above; held" in story
    assert "bill.pdf, application/pdf, 4 octets" in story
    assert "viewed" in story, "whoever looked is written down"
    assert "\x1b" not in story


def test_a_user_sees_only_what_is_theirs(run):
    assert [
        each["recipient"]
        for each in objects(run("show", "m1", "--as", "user", "--recipient", EVE, "--json"))[0]["copies"]
    ] == [EVE]
    assert "no such message" in run("show", "m2", "--as", "user", "--recipient", EVE, code=1)
    assert "whose copies? Name the user with --recipient" in run("list", "--as", "user", code=1)


def test_several_copies_need_a_word_for_whom(run):
    assert f"m1 is held for {BOB}, {EVE}; say for whom with --recipient" in run("release", "m1", code=1)


def test_release_goes_where_the_newest_revision_says(tmp_path):
    """The settings file knows nothing of a revision that was applied by command: its next hop is another one."""
    with holding(tmp_path, held("m1", BOB)) as folder, Sink() as other:
        file = folder / "mpp.toml"
        new = folder / "new.toml"
        new.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{other.port}", file.read_text("utf-8")), "utf-8")
        result = CliRunner().invoke(app, ["settings", "apply", str(new), "--why", "x", "--settings", str(file)])
        assert "revision 1 holds" in result.output
        assert objects(call(folder, "release", "m1", "--json"))[0]["host"] == f"127.0.0.1:{other.port}"


def test_a_revision_that_cannot_be_taken_here_is_said(tmp_path):
    with holding(tmp_path, held("m1", BOB)) as folder:
        file, new, gone = folder / "mpp.toml", folder / "new.toml", folder / "gone"
        gone.write_text("bob@example.org\n")
        new.write_text(
            file.read_text("utf-8").replace("[[routes]]", f'[[routes]]\nrecipients = "file:{gone}"'), "utf-8"
        )
        result = CliRunner().invoke(app, ["settings", "apply", str(new), "--why", "x", "--settings", str(file)])
        assert "revision 1 holds" in result.output
        gone.unlink()
        assert "the newest revision cannot be taken here" in call(folder, "list", output=True)


def test_users_never_release_a_virus_and_ask_for_banned_content(run):
    user = ("--as", "user", "--recipient", BOB)
    assert "A user may not release virus mail" in run("release", "m2", *user, code=1)
    assert "a user may not ask for virus mail; nobody" in run("request", "m2", *user, "--reason", "x", code=1)
    assert "A user may not release banned mail; ask for it" in run("release", "m3", *user, code=1)
    assert "A user may not send held mail elsewhere" in run("release", "m4", *user, "--to", EVE, code=1)
    run("request", "m3", *user, "--reason", "I wrote it")
    assert objects(run("requests", "--json"))[0]["reason"] == "I wrote it"
    run("answer", "m3", "--refuse", "--reason", "no")
    assert run("requests") == "No request waits.\n"
    assert "request-refused" in run("show", "m3")


def test_release_shows_the_reply_of_the_next_hop(run):
    (line,) = objects(run("release", "m4", "--json"))
    assert (line["state"], line["to"], line["reply"][:3]) == ("released", BOB, "250")
    assert "not to be had" in run("release", "m4", code=1)


def test_what_is_granted_is_released_and_the_settings_are_read_once(tmp_path):
    scanner = {"name": "spamd", "kind": "spamd", "servers": ["127.0.0.1:783"]}
    with holding(tmp_path, held("m1", BOB, verdict="banned"), checks=False, scanners=[scanner]) as folder:
        user = ("--as", "user", "--recipient", BOB)
        call(folder, "request", "m1", *user, "--reason", "I wrote it")
        arguments = ["quarantine", "answer", "m1", "--grant", "--json", "--settings", str(folder / "mpp.toml")]
        done = CliRunner().invoke(app, arguments)
        (line,) = objects(done.stdout)
        assert (done.exit_code, line["state"], line["to"]) == (0, "released", BOB)
        assert done.stderr.count("is false, so no scanner is ever asked") == 1
        events = objects(call(folder, "show", "m1", "--json"))[0]["events"]
        actions = [each["action"] for each in events]
        assert actions.index("request-granted") < actions.index("released")


def test_delete_by_filter(run):
    assert "write --all with filters" in run("delete", code=1)
    assert "cannot be mixed" in run("delete", "m5", "--all", code=1)
    told = run(
        "delete", "--all", "--since", "2023-11-14 22:13", "--until", "2023-11-15", "--recipient", "nobody@example.org"
    )
    assert told == "0 deleted\n"
    assert run("delete", "m5") == f"m5 {BOB}: deleted\n1 deleted\n"
    assert "no such message" in run("show", "m5", code=1)


def test_nothing_is_changed_while_the_catalog_is_made_anew(run, folder):
    """What it read of events at its beginning would miss it."""
    with alone(folder / "data"):
        for words in (
            ("delete", "m4"),
            ("release", "m4"),
            ("hold", "m4", "--reason", "x"),
            ("answer", "m4", "--refuse"),
        ):
            assert "is being rebuilt or compacted by mpp store; try again" in run(*words, code=1), words
        assert objects(run("list", "--json"))
    with alone(folder / "data"):
        pass  # no command is left in it


def test_what_a_command_did_is_journaled_where_no_gateway_runs(tmp_path):
    def journaled():
        return [json.loads(line[9:])["action"] for line in journal_path(tmp_path / "data").read_bytes().splitlines()]

    with holding(tmp_path, held("j1", BOB), held("j2", BOB), held("j3", BOB)):
        call(tmp_path, "hold", "j1", "--reason", "case 7")
        assert journaled() == ["hold"], "no gateway has been there yet: it must outlive the catalog all the same"
        background = Journal(tmp_path / "data")
        call(tmp_path, "delete", "j2")
        assert journaled() == ["hold"], "the file is the background process's"
        background.close()
        assert "not to be had" in call(tmp_path, "delete", "j1", "j3", code=1)
        assert journaled() == ["hold", "deleted", "deleted"]
        journal_path(tmp_path / "data").write_bytes(b"damaged\n\n")
        assert "not yet in events.log" in call(tmp_path, "release-hold", "j1", "--reason", "over", output=True)


@pytest.mark.parametrize(
    ("command", "action"),
    [
        ("quarantine delete j2", "deleted"),
        ("quarantine show j2", "viewed"),
        ("quarantine download j2 --output {folder}/out", "downloaded"),
        ("quarantine request j2 --as user --recipient bob@example.org --reason please", "requested"),
        ("lists add block eve@example.com", "list-added"),
        ("settings apply {folder}/mpp.toml --why first", "settings-applied"),
    ],
    ids=lambda text: text.split()[1] if " " in text else "",
)
def test_a_command_on_an_old_catalog_takes_no_number_of_an_event_that_only_the_file_has(tmp_path, command, action):
    """Its own would never reach the file, and the file's never the catalog."""
    data = tmp_path / "data"
    with holding(tmp_path, held("j1", BOB), held("j2", BOB)):
        shutil.copy(data / "catalog.db", tmp_path / "backup.db")
        call(tmp_path, "hold", "j1", "--reason", "case 7")
        for path in data.glob("catalog.db*"):
            path.unlink()
        shutil.copy(tmp_path / "backup.db", data / "catalog.db")
        arguments = [*command.format(folder=tmp_path).split(), "--settings", str(tmp_path / "mpp.toml")]
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        lines = [json.loads(line[9:]) for line in journal_path(data).read_bytes().splitlines()]
        with closing(open_store_catalog(data, Store())) as catalog, catalog.read() as connection:
            known = [(event.number, event.action) for event in all_events(connection)]
    assert [(line["number"], line["action"]) for line in lines] == known == [(1, "hold"), (2, action)]


def test_on_hold(run):
    run("hold", "m2", "--reason", "case 7")
    assert "not to be had" in run("delete", "m2", code=1)
    assert "on hold already" in run("hold", "m2", "--reason", "again", code=1)
    run("release-hold", "m2", "--reason", "over")


def test_download(run, tmp_path):
    file = tmp_path / "m1.eml"
    run("download", "m1", "--recipient", BOB, "--output", str(file))
    assert file.read_bytes() == MAIL
    assert file.stat().st_mode & 0o777 == 0o600
    assert "File exists" in run("download", "m1", "--recipient", BOB, "--output", str(file), code=1)
    assert "may not release virus mail" in run(
        "download", "m2", "--as", "user", "--recipient", BOB, "--output", str(tmp_path / "x"), code=1
    )


def test_what_cannot_be_read(run):
    assert '--since is no time; write "2026-11-27"' in run("list", "--since", "yesterday", code=1)
    assert "--after is no place" in run("list", "--after", "x", code=1)
    assert "there is no such role" in run("list", "--as", "boss", code=1)
    assert "say what it is: --spam or --ham" in run("learn", "m1", code=1)
    assert "no spamd in the settings" in run("learn", "m1", "--recipient", BOB, "--spam", code=1)
