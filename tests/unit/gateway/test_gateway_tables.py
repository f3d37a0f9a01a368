"""A table of recipients: what it holds, and that a change of the file is seen."""

import os

import pytest

from mpp.gateway import tables
from mpp.gateway.tables import RecipientTable


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recipients"
    path.write_text("# ours\nBob@Example.org\nzoë@example.org  # a friend\n\n@all.example.org\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("bob@example.org", True),
        ("BOB@EXAMPLE.ORG", True),
        ("zoë@example.org", True),
        ("anybody@all.example.org", True),
        ("eve@example.org", False),
        ("# ours", False),
        ("", False),
    ],
)
def test_what_a_table_holds(path, address, there):
    assert RecipientTable(path).holds(address) is there


def test_a_change_is_seen_and_a_file_that_is_gone_changes_nothing(path, monkeypatch):
    monkeypatch.setattr(tables, "LOOK_S", -1.0)
    table = RecipientTable(path)
    path.write_text("eve@example.org\n")
    os.utime(path, ns=(1, 1))
    assert (table.holds("eve@example.org"), table.holds("bob@example.org")) == (True, False)
    path.unlink()
    assert table.holds("eve@example.org")


@pytest.mark.parametrize("changed", [0, 1])
def test_a_file_that_takes_the_place_of_one_as_old_is_read(path, monkeypatch, changed):
    """As `cp -p` and package managers leave it; and some images have files of 1970."""
    monkeypatch.setattr(tables, "LOOK_S", -1.0)
    os.utime(path, ns=(changed, changed))
    table = RecipientTable(path)
    assert table.holds("bob@example.org")
    newer = path.with_name("new")
    newer.write_text("eve@example.org\n")
    os.utime(newer, ns=(changed, changed))
    os.replace(newer, path)
    assert (table.holds("eve@example.org"), table.holds("bob@example.org")) == (True, False)


def test_a_table_that_was_never_there_is_an_error(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        RecipientTable(tmp_path / "nowhere")
