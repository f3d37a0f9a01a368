"""A reload: what holds is judged before it is kept, and a new revision needs nothing of the settings file."""

from pathlib import Path

import pytest

from mpp.gateway.load import load_settings
from mpp.gateway.reload import GOOD, newest_again, read_again, take
from mpp.gateway.settings import Settings
from mpp.settings.revisions import Revision, body_of
from mpp.store.catalog import Catalog
from mpp.store.opening import open_store_catalog, prepare_store
from mpp.store.revisions import append, newest

HOLDS = '[[filters]]\nname = "pills"\nmatch = ["pills"]\naction = "quarantine"\n'


class Node:
    """A settings file, its catalog, and what its gateway runs with."""

    def __init__(self, folder: Path) -> None:
        self.file, self.mail = folder / "mpp.toml", folder / "a.eml"
        self.mail.write_bytes(b"To: bob@example.org\r\nSubject: pills\r\n\r\n")
        self.data = folder / "data"
        self.write(5)
        prepare_store(self.data, self.settings().store)
        taken = take(self.settings(), "start")
        assert taken is not None
        self.running = taken

    def write(self, recipients: int, more: str = "") -> None:
        text = f'[node]\ndata = "{self.data}"\n[limits]\nrecipients = {recipients}\n'
        self.file.write_text(text + '[[routes]]\ndomains = ["example.org"]\nhosts = ["127.0.0.1:26"]\n' + more, "utf-8")

    def sample(self) -> str:
        return f'[[samples]]\nname = "a"\nfile = "{self.mail}"\nmust = "be-held"\n'

    def settings(self) -> Settings:
        return load_settings(self.file).settings

    def catalog(self) -> Catalog:
        return open_store_catalog(self.data, self.running.store)

    def newest(self) -> Revision:
        catalog = self.catalog()
        with catalog.read() as connection:
            found = newest(connection, "default")
        catalog.close()
        assert found is not None
        return found

    def apply(self, recipients: int, more: str = "") -> None:
        """Make a revision of what the file would say so, and leave the file as it is."""
        before, last = self.file.read_text("utf-8"), self.newest()
        self.write(recipients, more)
        body = body_of(self.settings())
        self.file.write_text(before, "utf-8")
        catalog = self.catalog()
        with catalog.write() as connection:
            append(connection, "default", body, who="ann", why="x", file=last.file, after=last.number)
        catalog.close()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def recipients(taken: Settings | None) -> int | None:
    return taken.limits.recipients if taken else None


def test_a_revision_is_taken_though_the_file_is_broken(node: Node):
    said = (node.data / GOOD).read_text("utf-8").splitlines()[0]
    node.apply(7)
    node.file.write_text("half of a sentence", "utf-8")
    assert read_again(node.file, node.running) is None
    assert recipients(newest_again(node.running)) == 7
    kept = (node.data / GOOD).read_text("utf-8")
    assert kept.splitlines()[0] == said, "what the file said when it was last taken"
    assert recipients(load_settings(node.data / GOOD).settings) == 7


def test_a_revision_takes_nothing_of_a_file_that_nobody_has_had_read_again(node: Node):
    node.write(6)
    node.apply(7)
    assert recipients(newest_again(node.running)) == 7
    assert node.newest().number == 2


@pytest.mark.parametrize(
    "again", [lambda node: newest_again(node.running), lambda node: read_again(node.file, node.running)]
)
def test_a_revision_under_which_a_sample_breaks_is_not_taken(node: Node, again, capfd):
    node.apply(7, node.sample())
    kept = (node.data / GOOD).read_bytes()
    assert again(node) is None
    assert "revision 2:11: samples[1].must would be: deliver" in capfd.readouterr().err
    assert (node.data / GOOD).read_bytes() == kept


def test_a_file_under_which_a_sample_breaks_makes_no_revision(node: Node, capfd):
    node.write(7, node.sample())
    assert read_again(node.file, node.running) is None
    assert f"{node.file}:11: samples[1].must would be: deliver" in capfd.readouterr().err
    assert node.newest().number == 1
    node.write(7, node.sample() + HOLDS)
    assert recipients(read_again(node.file, node.running)) == 7
    assert node.newest().number == 2


def test_a_sample_is_judged_by_what_will_hold_and_not_by_the_file(node: Node):
    node.write(5, node.sample() + HOLDS)
    assert read_again(node.file, node.running)
    node.apply(8, HOLDS)  # without the sample
    node.mail.write_bytes(b"To: bob@example.org\r\nSubject: lunch\r\n\r\n")
    assert recipients(read_again(node.file, node.running)) == 8
