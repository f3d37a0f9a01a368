"""mpp scan: the JSON object, the exit codes, the table; scanners are stand-ins on loopback."""

import json
import socket
import socketserver
import threading

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app
from mpp.cli.scan import Scanned, as_object, exit_code
from mpp.settings.values import read_network
from mpp.store.lists import put
from mpp.store.opening import open_store_catalog, prepare_store
from mpp.store.settings import Store
from mpp.verdict.finding import Finding, OnFailure, Verdict
from mpp.verdict.lists import Entry, Level
from mpp.verdict.plan import Disposition, Fate, Plan

HAM = b"From: a@example.org\nSubject: hello\n\nhello\n"
run = CliRunner().invoke


class Clamd(socketserver.StreamRequestHandler):
    """INSTREAM within an IDSESSION; whatever holds EICAR is a virus."""

    def handle(self):
        data, number = b"", 0
        while more := self.request.recv(65536):
            data += more
            if data.endswith(bytes(4)):
                found = b"stream: Eicar-Test-Signature FOUND" if b"EICAR" in data else b"stream: OK"
                number += 1
                self.server.seen.append(data)  # before the answer, behind which the test looks
                self.request.sendall(b"%d: %s\0" % (number, found))
                data = b""


@pytest.fixture
def clamd():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Clamd) as server:
        server.daemon_threads = True
        server.seen = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        server.option = f"clamd:127.0.0.1:{server.server_address[1]}"
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def nobody():
    """A port that refuses."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture(autouse=True)
def mail(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ham").write_bytes(HAM)
    (tmp_path / "virus").write_bytes(HAM + b"EICAR\n")
    return tmp_path


def scan(*arguments):
    result = run(app, ["scan", "--json", *arguments])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_without_scanners_it_is_clean_and_says_so():
    code, (found,) = scan("ham")
    assert code == 0
    assert set(found) == {"file", "verdict", "disposition", "score", "findings", "why"}
    assert (found["file"], found["verdict"], found["score"]) == ("ham", "clean", 0)
    assert found["disposition"] == {"recipient@localhost": "deliver"}
    assert [each["symbol"] for each in found["findings"]] == ["no-scanner"]
    assert set(found["findings"][0]) == {"check", "symbol", "score", "text", "evidence"}
    assert all(isinstance(sentence, str) for sentence in found["why"])


def test_the_highest_code_wins(clamd):
    code, found = scan("--scanner", clamd.option, "ham", "virus", "ham")
    assert code == 1
    assert [each["verdict"] for each in found] == ["clean", "virus", "clean"]
    assert found[1]["disposition"] == {"recipient@localhost": "reject"}


def test_a_file_that_cannot_be_read_does_not_hide_the_others(clamd):
    code, (lost, found) = scan("--scanner", clamd.option, "nowhere", "virus")
    assert code == 2
    assert lost == {"file": "nowhere", "error": "cannot be read: No such file or directory"}
    assert found["verdict"] == "virus"


def test_a_failed_virus_scanner_is_unchecked(nobody):
    code, (found,) = scan("--scanner", f"clamd:{nobody}", "ham")
    assert (code, found["verdict"]) == (2, "unchecked")
    assert found["disposition"] == {"recipient@localhost": "defer"}


def test_a_failed_spam_scanner_is_a_finding(nobody):
    code, (found,) = scan("--scanner", f"spamd:{nobody}", "ham")
    assert (code, found["verdict"]) == (0, "clean")
    assert [each["symbol"] for each in found["findings"]] == ["scanner-failed"]


def test_a_virus_wins_over_a_failed_scanner(clamd, nobody):
    code, (found,) = scan("--scanner", f"clamd:{nobody}", "--scanner", clamd.option, "virus")
    assert (code, found["verdict"]) == (1, "virus")


@pytest.mark.parametrize("start", [b"From a@example.org Mon Nov 23 10:00:00 2026\n", b"From x\r\n"])
def test_an_mbox_line_is_skipped_and_line_ends_are_those_of_smtp(start, clamd, mail):
    (mail / "mbox").write_bytes(start + HAM)
    assert scan("--scanner", clamd.option, "mbox")[0] == 0
    assert HAM.replace(b"\n", b"\r\n") in clamd.seen[0]
    assert b"From a@example.org Mon" not in clamd.seen[0]
    assert b"From x" not in clamd.seen[0]


def test_recipients_are_each_decided(mail):
    (mail / "mpp.toml").write_text(
        '[[listeners]]\nname = "in"\naddress = "127.0.0.1:25"\n'
        '[[routes]]\ndomains = ["example.org"]\nmx = true\n'
        '[[scanners]]\nname = "c"\nkind = "clamd"\nservers = ["127.0.0.1:1"]\non_failure = "continue"\n'
    )
    code, (found,) = scan(
        "--rcpt", "a@example.org", "--rcpt", "b@example.net", "--from", "s@example.com", "--ip", "::1", "ham"
    )
    assert code == 0
    assert list(found["disposition"]) == ["a@example.org", "b@example.net"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--listener", "no", "ham"], "--listener: there is no listener of this name; there are: none"),
        (["--rcpt", "x y", "ham"], "x y: not of the form local@domain; write user@example.org"),
        (["--ip", "x", "ham"], "--ip x is no address; write for example 192.0.2.1"),
        (["--scanner", "x:y", "ham"], '--scanner x:y "x" is not one of its values; write one of "spamd", "clamd"'),
        (["--settings", "nowhere", "ham"], "nowhere: cannot be read: No such file or directory; name another with"),
    ],
)
def test_faults_of_the_use_end_with_2(arguments, line):
    result = run(app, ["scan", *arguments])
    assert result.exit_code == 2
    assert line in result.stderr
    assert result.stdout == ""


def test_the_table_escapes_what_comes_from_outside(clamd, mail):
    (mail / "\x1b[31m[bold]").write_bytes(HAM)
    result = run(app, ["scan", "--scanner", clamd.option, "\x1b[31m[bold]", "virus"])
    assert "\x1b" not in result.stdout
    assert "\\x1b[31m[bold]: clean, score 0" in result.stdout
    assert "Eicar-Test-Signature" in result.stdout
    assert "recipient@localhost: reject (policies.default.virus)" in result.stdout


FAILED = Finding("c", "scanner-failed", failure=OnFailure.DEFER)
GONE_ON = Finding("c", "scanner-failed", failure=OnFailure.CONTINUE)
TOO_LARGE = Finding("c", "too-large", verdict=Verdict.UNCHECKED)


@pytest.mark.parametrize(
    ("verdict", "findings", "code"),
    [
        (Verdict.CLEAN, [], 0),
        (Verdict.CLEAN, [GONE_ON], 0),
        (Verdict.SPAM, [GONE_ON], 1),
        (Verdict.UNCHECKED, [TOO_LARGE], 1),
        (Verdict.UNCHECKED, [TOO_LARGE, GONE_ON], 1),
        (Verdict.UNCHECKED, [FAILED], 2),
        (Verdict.VIRUS, [FAILED], 1),
        (Verdict.BANNED, [FAILED], 1),
    ],
)
def test_exit_codes(verdict, findings, code):
    plan = Plan(verdict, 0.0, {"a@b.c": Fate(Disposition.DELIVER, "r")}, ("why",))
    assert exit_code(Scanned("f", plan, findings)) == code
    assert as_object(Scanned("f", plan, findings))["verdict"] == verdict.value


def entry(action, pattern, **more):
    return Entry(action, Level.TENANT, "", pattern, **more)


@pytest.fixture
def listing(mail, clamd):
    """A settings file with a catalog that holds lists."""
    store, file = Store(min_free=0), mail / "mpp.toml"
    port = clamd.option.rpartition(":")[2]
    file.write_text(
        f'[node]\ndata = "{mail}/data"\n[[scanners]]\nname = "av"\nkind = "clamd"\nservers = ["127.0.0.1:{port}"]\n'
        '[[routes]]\ndomains = ["example.org"]\nhosts = ["127.0.0.1:26"]\n'
    )
    prepare_store(mail / "data", store)
    catalog = open_store_catalog(mail / "data", store)
    with catalog.write() as connection:
        put(connection, "default", entry("block", "@bad.example"), "test")
        put(connection, "default", entry("allow", "@good.example", networks=(read_network("192.0.2.0/24"),)), "test")
    catalog.close()
    return file


def test_lists_are_asked_as_the_gateway_does(listing, clamd):
    code, (found,) = scan("ham", "--from", "x@bad.example")
    assert (code, found["disposition"]) == (1, {"recipient@localhost": "reject"})
    assert [each["symbol"] for each in found["findings"]] == ["list-block"]
    assert clamd.seen == [], "nobody needs to look at what is blocked for all"
    code, (found,) = scan("ham", "--from", "x@good.example", "--ip", "192.0.2.7")
    assert (code, [each["symbol"] for each in found["findings"]]) == (0, ["list-allow", "virus-scanned"])
    code, (found,) = scan("ham", "--from", "x@good.example", "--ip", "198.51.100.7")
    assert "list-allow" not in [each["symbol"] for each in found["findings"]]
    assert any("does not count" in each["text"] for each in found["findings"])
    code, (found,) = scan("virus", "--from", "x@good.example", "--ip", "192.0.2.7")
    assert (code, found["verdict"]) == (1, "virus")


def test_lists_known_last_are_asked_where_the_catalog_is_away(listing, mail):
    (mail / "data" / "lists.good.json").write_text(
        '[["default", {"action": "block", "scope": "tenant", "owner": "", "pattern": "@worse.example", "networks": "",'
        ' "override": false, "expires": null, "note": ""}]]'
    )
    for path in (mail / "data").glob("catalog.db*"):
        path.unlink()
    (mail / "data" / "catalog.db").write_bytes(b"no database at all" * 100)
    result = run(app, ["scan", "--json", "ham", "--from", "x@worse.example"])
    assert json.loads(result.stdout)["disposition"] == {"recipient@localhost": "reject"}
    assert result.stderr.startswith("lists are those known last, the catalog cannot be asked: ")


def test_without_a_gateways_store_no_list_is_asked_and_nothing_is_made(mail, listing, clamd):
    code, (found,) = scan("ham", "--from", "x@bad.example", "--scanner", clamd.option)
    assert (code, found["disposition"]) == (0, {"recipient@localhost": "deliver"})
    listing.write_text(f'[node]\ndata = "{mail}/other"\n')
    (mail / "other").mkdir()
    code, (found,) = scan("ham", "--from", "x@bad.example")
    assert found["disposition"] == {"recipient@localhost": "deliver"}
    assert list((mail / "other").iterdir()) == []
