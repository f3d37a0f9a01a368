"""Lists of digests: files that name known attachments, a digest a line, followed while the gateway runs.

A line is an MD5, SHA-1 or SHA-256 in hexadecimal, and after it a name of what it is, where there is one (the form of sha256sum,
of most feeds and of ClamAV's `digest:size:name`). Every leaf of a message is looked up, as it is after transfer decoding, and
the message as a whole. A file that cannot be read any more leaves what was known of it; one that never could is a failure.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mpp.checks.scanners.kinds import Hashes
from mpp.checks.scanners.scanner import ScannerCheck, Tools, beside_loop
from mpp.mail.escape import printable
from mpp.mail.message import Message
from mpp.settings.problem import Path as KeyPath
from mpp.settings.problem import Problem
from mpp.settings.stamp import Stamp, stamp_of
from mpp.verdict.finding import VIRUS_SCANNED, Finding, Verdict
from mpp.verdict.transaction import Transaction

LOOK_S = 2.0  # a file is looked at again after this, when a message comes
MOST = 20_000_000  # digests of a file
_LINE = re.compile(rb"([0-9A-Fa-f]{64}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32})(?:[\s:,;]+(?:[0-9*]+:)?\*?(.*))?")
_MAKERS = {16: "md5", 20: "sha1", 32: "sha256"}
_TEXTS = {
    "virus": "The digest of known malware",
    "banned": "The digest of what is not wanted",
    "score": "A known digest",
}
_VERDICTS = {"virus": Verdict.VIRUS, "banned": Verdict.BANNED, "score": None}


@dataclass(slots=True)
class _File:
    path: Path
    stamp: Stamp | None = None  # of what was read
    looked: float = float("-inf")  # the loop's time
    known: Mapping[bytes, str] | None = None
    lengths: frozenset[int] = frozenset()  # of its digests, in octets
    bad: int = 0  # lines that are none
    cause: str = ""  # why it could not be read when it was last looked at


class HashesCheck(ScannerCheck[Hashes]):
    """The Check that looks digests up."""

    def __init__(self, settings: Hashes, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._files = [_File(path) for path in settings.files]
        self._reading = asyncio.Lock()

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return a finding for each part whose digest is listed."""
        if len(message.raw) > self.settings.max_size:
            return [self.too_large(len(message.raw))]
        await self._follow()
        for file in self._files:
            if file.known is None:
                return [self.failed(str(file.path), file.cause)]
        known = [file.known for file in self._files if file.known]
        kinds = frozenset().union(*(file.lengths for file in self._files))
        digests = await beside_loop(len(message.raw), _digests, message, kinds)
        found = [
            self._finding(path, digest, names[digest]) for path, digest in digests for names in known if digest in names
        ]
        return [Finding(self.name, VIRUS_SCANNED), *found]

    def _finding(self, path: str, digest: bytes, name: str) -> Finding:
        meaning = self.settings.found
        score = self.settings.score if meaning == "score" else 0.0
        where = f"part {path}" if path else "the whole message"
        return Finding(
            self.name, name or "known-digest", score, _TEXTS[meaning], f"{where}: {digest.hex()}", _VERDICTS[meaning]
        )

    async def _follow(self) -> None:
        """Read again what has changed; those who come meanwhile wait, so that no message is judged by half a list."""
        now = asyncio.get_running_loop().time()
        if all(now - file.looked < LOOK_S for file in self._files):
            return
        async with self._reading:
            for file in self._files:
                if now - file.looked >= LOOK_S:
                    await asyncio.to_thread(_look, file)
                    file.looked = asyncio.get_running_loop().time()

    async def told(self, path: KeyPath) -> list[Problem]:
        await self._follow()
        problems: list[Problem] = []
        for item, file in enumerate(self._files):
            place = (*path, "files", item)
            shown = f'"{printable(str(file.path))}"'
            if file.known is None:
                problems.append(Problem(place, f"{shown} cannot be read: {file.cause}", "name a file of digests"))
                continue
            problems.append(Problem(place, f"{shown} has {len(file.known)} digests", "", "note"))
            if file.bad:
                what = f"{shown} has {file.bad} lines that are no digest"
                problems.append(Problem(place, what, "write an MD5, SHA-1 or SHA-256 in hexadecimal first", "warning"))
        return problems


def _look(file: _File) -> None:
    """Read a file where it is not what it was. Runs in a thread."""
    try:
        stamp = stamp_of(file.path)
        if stamp != file.stamp:
            with file.path.open("rb") as lines:
                file.known, file.bad = read_list(lines)
            file.lengths = frozenset(map(len, file.known))
            file.stamp = stamp
        file.cause = ""
    except OSError as error:
        file.cause = printable(error.strerror or str(error), 200)


def read_list(lines: Iterable[bytes]) -> tuple[dict[bytes, str], int]:
    """Return names by digest, and how many lines are none; empty ones and `#` comments do not count."""
    known: dict[bytes, str] = {}
    bad = 0
    for line in lines:
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        match = _LINE.fullmatch(text)
        if match and len(known) < MOST:
            known[bytes.fromhex(match[1].decode())] = printable((match[2] or b"").strip(), 200)
        else:
            bad += 1
    return known, bad


def _digests(message: Message, lengths: frozenset[int]) -> list[tuple[str, bytes]]:
    """Return the digests of each leaf and of the whole, by the path of the part ("" for the whole)."""
    made: list[tuple[str, bytes]] = []
    for path, octets in [("", message.raw), *((leaf.path or "1", leaf.decode()) for leaf in message.every_leaf())]:
        made += [(path, hashlib.new(_MAKERS[length], octets, usedforsecurity=False).digest()) for length in lengths]
    return made
