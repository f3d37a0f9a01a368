"""`mpp scanners`: the table, the watch, and gateways that cannot be asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mpp.cli import scanners
from mpp.cli.app import app

SERVER = {
    "pool": "sa",
    "server": "127.0.0.1:783",
    "state": "down",
    "in_use": 1,
    "places": 2,
    "waiting": 3,
    "expected_ms": 81.25,
    "answers": 20418,
    "failures": 3,
    "copies": 12,
    "cause": "refused \x1b[31m",
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, Any]]]:
    """What the gateway says, call by call."""
    said: list[list[dict[str, Any]]] = []
    monkeypatch.setattr(scanners, "_ask", lambda folder, order: said.pop(0))
    return said


def run(*arguments: str):
    return CliRunner().invoke(app, ["scanners", *arguments, "--data", "/nonexistent"])


def test_the_table_shows_every_server_and_no_escape(answers) -> None:
    answers.append([SERVER, {**SERVER, "server": "127.0.0.2:783", "expected_ms": None, "cause": ""}])
    shown = run("status").stdout.splitlines()
    assert shown[0].split()[:4] == ["scanner", "server", "state", "in"]
    assert [word in shown[1] for word in ("down", "1/2", "81.25 ms", "20418", r"refused \x1b[31m")] == [True] * 5
    assert "\x1b" not in "".join(shown)
    assert len(shown) == 3


def test_json_is_an_object_a_line(answers) -> None:
    answers.append([SERVER, SERVER])
    assert [json.loads(line) for line in run("status", "--json").stdout.splitlines()] == [SERVER, SERVER]


def test_watch_shows_again_until_interrupted(answers, monkeypatch: pytest.MonkeyPatch) -> None:
    answers += [[SERVER], [{**SERVER, "state": "up"}]]
    monkeypatch.setattr(scanners.time, "sleep", lambda _: None if answers else (_ for _ in ()).throw(KeyboardInterrupt))
    ended = run("status", "--watch", "--json")
    assert [json.loads(line)["state"] for line in ended.stdout.splitlines()] == ["down", "up"]
    assert ended.exit_code == 0


def test_a_gateway_without_scanners_says_so(answers) -> None:
    answers.append([])
    assert "no scanner" in run("status").stdout


@pytest.mark.parametrize("command", [["status"], ["drain", "sa", "x:1"], ["undrain", "sa", "x:1"]])
def test_no_gateway_is_told_with_a_cure(tmp_path: Path, command: list[str]) -> None:
    ended = CliRunner().invoke(app, ["scanners", *command, "--data", str(tmp_path)])
    assert ended.exit_code == 1
    assert "start it, name its folder by --data" in ended.output
