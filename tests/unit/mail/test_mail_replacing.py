"""What is put in the place of a part: the part alone changes, and a mail that is read again has it."""

from hashlib import sha256
from pathlib import Path

import pytest

from mpp.mail.edits import apply_edits
from mpp.mail.line_ends import normalise
from mpp.mail.message import Message
from mpp.mail.part import Part
from mpp.mail.replacing import editable, encoded_part, rename_part, replace_part, safe_name

NOTE = "Taken out: äöü\n-- \nyours\n".encode()
MIXED = (
    b'From: a@b.c\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\npreamble\r\n--b\r\n\r\nHello\r\n--b\r\n'
    b'Content-Type: application/x-thing; name="a.exe"; x=y\r\nContent-Transfer-Encoding: base64\r\n\r\nTVo=\r\n--b--\r\nepilogue\r\n'
)
SINGLE = b"From: a@b.c\r\nContent-Type: application/zip\r\nSubject: s\r\nContent-Disposition: attachment\r\n\r\nPK"


def strip(message: Message, path: str) -> bytes:
    found = editable(message, path)
    assert found is not None
    header, body = encoded_part("text/plain; charset=utf-8", NOTE, name="note.txt")
    return b"".join(apply_edits(message.raw, replace_part(message, found[0], header, body, whole=found[1])))


def leaves(message: Message) -> list[tuple[str, str, str | None, bytes]]:
    return [(part.path, part.type, part.name, sha256(part.decode()).digest()) for part in message.leaves()]


def test_one_part_is_another_and_all_else_is_as_it_was() -> None:
    made = strip(Message(MIXED), "2")
    place = MIXED.index(b"Content-Type: application/x-thing")
    assert made.startswith(MIXED[:place])
    assert made.endswith(b"\r\n--b--\r\nepilogue\r\n")
    assert leaves(Message(made)) == [
        leaves(Message(MIXED))[0],
        ("2", "text/plain", "note.txt", sha256(NOTE).digest()),
    ]


def test_a_mail_that_is_one_attachment_keeps_its_fields() -> None:
    made = Message(strip(Message(SINGLE), "1"))
    assert made.raw.startswith(b"From: a@b.c\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n")
    assert made.text(b"subject") == "s"
    assert leaves(made) == [("1", "text/plain", "note.txt", sha256(NOTE).digest())]


def test_a_part_of_an_encoded_message_goes_with_that_message() -> None:
    header, body = encoded_part("message/rfc822", MIXED)
    outer = MIXED.replace(b"\r\n--b--", b"\r\n--b\r\n" + header + b"\r\n" + body + b"--b--").replace(b'"b"', b'"b"', 1)
    message = Message(outer)
    paths = [part.path for part in message.leaves()]
    assert paths == ["1", "2", "3.1", "3.2"]
    assert [each[0] for each in leaves(Message(strip(message, "3.2")))] == ["1", "2", "3"]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_renaming_changes_the_two_fields_alone(end: bytes) -> None:
    message = Message(MIXED.replace(b"\r\n", end))
    part = message.leaves()[1]
    made = Message(b"".join(apply_edits(message.raw, rename_part(message, part, "ä.exe.txt"))))
    renamed = made.leaves()[1]
    assert (renamed.name, renamed.type, renamed.parameters["x"]) == ("ä.exe.txt", "application/x-thing", "y")
    assert renamed.decode() == part.decode()
    assert made.line_end == end
    assert b"\r" not in made.raw or end == b"\r\n"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.exe", "a.exe.txt"),
        ("../../etc/passwd", "passwd.txt"),
        ("in\u202efdp.exe. .", "in_fdp.exe.txt"),
        ('a"\r\n: b', "a____ b.txt"),
        ("", "attachment.txt"),
        ("x" * 400 + ".docm", "x" * 129 + ".docm.txt"),
    ],
)
def test_a_name_that_is_written_again_hides_nothing(name: str, safe: str) -> None:
    assert safe_name(name, ".txt") == safe


@pytest.mark.corpus
def test_any_part_of_any_mail_is_replaced_alone(corpora: Path) -> None:
    """Each leaf of each hostile mail: what stands around it stays, and read again it is the note."""
    checked = 0
    for file in sorted((corpora / "mime").rglob("*.eml")):
        message = Message(normalise(file.read_bytes()))
        parts = message.leaves()
        for number, part in enumerate(parts[:20]):
            if message.headless:
                continue
            checked += 1
            _alone(message, parts, number, part, file.name)
    assert checked > 1000


def _alone(message: Message, parts: list[Part], number: int, part: Part, where: str) -> None:
    found = editable(message, part.path)
    assert found is not None, where
    made = Message(strip(message, part.path))
    assert b"\n" not in made.raw.replace(b"\r\n", b""), where
    outer = found[0]
    before, after = message.raw[: outer.header], message.raw[outer.end :]
    assert made.raw.startswith(before), where
    assert made.raw.endswith(after), where
    gone = [each for each in parts if each is not part and editable(message, each.path) == found]
    kept = [each for each in parts if each is not part and each not in gone]
    again = made.leaves()
    assert len(again) == len(kept) + 1, where
    notes = [each for each in again if each.decode() == NOTE]
    assert notes, where
    assert [sha256(each.decode()).digest() for each in again if each is not notes[0]] == [
        sha256(each.decode()).digest() for each in kept
    ], where
