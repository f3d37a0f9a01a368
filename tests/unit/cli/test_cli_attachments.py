import json

import pytest
from typer.testing import CliRunner

from mpp.cli.attachments import app
from servers.attachments import EICAR, PROGRAM, mail, zipped


def run(*arguments):
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "a.eml"
    path.write_bytes(mail("invoice.pdf", zipped({"eicar.com": EICAR}), "application/pdf"))
    return path


def test_json_has_an_item_for_each_file_nested_ones_too(sample):
    result = run("--json", sample)
    assert result.exit_code == 0
    row = json.loads(result.stdout)
    outer, inner = row["items"]
    assert row["file"] == str(sample)
    assert set(outer) == {"path", "name", "declared", "type", "size", "sha256", "flags"}
    assert (outer["path"], outer["name"], outer["declared"]) == ("2", "invoice.pdf", "application/pdf")
    assert (outer["type"], outer["flags"]) == ("application/zip", ["mismatch"])
    assert (inner["path"], inner["size"], inner["flags"]) == ("2/eicar.com", len(EICAR), ["executable"])


def test_a_bare_file_is_its_own_item(tmp_path):
    (tmp_path / "setup.pdf").write_bytes(PROGRAM)
    row = json.loads(run("--json", tmp_path / "setup.pdf").stdout)
    assert [(item["path"], item["flags"]) for item in row["items"]] == [("setup.pdf", ["executable", "mismatch"])]


def test_names_of_others_are_escaped_for_people(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"\x1b[2Jx.exe": PROGRAM}))
    result = run(tmp_path / "a.zip")
    assert "\x1b" not in result.stdout
    assert "executable, unsafe-name" in result.stdout


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_shown(sample, tmp_path):
    result = run(tmp_path / "none", sample)
    assert result.exit_code == 1
    assert "none: No such file or directory; name files that can be read" in result.stderr
    assert "2/eicar.com" in result.stdout


SETTINGS = """
routes = [{domains = ["example.org"], hosts = ["127.0.0.1:1"]}]
[[attachments]]
name = "programs"
flags = ["executable"]
recipients = ["bob@example.org"]
action = "strip"
[[attachments]]
name = "large"
above = 1
action = "reject"
"""


def test_the_rule_that_would_act_is_told_for_each_recipient(sample, tmp_path):
    (tmp_path / "mpp.toml").write_text(SETTINGS)
    options = ["--settings", tmp_path / "mpp.toml", "--to", "bob@example.org", "--to", "carol@example.org"]
    result = CliRunner().invoke(app, ["test", "--json", *map(str, (*options, sample))])
    assert result.exit_code == 0, result.output
    row = json.loads(result.stdout)
    assert [(each["path"], each["rule"], each["recipients"]) for each in row["rules"]] == [
        ("2", "large", ["bob@example.org"]),
        ("2/eicar.com", "programs", ["bob@example.org"]),
        ("2", "large", ["carol@example.org"]),
        ("2/eicar.com", "large", ["carol@example.org"]),
    ]
    assert row["recipients"] == {"bob@example.org": "reject", "carol@example.org": "reject"}
    told = CliRunner().invoke(app, ["test", *map(str, (*options, sample))]).stdout
    assert "2/eicar.com: rule programs, strip, for bob@example.org\n    it is executable\n" in told


def test_without_rules_none_holds(sample):
    assert "no rule holds\n  recipient@localhost: deliver\n" in CliRunner().invoke(app, ["test", str(sample)]).stdout
