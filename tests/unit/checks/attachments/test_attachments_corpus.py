"""Odd attachments of other projects' tests: every fact of their labels is found, or the file is said to be not checkable."""

import csv
from hashlib import sha256
from pathlib import Path

import pytest

from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.item import File, Flag, Limits
from mpp.checks.attachments.unpacking import find_unpacker
from servers.installed import installed

pytestmark = pytest.mark.corpus

# column of the labels: flags of which one has to be there
FACTS = {
    "encrypted": {Flag.ENCRYPTED},
    "macro": {Flag.MACRO},
    "executable": {Flag.EXECUTABLE, Flag.SCRIPT},
    "bomb": {Flag.BOMB},
    "unsafe": {Flag.UNSAFE_NAME},
    "active": {Flag.ACTIVE},
    "ext_lies": {Flag.MISMATCH},
}
NOT_CHECKABLE = {Flag.DAMAGED, Flag.BOMB}
# Where we read otherwise than the tool that wrote the label, and why.
OTHERWISE = {
    ("clam.exe.mbox.base64", "macro"): "a program in base64, no document",
    ("clam.exe.mbox.uu", "macro"): "a program in uuencode, no document",
    ("test_compat_gzip_2.tgz", "bomb"): "octets behind the gzip stream, taken for its size; it unpacks to 7 KiB",
    ("sfx-like.exe", "ext_lies"): "a program, as its name says, that a zip stands behind",
}


def test_the_facts_of_the_labels_are_found(corpora: Path):
    missed, unopened, unseen = [], [], []
    installed("7z")
    helper = Helper(find_unpacker())
    with (corpora / "attachments" / "labels.csv").open(newline="") as labels:
        rows = list(csv.DictReader(labels))
    assert len(rows) > 600
    for row in rows:
        data = (corpora / "attachments" / "files" / row["file"]).read_bytes()
        name = row["name"].encode("latin-1", "backslashreplace").decode("unicode_escape")
        items = helper.inspect([File("1", name, "", data)], Limits(seconds=2.0))  # libarchive is never done with one
        found = frozenset().union(*(item.flags for item in items))
        assert items[0].sha256 == sha256(data).hexdigest()
        for fact, flags in FACTS.items():
            if row[fact] and not flags & found and (row["name"], fact) not in OTHERWISE:
                (unopened if NOT_CHECKABLE & found else missed).append((row["file"], fact))
        if row["eicar"] and not any(item.size in (68, 70) for item in items):
            missed.append((row["file"], "eicar"))
        if row["opens"] and row["members"] and len(items) < 2 and not found & {*NOT_CHECKABLE, Flag.ENCRYPTED}:
            unseen.append(row["file"])
    helper.close()
    assert missed == []
    assert unseen == []
    assert len(unopened) <= 7, unopened  # headers beyond repair, and an image that libarchive is never done with
