"""Odd mails from the test suites of other projects, and real bounces: read as others read them, never an exception."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from mpp.mail.edits import Edit, apply_edits, insert_field
from mpp.mail.message import Message
from mpp.mail.trace import digest

pytestmark = pytest.mark.corpus


def reading(message: Message):
    """The leaves as the corpus labels them: digest without CR and without white space at the end."""
    for part in message.leaves():
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
        if list(reading(message)) != expected:
            wrong.append(row["file"])
    assert agreed
    assert wrong == []


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
