"""mpp.gateway.confinement: what `mpp check` says of the process that looks into attachments."""

import pytest

from mpp.checks.attachments.helper import Helper
from mpp.gateway import confinement
from mpp.gateway.settings import Settings

LOOKING = Settings.model_validate({"inspection": {"always": True}})


class Stub(Helper):
    def start(self):
        self.lacking = ["landlock", "seccomp"]


class Broken(Helper):
    def start(self):
        raise OSError("no room")


@pytest.fixture
def told(monkeypatch):
    def ask(helper, unpacker="/usr/bin/7zz", settings=LOOKING):
        monkeypatch.setattr(confinement, "Helper", helper)
        monkeypatch.setattr(confinement, "find_unpacker", lambda: unpacker)
        return [(each.severity, each.what) for each in confinement.confinement(settings)]

    return ask


def test_each_wall_that_is_lacking_is_told_with_its_cure(told, monkeypatch):
    assert [severity for severity, _ in told(Stub)] == ["warning", "warning"]
    assert all(each.cure for each in confinement.confinement(LOOKING))
    assert "landlock" in told(Stub)[0][1]


def test_the_real_one_tells_what_it_lacks(told):
    with Helper() as helper:
        helper.start()
        assert len(told(Helper)) == len(helper.lacking)


def test_that_none_can_be_started_is_an_error(told):
    ((severity, what),) = told(Broken)
    assert (severity, "no room" in what) == ("error", True)


def test_a_missing_unpacker_is_a_note(told):
    assert told(Stub, unpacker="")[-1][0] == "note"


def test_nothing_is_told_where_nothing_is_looked_into(told):
    assert told(Broken, settings=Settings.model_validate({})) == []
