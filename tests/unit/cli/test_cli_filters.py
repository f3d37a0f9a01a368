import json

import pytest
from typer.testing import CliRunner

from mpp.cli.filters import app

TABLE = b"/^subject: (.*) pills$/ REJECT no $1\n/a\\nb/ FOLDED\n/broken( x\n/\xf6/ OK\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "header_checks"
    path.write_bytes(TABLE)
    return f"pcre:{path}"


def ask(*arguments, keys=b""):
    return CliRunner().invoke(app, ["map", *arguments], input=keys)


def test_answers_are_printed_behind_their_keys_as_postmap_does(table):
    result = ask(table, keys=b"Subject: good pills\nother\nn\xf6\n")
    assert result.stdout_bytes == b"Subject: good pills\tREJECT no good\nn\xf6\tOK\n"
    assert result.exit_code == 0
    assert "line 3: no closing" in result.stderr or "line 3: error in regex" in result.stderr


def test_without_an_answer_the_exit_code_is_1(table):
    assert ask(table, keys=b"other\n").exit_code == 1


def test_json_lines_carry_folded_keys_and_octets(table):
    keys = [{"key": "a\nb"}, {"key": "n\xf6"}, {"key": "other"}]
    result = ask("--jsonl", table, keys="".join(json.dumps(key) + "\n" for key in keys).encode())
    answers = [json.loads(line)["answer"] for line in result.stdout.splitlines()]
    assert (answers, result.exit_code) == (["FOLDED", "OK", None], 0)


@pytest.mark.parametrize("name", ["hash:/etc/aliases", "pcre:", "/etc/passwd", "pcre:/nowhere/at/all"])
def test_what_is_no_table_is_told_with_what_to_write(name):
    result = ask(name)
    assert result.exit_code == 2
    assert "; " in result.stderr


def test_a_line_of_input_that_is_no_json_is_named(table):
    result = ask("--jsonl", table, keys=b'{"key": "a"}\n{"key": 1}\n')
    assert (result.exit_code, "line 2" in result.stderr) == (2, True)
