"""mpp lists add|remove|show|test."""

import json

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app
from mpp.gateway.settings import Settings
from mpp.settings.write import write
from mpp.store.opening import prepare_store


@pytest.fixture
def run(tmp_path):
    settings = Settings.model_validate(
        {
            "node": {"data": str(tmp_path / "data")},
            "store": {"min_free": 0},
            "tenants": {"acme": {"domains": ("acme.example",)}},
            "groups": {"sales": {"members": ("anna@example.org",)}},
        }
    )
    file = tmp_path / "mpp.toml"
    file.write_text(write(settings), "utf-8")
    prepare_store(settings.node.data, settings.store)

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, ["lists", *arguments, "--settings", str(file)])
        assert result.exit_code == code, result.output + repr(result.exception)
        return result.output

    return run


def test_add_test_show_remove(run):
    assert run("show") == "The lists are empty.\n"
    assert run("test", "bob@example.net", "anna@example.org", code=1) == "no entry holds: the checks decide\n"
    run("add", "block", "@.example.net", "--level", "global", "--note", "a nuisance")
    run("add", "allow", "bob@Example.net", "--level", "group", "--owner", "sales", "--network", "192.0.2.0/24")
    told = run("test", "bob@example.net", "anna@example.org", "--ip", "192.0.2.7")
    assert told.startswith(
        "allow bob@example.net (group sales): <bob@example.net> fits bob@example.net and comes from 192.0.2.7"
    )
    told = run("test", "bob@example.net", "anna@example.org", "--ip", "198.51.100.1")
    assert told.splitlines() == [
        "does not count: allow bob@example.net (group sales): nothing proves that <bob@example.net> sent it",
        "block @.example.net (global): <bob@example.net> fits @.example.net",
    ]
    rows = [json.loads(line) for line in run("show", "--json").splitlines()]
    assert [(row["action"], row["level"], row["owner"]) for row in rows] == [
        ("allow", "group", "sales"),
        ("block", "global", ""),
    ]
    assert "a nuisance" in run("show")
    assert run("remove", "@.example.net", "--level", "global") == "removed: @.example.net (global)\n"
    assert "there is no such entry" in run("remove", "@.example.net", "--level", "global", code=1)


def test_an_override_is_shown_as_risky(run):
    assert "RISKY" in run("add", "allow", "@example.net", "--override")
    assert "RISKY" in run("test", "x@example.net", "anna@example.org")
    assert "RISKY" in "".join(run("show").split())
    assert json.loads(run("test", "x@example.net", "anna@example.org", "--json"))["risky"] is True


def test_an_allow_entry_without_proof_is_told(run):
    assert "It counts only where the sender is proved" in run("add", "allow", "@example.net")
    assert "counts only" not in run("add", "allow", "192.0.2.0/24")


def test_tenants_have_lists_of_their_own(run):
    run("add", "block", "@example.net", "--tenant", "acme")
    run("test", "x@example.net", "anna@example.org", code=1)
    assert json.loads(run("test", "x@example.net", "a@acme.example", "--json"))["tenant"] == "acme"


def test_entries_expire(run):
    run("add", "block", "@old.example", "--expires", "2020-01-01")
    run("test", "x@old.example", "anna@example.org", code=1)
    run("add", "block", "@new.example", "--expires", "+1d")
    run("test", "x@new.example", "anna@example.org")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "forbid", "@x.org"), "write allow or block"),
        (("add", "block", "x.org"), "is no pattern; write"),
        (("add", "block", "@x.org", "--level", "user"), "is no user; write"),
        (("add", "block", "@x.org", "--level", "all"), "write one of user, group"),
        (("add", "block", "@x.org", "--level", "group", "--owner", "it"), "there is no group it"),
        (("add", "allow", "@x.org", "--network", "x"), "write a network such as"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_read(run, arguments, said):
    assert said in run(*arguments, code=1)


def test_an_entry_is_one_line_of_the_table_whatever_the_width(run, monkeypatch):
    run("add", "block", "somebody.with.a.long.name@mail.example.net", "--note", "asked for by the people in the office")
    run("add", "allow", "192.0.2.0/24", "--expires", "2099-12-31")
    monkeypatch.setenv("COLUMNS", "80")
    _, line, allowed, blocked, left_out = [line.split() for line in run("show").splitlines() if line.strip()]
    assert line == ["─" * 71]
    assert allowed == ["allow", "192.0.2.0/24", "tenant"]
    assert blocked == ["block", "somebody.with.a.long.name@mail.example.net", "tenant"]
    assert " ".join(left_out) == "Left out, as there are 80 columns: by, note, until; --json shows all."
    monkeypatch.setenv("COLUMNS", "200")
    assert "asked for by the people in the office" in run("show")
