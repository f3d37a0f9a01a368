"""Lists of digests: their lines, what they find, and how a list that changes is followed."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from mpp.checks.scanners import hashes
from mpp.checks.scanners.hashes import HashesCheck, read_list
from mpp.checks.scanners.kinds import Hashes
from mpp.checks.scanners.scanner import Tools
from mpp.mail.message import Message
from mpp.verdict.finding import SCANNER_FAILED, TOO_LARGE, VIRUS_SCANNED, Finding, OnFailure, Verdict
from servers.transactions import a_transaction

BAD = b"MZ bad program"
RAW = (
    b"Subject: hi\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"
    b"Content-Type: application/x; name=a.exe\r\nContent-Transfer-Encoding: base64\r\n\r\nTVogYmFkIHByb2dyYW0=\r\n--b--\r\n"
)
MD5, SHA1, SHA256 = (hashlib.new(name, BAD).hexdigest() for name in ("md5", "sha1", "sha256"))


def check(*files: Path, **more: Any) -> HashesCheck:
    return HashesCheck(Hashes(name="h", kind="hashes", files=files, **more), Tools())


async def found(scanner: HashesCheck, raw: bytes = RAW) -> list[Finding]:
    return await scanner.examine(Message(raw), a_transaction())


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (SHA256, ""),
        (SHA256.upper(), ""),
        (SHA1, ""),
        (MD5, ""),
        (f"{SHA256}  bad.exe", "bad.exe"),
        (f"{SHA256} *bad.exe", "bad.exe"),
        (f"{MD5}:14:Win.Bad-1", "Win.Bad-1"),
        (f"{SHA256}:*:Win.Bad-2:73", "Win.Bad-2:73"),
        (f"{SHA256};Win.Bad", "Win.Bad"),
        (f"  {SHA256}\tname with \x1b", "name with \\x1b"),
    ],
)
async def test_lines_that_name_a_digest(tmp_path: Path, line: str, name: str) -> None:
    (tmp_path / "list").write_text(f"# a comment\n\n{'0' * 64}\n{line}\n")
    note, hit = await found(check(tmp_path / "list"))
    assert note == Finding("h", VIRUS_SCANNED)
    assert (hit.symbol, hit.verdict) == (name or "known-digest", Verdict.VIRUS)
    assert hit.evidence.startswith("part 2: ")


@pytest.mark.parametrize("line", [b"x", b"abcd", SHA256.encode() + b"0", SHA256[:-1].encode(), b"g" * 64, b"\xff\0"])
def test_lines_that_are_none(line: bytes) -> None:
    assert read_list([line, b"#" + line, b" \n"]) == ({}, 1)


@pytest.mark.parametrize(
    ("meaning", "verdict", "score"), [("virus", Verdict.VIRUS, 0), ("banned", Verdict.BANNED, 0), ("score", None, 3.5)]
)
async def test_what_a_hit_means_is_a_setting(
    tmp_path: Path, meaning: str, verdict: Verdict | None, score: float
) -> None:
    (tmp_path / "list").write_text(SHA256)
    hit = (await found(check(tmp_path / "list", found=meaning, score=3.5)))[1]
    assert (hit.verdict, hit.score) == (verdict, score)


async def test_whole_messages_large_ones_and_several_lists(tmp_path: Path) -> None:
    large = b"Subject: x\r\n\r\n" + b"y" * 200_000
    (tmp_path / "one").write_text(hashlib.sha256(large).hexdigest())
    (tmp_path / "two").write_text(hashlib.md5(large).hexdigest())
    hits = (await found(check(tmp_path / "one", tmp_path / "two"), large))[1:]
    assert [hit.evidence.partition(":")[0] for hit in hits] == ["the whole message"] * 2
    assert len(await found(check(tmp_path / "one"), RAW)) == 1


async def test_a_list_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "LOOK_S", 0.0)
    file = tmp_path / "list"
    file.write_text("0" * 64 + "\n")
    scanner = check(file)
    assert len(await found(scanner)) == 1
    (tmp_path / "new").write_text(SHA256 + "\n")
    os.replace(tmp_path / "new", file)
    assert len(await found(scanner)) == 2
    file.unlink()
    assert len(await found(scanner)) == 2  # what was known stays known


async def test_a_list_that_is_replaced_while_it_is_opened_is_read_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "LOOK_S", 0.0)
    file, newer = tmp_path / "list", tmp_path / "new"
    file.write_text("0" * 64 + "\n")
    newer.write_text(SHA256 + "\n")
    scanner = check(file)
    as_it_is = Path.open

    def open_and_replace(path: Path, *mode: Any) -> Any:
        opened = as_it_is(path, *mode)
        if newer.exists():
            os.replace(newer, file)
        return opened

    monkeypatch.setattr(Path, "open", open_and_replace)
    assert len(await found(scanner)) == 1
    assert not newer.exists()
    assert len(await found(scanner)) == 2


async def test_between_two_looks_a_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("")
    scanner = check(file)
    assert len(await found(scanner)) == 1
    file.write_text(SHA256)
    assert len(await found(scanner)) == 1


async def test_a_list_that_never_was_is_a_failure(tmp_path: Path) -> None:
    (finding,) = await found(check(tmp_path / "nothing"))
    assert (finding.symbol, finding.failure) == (SCANNER_FAILED, OnFailure.DEFER)
    assert finding.evidence == f"{tmp_path}/nothing: No such file or directory"


async def test_what_mpp_check_says(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{SHA256}\nno digest\n")
    problems = await check(tmp_path / "list", tmp_path / "nothing").told(("scanners", 0))
    assert [(each.path[-1], each.severity) for each in problems] == [(0, "note"), (0, "warning"), (1, "error")]
    assert "has 1 digests" in problems[0].what


async def test_too_large(tmp_path: Path) -> None:
    (finding,) = await found(check(tmp_path / "list", max_size=1024), RAW * 9)
    assert finding.symbol == TOO_LARGE
