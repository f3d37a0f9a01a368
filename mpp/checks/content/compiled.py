"""Compiled expressions on disk, so that workers load in milliseconds what took seconds to compile.

A file for each set of expressions, named by its digest: of the expressions, hyperscan's version and the processor's
features, since the form depends on all of them. A MAC by a key of the node stands before the contents: hyperscan believes
what it loads. What does not fit is compiled again. Who compiles holds a lock, so several workers do not do it at once.
"""

import fcntl
import hmac
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

_MAGIC = b"MPPF1\n"
_MAC = 32
_KEPT = 64  # files; the oldest go


class NotStored(Exception):  # noqa: N818 it is no error, it says to compile
    """Nothing is kept under this digest, or nothing that may be believed."""


@dataclass(frozen=True, slots=True)
class Compiled:
    ways: bytes  # an octet for each expression: engine.Way
    database: bytes  # hyperscan's serialised form; empty where it has none of them


@lru_cache
def platform() -> bytes:
    """Return what a compiled form depends on beside its expressions."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        text = ""
    features = [line for line in text.splitlines() if line.lower().startswith(("flags", "features"))]
    return f"{version('hyperscan')} {os.uname().machine} {''.join(features[:1])}".encode()


def digest_of(expressions: Sequence[tuple[bytes, int]], lines: bool) -> str:
    """Return the name of a set of expressions."""
    state = sha256(b"%d %b\0" % (lines, platform()))
    for source, options in expressions:
        state.update(b"%d %d " % (options, len(source)))
        state.update(source)
    return state.hexdigest()


class Shelf:
    """A folder of compiled expressions."""

    def __init__(self, folder: Path) -> None:
        """Make folder and key where they are not there yet. Raises OSError."""
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key = _key(folder / "key")

    @contextmanager
    def alone(self, digest: str) -> Iterator[None]:
        """Hold the lock of a digest. It ends with its process, whatever happens to that."""
        with (self._folder / f"{digest}.lock").open("wb") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            yield

    def take(self, digest: str) -> Compiled:
        """Return what is kept. Raises NotStored."""
        try:
            data = (self._folder / digest).read_bytes()
        except OSError:
            raise NotStored from None
        start = len(_MAGIC) + _MAC
        content = data[start:]
        if not data.startswith(_MAGIC) or not hmac.compare_digest(
            data[len(_MAGIC) : start], self._mac(digest, content)
        ):
            raise NotStored
        count = int.from_bytes(content[:4], "big")
        return Compiled(content[4 : 4 + count], content[4 + count :])

    def put(self, digest: str, compiled: Compiled) -> None:
        """Keep what was compiled. A disk that is full costs time at the next start, nothing else."""
        content = len(compiled.ways).to_bytes(4, "big") + compiled.ways + compiled.database
        fresh = self._folder / f"{digest}.{os.getpid()}.new"
        try:
            fresh.write_bytes(_MAGIC + self._mac(digest, content) + content)
            fresh.replace(self._folder / digest)
            self._tidy()
        except OSError:
            fresh.unlink(missing_ok=True)

    def _mac(self, digest: str, content: bytes) -> bytes:
        return hmac.digest(self._key, digest.encode() + content, "sha256")

    def _tidy(self) -> None:
        files = [path for path in self._folder.iterdir() if len(path.name) == 64]
        files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for old in files[_KEPT:]:
            old.unlink(missing_ok=True)
            (self._folder / f"{old.name}.lock").unlink(missing_ok=True)


def _key(path: Path) -> bytes:
    """Read the key; made by the one process that comes first."""
    fresh = path.with_name(f"key.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        try:
            os.link(fresh, path)  # fails where another was first
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_bytes()
