"""Odd mails from the test suites of other projects, and real bounces: read as others read them, never an exception."""

import csv
import hashlib
import json
import re
from pathlib import Path

import pytest

from mpp.mail.edits import Edit, apply_edits, insert_field
from mpp.mail.message import Message
from mpp.mail.trace import digest

pytestmark = pytest.mark.corpus
EICAR_ZIP = "efa4754a7fac364d"  # the file that those mails hide, by the first digits of its digest


def reading(leaves):
    """The leaves as the corpus labels them: digest without CR and without white space at the end."""
    for part in leaves:
        trimmed = re.sub(rb"\s+\Z", b"", part.decode().replace(b"\r", b""))
        digest = "-" if part.type.startswith("message/") else hashlib.sha256(trimmed).hexdigest()[:16]
        yield part.type, part.name or None, digest


def test_mails_on_which_parsers_agree_are_read_as_they_do(corpora: Path):
    wrong = []
    rows = [json.loads(line) for line in (corpora / "mime" / "readings.jsonl").read_text().splitlines()]
    agreed = [row for row in rows if row["label"] == "agreed"]
    for row in agreed:
        message = Message((corpora / "mime" / "mails" / row["file"]).read_bytes())
        expected = [(leaf["type"], leaf.get("name") or None, leaf["nsha"]) for leaf in row["leaves"]]
        if list(reading(message.leaves())) != expected:
            wrong.append(row["file"])
    assert agreed
    assert wrong == []


def test_where_parsers_differ_every_reading_of_theirs_is_among_ours(corpora: Path):
    rows = [json.loads(line) for line in (corpora / "mime" / "readings.jsonl").read_text().splitlines()]
    seen, unread = 0, []
    for row in rows:
        if row["label"] == "agreed":
            continue
        message = Message((corpora / "mime" / "mails" / row["file"]).read_bytes())
        ours = [list(reading(leaves)) for leaves in (message.leaves(), *(each.leaves for each in message.readings))]
        for parser, leaves in row["readings"].items():
            if leaves is None:  # it refused the mail
                continue
            seen += 1
            digests = ("-" if leaf["type"].startswith("message/") else leaf["nsha"] for leaf in leaves)
            theirs = [
                (leaf["type"], leaf.get("name") or None, digest) for leaf, digest in zip(leaves, digests, strict=True)
            ]
            if theirs not in ours:
                unread.append((row["file"], parser))
    assert seen > 700
    assert len(unread) <= 4, unread  # MIME::tools printing an address of its memory in place of BinHex


def test_files_that_broken_mime_hides_are_found(corpora: Path):
    with (corpora / "mime" / "labels.csv").open(newline="") as labels:
        rows = [row for row in csv.DictReader(labels) if row["hidden"] == "content eicar.zip"]
    assert len(rows) > 100
    missed = {True: [], False: []}
    for row in rows:
        message = Message((corpora / "mime" / "mails" / row["file"]).read_bytes())
        if EICAR_ZIP not in (digest for _, _, digest in reading(message.every_leaf())):
            missed[row["found_by"] not in ("", "none")].append(row["payload_test"])
    assert missed[True] == []  # what any of the three parsers hands out
    assert len(missed[False]) <= 8, missed[False]  # of 74 that none of them does


@pytest.mark.parametrize("folder", ["mime", "bounces", "attachments"])
def test_any_file_is_read_and_edited_without_loss(corpora: Path, folder):
    files = [path for path in (corpora / folder).rglob("*") if path.is_file()]
    assert files
    for path in files:
        raw = path.read_bytes()
        message = Message(raw)
        for part in message.leaves():
            part.text()
        assert message.defects is not None
        assert len(digest(raw)) == 16
        assert apply_edits(raw, []) == [raw]
        edits = [insert_field(message, b"X-Test", b"1")]
        if message.headless:
            edits.append(Edit(0, 0, message.line_end))
        edited = b"".join(apply_edits(raw, edits))
        assert edited.endswith(raw)
        shift = len(edited) - len(raw)
        if not message.exceeded:  # else the limit cuts one field earlier
            assert Message(edited).fields[1:] == [f._replace(offset=f.offset + shift) for f in message.fields]
