"""Revisions as values: what is in them, how they differ, and who has moved on."""

import pytest

from mpp.gateway.settings import Settings
from mpp.settings.read import load
from mpp.settings.revisions import Revision, Standing, body_of, differences, digest, merged, standing

FILE = """
[node]
data = "/srv/mpp"
[store]
catalog = "postgresql://mpp@db/mpp"
keep_held = "7d"
[[listeners]]
name = "mx"
address = "127.0.0.1:25"
[limits]
recipients = 5
"""


def read(text):
    return load(text, "mpp.toml", Settings)


def revision(body, file):
    return Revision(3, 0, "root", "", body, digest(file))


def test_what_a_node_needs_to_start_is_in_no_revision():
    settings = read(FILE).settings
    body = body_of(settings)
    assert body == '[limits]\nrecipients = 5\n\n[store]\nkeep_held = "7d"\n'
    back = merged(settings, read(body).settings)
    assert back == settings


def test_the_revision_brings_all_but_the_start():
    file, other = (
        read(FILE).settings,
        read(FILE.replace("7d", "9d").replace("/srv", "/var").replace("db/", "x/")).settings,
    )
    both = merged(file, other)
    assert both.store.keep_held == 9 * 86400
    assert (both.node, both.listeners, both.store.catalog) == (file.node, file.listeners, file.store.catalog)


def test_differences_have_places():
    old, new = read(FILE), read(FILE.replace("recipients = 5", "recipients = 6\ncommands = 50") + "[policies.a]\n")
    changes = differences(old.settings, new.settings, new.lines)
    assert [(str(each), each.line) for each in changes][:2] == [
        ("limits.recipients: 5 -> 6", 11),
        ("limits.commands: 1000 -> 50", 12),
    ]
    assert str(differences(new.settings, old.settings)[-1]).endswith("-> (not set)")
    assert differences(old.settings, old.settings) == []


def test_secrets_of_the_start_are_in_no_difference():
    assert differences(read(FILE).settings, read(FILE.replace("db/mpp", "x/mpp")).settings) == []


@pytest.mark.parametrize(
    ("file", "newest", "who"),
    [
        ("a", None, Standing.FIRST),
        ("a", revision("a", "a"), Standing.SAME),
        ("b", revision("a", "a"), Standing.FILE),
        ("a", revision("b", "a"), Standing.CATALOG),
        ("c", revision("b", "a"), Standing.BOTH),
        ("b", revision("b", "a"), Standing.SAME),
    ],
)
def test_who_has_moved_on(file, newest, who):
    assert standing(file, newest) is who
