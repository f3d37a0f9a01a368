"""mpp check: each problem with its line; exit 1 where there is an error."""

import json

import pytest
from typer.testing import CliRunner

from mpp.cli import check as command
from mpp.cli.app import app
from mpp.settings.problem import Problem

run = CliRunner().invoke
ERROR = Problem(("node", "user"), '"x" does not exist', "make it")
WARNING = Problem(("node", "data"), "has 500 MiB of free disk", "make room", "warning")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "m.toml"
    path.write_text('[node]\ndata = "/x"\nuser = "x"\n[policies.a]\n')
    return path


def check(file, found, monkeypatch, *more):
    monkeypatch.setattr(command, "_problems", lambda _: found)
    return run(app, ["check", "--settings", str(file), *more])


def test_an_error_ends_with_1(file, monkeypatch):
    result = check(file, [ERROR, WARNING], monkeypatch)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"{file}:2: warning: node.data has 500 MiB of free disk; make room",
        f'{file}:3: node.user "x" does not exist; make it',
        f"{file}:4: warning: policies.a is named by no policy rule, so it never holds; add a rule",
    ]


def test_warnings_are_told_and_do_not_refuse(file, monkeypatch):
    result = check(file, [WARNING], monkeypatch)
    assert (result.exit_code, result.stdout) == (0, f"{file}: ready to serve, with warnings\n")
    assert "warning: node.data" in result.stderr


def test_as_json(file, monkeypatch):
    result = check(file, [ERROR, WARNING], monkeypatch, "--json")
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(each["line"], each["key"], each["severity"]) for each in objects] == [
        (2, "node.data", "warning"),
        (3, "node.user", "error"),
        (4, "policies.a", "warning"),
    ]
    assert objects[1] == {
        "file": str(file),
        "line": 3,
        "key": "node.user",
        "severity": "error",
        "what": ERROR.what,
        "cure": "make it",
    }
    assert result.exit_code == 1


def test_settings_that_do_not_hold(file, monkeypatch):
    file.write_text("x = 1")
    result = check(file, [], monkeypatch)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{file}:1: x is no setting; ")


def test_all_parts_are_asked(tmp_path):
    path = tmp_path / "m.toml"
    path.write_text(
        f'[node]\nhostname = "localhost"\ndata = "{tmp_path}"\nuser = "no-such-user"\n'
        '[[scanners]]\nname = "c"\nkind = "clamd"\nservers = ["unix:/nowhere"]\n'
    )
    result = run(app, ["check", "--settings", str(path)])
    assert result.exit_code == 1
    assert (
        f'{path}:4: node.user "no-such-user" does not exist; make it (useradd --system no-such-user)' in result.stderr
    )
    assert (
        f'{path}:8: scanners[1].servers[1] "unix:/nowhere" does not answer: No such file or directory' in result.stderr
    )


def test_samples_are_judged(tmp_path):
    (tmp_path / "a.eml").write_bytes(b"To: a@example.org\r\nSubject: pills\r\n\r\n")
    path = tmp_path / "m.toml"
    path.write_text(
        f'[node]\ndata = "{tmp_path}/data"\n[[filters]]\nname = "p"\nmatch = ["pills"]\naction = "discard"\n'
        f'[[samples]]\nname = "a"\nfile = "{tmp_path}/a.eml"\nmust = "arrive"\n'
    )
    result = run(app, ["check", "--settings", str(path)])
    assert result.exit_code == 1
    assert f"{path}:10: samples[1].must would be: discard by filters.p, and it must arrive" in result.stderr
