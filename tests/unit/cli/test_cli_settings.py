"""mpp settings show|check|example|docs."""

import json

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app

run = CliRunner().invoke


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "m.toml"
    path.write_text('limits.message_size = "20 MiB"\n[[routes]]\ndomains = ["example.org"]\nmx = true\n[policies.a]\n')
    return path


def test_show_says_where_each_value_comes_from(file):
    lines = run(app, ["settings", "show", "--settings", str(file)]).stdout.split("\n")
    assert f'limits.message_size = "20 MiB"  # {file}:1' in lines
    assert "limits.recipients = 100  # default" in lines
    assert f'routes[1].domains = ["example.org"]  # {file}:3' in lines
    assert "routes[1].ours = true  # default" in lines
    assert "tls.certificate = (not set)  # default" in lines
    assert 'policies.a.discard_above = "off"  # default' in lines


def test_show_as_json(file):
    objects = [
        json.loads(line)
        for line in run(app, ["settings", "show", "--json", "--settings", str(file)]).stdout.splitlines()
    ]
    by_key = {each["key"]: each for each in objects}
    assert by_key["limits.message_size"] == {
        "key": "limits.message_size",
        "value": "20 MiB",
        "file": str(file),
        "line": 1,
    }
    assert by_key["limits.recipients"] == {"key": "limits.recipients", "value": 100, "file": None, "line": None}


def test_show_without_a_file_shows_the_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = run(app, ["settings", "show"]).stdout.splitlines()
    assert lines
    assert all(line.endswith("# default") for line in lines)


def test_check_of_a_good_file(file):
    result = run(app, ["settings", "check", str(file)])
    assert result.exit_code == 0
    assert result.stdout == f"{file}: settings hold\n"
    assert result.stderr == f"{file}:5: warning: policies.a is named by no policy rule, so it never holds; add a rule\n"


def test_check_of_a_bad_file(file):
    file.write_text("workers = 1\n[limits]\nrecipients = 0\n")
    result = run(app, ["settings", "check", str(file)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{file}:1: workers is no setting here; write it as node.workers",
        f"{file}:3: limits.recipients 0 is out of range; write at least 1",
    ]


def test_check_as_json_has_an_object_for_each_problem(file):
    warned = [json.loads(line) for line in run(app, ["settings", "check", str(file), "--json"]).stdout.splitlines()]
    assert [(each["line"], each["key"], each["severity"]) for each in warned] == [(5, "policies.a", "warning")]
    file.write_text("[limits]\nrecipients = 0\n")
    result = run(app, ["settings", "check", str(file), "--json"])
    assert result.exit_code == 1
    (wrong,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (wrong["line"], wrong["key"], wrong["cure"]) == (2, "limits.recipients", "write at least 1")


def test_check_takes_the_default_file(file, monkeypatch):
    file.rename(file.parent / "mpp.toml")
    monkeypatch.chdir(file.parent)
    assert run(app, ["settings", "check"]).stdout == "mpp.toml: settings hold\n"


def test_an_example_passes_the_check(tmp_path):
    path = tmp_path / "example.toml"
    path.write_text(run(app, ["settings", "example"]).stdout)
    assert run(app, ["settings", "check", str(path)]).exit_code == 0


def test_docs():
    assert run(app, ["settings", "docs"]).stdout.startswith("# Settings\n")
