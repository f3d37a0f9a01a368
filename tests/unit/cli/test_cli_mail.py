import hashlib
import json

import pytest
from typer.testing import CliRunner

from mpp.cli.mail import app

RAW = (
    b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n"
    b'--b\nContent-Type: application/zip; name="../../evil.zip"\nContent-Transfer-Encoding: base64\n\nQUJD\n--b--\n'
)


def run(*arguments):
    return CliRunner().invoke(app, ["parts", *map(str, arguments)])


@pytest.fixture
def mail(tmp_path):
    path = tmp_path / "a.eml"
    path.write_bytes(RAW)
    return path


@pytest.mark.parametrize("before", [b"", b"From someone@example.com Mon Jan  1 00:00:00 2024\n"], ids=["mail", "mbox"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_offsets_and_digests_are_of_the_files_own_octets(mail, before, end):
    raw = (before + RAW).replace(b"\n", end)
    mail.write_bytes(raw)
    result = run("--json", mail)
    assert result.exit_code == 0
    row = json.loads(result.stdout)
    assert set(row) == {"file", "parts", "defects", "readings"}
    assert (row["file"], row["defects"], row["readings"]) == (str(mail), [], [])
    one, two = row["parts"]
    assert (one["path"], one["type"], one["name"], one["size"]) == ("1", "text/plain", None, 3)
    assert raw[one["offset"] : one["offset"] + one["length"]] == b"one"
    assert (two["path"], two["type"], two["name"]) == ("2", "application/zip", "../../evil.zip")
    assert raw[two["offset"] : two["offset"] + two["length"]] == b"QUJD"
    assert two["sha256"] == hashlib.sha256(b"ABC").hexdigest()


def test_one_object_a_line_for_each_file(mail, tmp_path):
    other = tmp_path / "b.eml"
    other.write_bytes(b"\n\nx")
    lines = run("--json", mail, other).stdout.splitlines()
    assert [json.loads(line)["file"] for line in lines] == [str(mail), str(other)]


def test_extract_uses_paths_of_our_own_making_only(mail, tmp_path):
    folder = tmp_path / "out"
    assert run("--json", "--extract", folder, mail).exit_code == 0
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"a.eml", "out/a.eml/1", "out/a.eml/2"}
    assert (folder / "a.eml" / "2").read_bytes() == b"ABC"


def test_extract_does_not_write_through_a_link(mail, tmp_path):
    folder = tmp_path / "out" / "a.eml"
    folder.mkdir(parents=True)
    (tmp_path / "precious").write_bytes(b"kept")
    (folder / "1").symlink_to(tmp_path / "precious")
    assert run("--json", "--extract", tmp_path / "out", mail).exit_code == 1
    assert (tmp_path / "precious").read_bytes() == b"kept"


def test_two_files_of_one_name_are_refused_before_anything_is_written(mail, tmp_path):
    twin = tmp_path / "sub" / "a.eml"
    twin.parent.mkdir()
    twin.write_bytes(RAW)
    result = run("--json", "--extract", tmp_path / "out", mail, twin)
    assert result.exit_code != 0
    assert "rename" in result.stderr
    assert not (tmp_path / "out").exists()
    assert run("--json", mail, twin).exit_code == 0


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_shown(mail, tmp_path):
    result = run("--json", tmp_path / "missing\x1b[31m.eml", mail)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["file"] == str(mail)
    assert r"missing\x1b[31m.eml: No such file" in result.stderr


def test_table_shows_hostile_names_escaped(mail):
    mail.write_bytes(b'Content-Type: a/b; name="=?utf-8?q?=1B[31m=E2=80=AE?="\n\n')
    result = run(mail)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert r"\x1b[31m\u202e" in result.stdout
