"""Privileges: who can become whom, and what is said where that does not work. The drop itself is tested with faults."""

import os

import pytest

from mpp.gateway import privileges
from mpp.gateway.privileges import PrivilegeError, identity, make_folder


def test_no_user_and_no_group_change_nothing():
    assert identity("", "") is None


def test_a_user_brings_its_own_group_unless_one_is_named():
    assert identity("root", "") == (0, 0) or os.geteuid() != 0


def test_an_unknown_user_is_told():
    with pytest.raises(PrivilegeError, match=r"no-such-user.*create it with adduser"):
        identity("no-such-user", "")


def test_only_root_becomes_another(monkeypatch):
    monkeypatch.setattr(privileges.os, "geteuid", lambda: 4242)
    with pytest.raises(PrivilegeError, match=r"only root can become node.user"):
        identity("root", "")


def test_the_data_folder_is_made_for_us_alone(tmp_path):
    make_folder(tmp_path / "a" / "b", "", "")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_data_folder_that_is_there_stays_as_it_is(tmp_path):
    tmp_path.chmod(0o750)
    make_folder(tmp_path, "", "")
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_data_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PrivilegeError, match="cannot be made: File exists"):
        make_folder(tmp_path / "file" / "data", "", "")


def test_a_folder_that_can_be_written_is_fine(tmp_path):
    privileges.check_folder(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(PrivilegeError, match=r"no permission to write; give the folder to node.user"):
        privileges.check_folder(tmp_path / "none")
