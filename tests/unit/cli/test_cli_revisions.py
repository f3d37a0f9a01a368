"""mpp settings diff|apply|history|rollback, and what holds where file and catalog have moved on."""

import json

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app
from mpp.gateway.load import load_settings
from mpp.gateway.revising import good_text, last_good, revise
from mpp.settings.write import write
from mpp.store.opening import open_store_catalog, prepare_store


class Node:
    """A settings file with a catalog."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / "mpp.toml"
        self.write(5)
        prepare_store(self.settings.node.data, self.settings.store)

    @property
    def settings(self):
        return load_settings(self.file).settings

    def write(self, recipients, file=None, more=""):
        text = f'[node]\ndata = "{self.folder}/data"\n[[listeners]]\nname = "mx"\naddress = "127.0.0.1:0"\n'
        text += f'[[policy_rules]]\npolicy = "default"\nlisteners = ["mx"]\n[limits]\nrecipients = {recipients}\n{more}'
        text += '[[routes]]\ndomains = ["example.org"]\nhosts = ["127.0.0.1:26"]\n'
        (file or self.file).write_text(text, "utf-8")

    def run(self, *arguments, code=0):
        result = CliRunner().invoke(app, ["settings", *arguments, "--settings", str(self.file)])
        assert result.exit_code == code, result.output + repr(result.exception)
        return result.output

    def serve(self):
        """What the gateway does at start and at reload."""
        catalog = open_store_catalog(self.settings.node.data, self.settings.store)
        try:
            return revise(catalog, self.settings, who="file", why="reload")
        finally:
            catalog.close()


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def test_the_file_makes_the_first_revision_and_the_next_ones(node):
    assert node.serve().revision.number == 1
    assert node.serve().revision.number == 1, "it says the same"
    node.write(6)
    taken = node.serve()
    assert (taken.revision.number, taken.settings.limits.recipients, taken.refused) == (2, 6, ())
    assert [json.loads(line)["who"] for line in node.run("history", "--json").splitlines()] == ["file", "file"]


def test_diff_apply_history_rollback(node):
    node.serve()
    node.write(7, node.folder / "new.toml")
    told = node.run("diff", str(node.folder / "new.toml"), code=1)
    assert told == f"{node.folder}/new.toml:10: limits.recipients: 5 -> 7\n"
    assert node.run("apply", str(node.folder / "new.toml"), "--why", "more of them") == "revision 2 holds\n"
    taken = node.serve()
    assert (taken.revision.number, taken.settings.limits.recipients) == (2, 7), (
        "the file is as it was: the catalog's holds"
    )
    assert taken.settings.listeners == node.settings.listeners
    assert "more of them" in node.run("history")
    assert node.run("rollback", "1", "--why", "too many").splitlines() == [
        "limits.recipients: 7 -> 5",
        "revision 3 holds, which says what revision 1 said",
    ]
    assert node.serve().settings.limits.recipients == 5
    assert node.run("diff", "--from", "2", "--to", "3", code=1) == "revision 3:2: limits.recipients: 7 -> 5\n"
    assert json.loads(node.run("diff", "--from", "2", "--to", "3", "--json", code=1))["new"] == 5


HOLDS = '[[filters]]\nname = "pills"\nmatch = ["pills"]\naction = "quarantine"\n'


def test_settings_under_which_a_sample_breaks_are_not_applied(node):
    mail, other = node.folder / "a.eml", node.folder / "new.toml"
    mail.write_bytes(b"To: bob@example.org\r\nSubject: pills\r\n\r\n")
    sample = f'[[samples]]\nname = "a"\nfile = "{mail}"\nmust = "be-held"\n'
    node.serve()
    node.write(7, other, sample)
    told = node.run("apply", str(other), "--why", "x", code=1)
    assert (
        f"{other}:14: samples[1].must would be: deliver by policies.default, and it must be held; change the rule"
        in told
    )
    assert "nothing was applied" in told
    node.write(7, other, sample + HOLDS)
    assert node.run("apply", str(other), "--why", "x") == "revision 2 holds\n"
    mail.write_bytes(b"To: bob@example.org\r\nSubject: lunch\r\n\r\n")
    node.write(8, other)
    node.run("apply", str(other), "--why", "without")
    told = node.run("rollback", "2", "--why", "back", code=1)
    assert "revision 2:" in told
    assert "samples[1].must would be: deliver" in told
    assert len(node.run("history").splitlines()) == 3
    node.write(9, other, HOLDS.replace('pills"]', '(pills"]'))
    assert node.run("apply", str(other), "--why", "x", code=1)


def test_file_and_catalog_have_both_changed(node):
    node.serve()
    node.write(7, node.folder / "new.toml")
    node.run("apply", str(node.folder / "new.toml"), "--why", "x")
    node.write(9)
    taken = node.serve()
    assert (taken.settings.limits.recipients, taken.refused) == (7, ("limits.recipients: 7 -> 9",))
    told = node.run("apply", str(node.file), "--why", "mine", code=1)
    assert "mpp.toml:10: limits.recipients: 7 -> 9" in told
    assert "have both changed (revision 2 by" in told
    assert "the newest revision is 2" in node.run("apply", str(node.file), "--why", "mine", "--over", "1", code=1)
    assert node.run("apply", str(node.file), "--why", "mine", "--over", "2") == "revision 3 holds\n"
    assert node.serve().settings.limits.recipients == 9


def test_a_wrong_file_makes_no_revision(node):
    node.serve()
    node.write(0, node.folder / "new.toml")
    assert "limits.recipients 0 is out of range" in node.run(
        "apply", str(node.folder / "new.toml"), "--why", "x", code=1
    )
    assert len(node.run("history").splitlines()) == 1


def test_there_is_no_such_revision(node):
    assert "there is no revision; `mpp settings history`" in node.run("diff", code=1)
    node.serve()
    assert "there is no revision 7" in node.run("rollback", "7", "--why", "x", code=1)
    assert "says the same already" in node.run("apply", str(node.file), "--why", "x")
    assert node.run("diff") == f"{node.file} says what revision 1 says\n"


def test_the_last_good_settings_hold_while_the_file_is_as_it_was(node):
    node.write(7, node.folder / "new.toml")
    good = node.folder / "settings.good.toml"
    good.write_text(good_text(write(load_settings(node.folder / "new.toml").settings), node.settings), "utf-8")
    assert last_good(good, node.settings).limits.recipients == 7
    node.write(8)
    assert last_good(good, node.settings) is None, "the file has changed since"
    assert last_good(node.folder / "nothing", node.settings) is None
