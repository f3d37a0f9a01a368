"""Compiled expressions on disk, so that workers load in milliseconds what took seconds to compile.

A file for each set of expressions, named by its digest: of the expressions, hyperscan's version and the processor's
features, since the form depends on all of them. A MAC by a key of the node stands before the contents: hyperscan believes
what it loads. What does not fit is compiled again. Who compiles holds a lock, so several workers do not do it at once.
"""

import fcntl
import hmac
import os
import secrets
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.primitives.poly1305 import Poly1305

_MAGIC = b"MPPF3\n"
_NONCE, _MAC = 16, 16
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
    sources = [source for source, _ in expressions]
    state = sha256(b"%d %d %b\0" % (lines, len(sources), platform()))
    state.update(array("Q", map(len, sources)).tobytes())
    state.update(array("Q", [options for _, options in expressions]).tobytes())
    state.update(b"".join(sources))
    return state.hexdigest()


class Shelf:
    """A folder of compiled expressions."""

    def __init__(self, folder: Path) -> None:
        """Make folder and key where they are not there yet. Raises OSError."""
        self._folder = folder
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            with _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
                _give(descriptor, folder.parent)
        self._key = _key(folder / "key")

    @contextmanager
    def alone(self, digest: str) -> Iterator[None]:
        """Hold the lock of a digest. It ends with its process, whatever happens to that."""
        path = self._folder / f"{digest}.lock"
        try:
            with _made(path):
                pass
        except FileExistsError:
            pass
        with _opened(path, os.O_WRONLY | os.O_CREAT) as descriptor:  # it may have been tidied away meanwhile
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            yield

    def take(self, digest: str) -> Compiled:
        """Return what is kept. Raises NotStored."""
        try:
            data = (self._folder / digest).read_bytes()
        except OSError:
            raise NotStored from None
        view, nonce_at, mac_at, start = memoryview(data), len(_MAGIC), len(_MAGIC) + _NONCE, len(_MAGIC) + _NONCE + _MAC
        content = view[start:]
        mac = self._mac(digest, data[nonce_at:mac_at], content)
        if not data.startswith(_MAGIC) or not hmac.compare_digest(data[mac_at:start], mac):
            raise NotStored
        count = int.from_bytes(content[:4], "big")
        return Compiled(bytes(content[4 : 4 + count]), bytes(content[4 + count :]))

    def put(self, digest: str, compiled: Compiled) -> None:
        """Keep what was compiled. A disk that is full costs time at the next start, nothing else."""
        content = len(compiled.ways).to_bytes(4, "big") + compiled.ways + compiled.database
        fresh = self._folder / f"{digest}.{os.getpid()}.new"
        try:
            nonce = secrets.token_bytes(_NONCE)
            with _made(fresh) as descriptor, open(descriptor, "wb", closefd=False) as file:
                file.write(_MAGIC + nonce + self._mac(digest, nonce, content) + content)
            fresh.replace(self._folder / digest)
            self._tidy()
        except OSError:
            fresh.unlink(missing_ok=True)

    def _mac(self, digest: str, nonce: bytes, content: bytes | memoryview) -> bytes:
        """Poly1305 by a key of its own for each file: megabytes in a millisecond."""
        mac = Poly1305(hmac.digest(self._key, nonce + digest.encode(), "sha256"))
        mac.update(content)
        return mac.finalize()

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
        with _made(fresh) as descriptor:
            os.write(descriptor, secrets.token_bytes(32))
        try:
            os.link(fresh, path)  # fails where another was first
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_bytes()


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _made(path: Path) -> Iterator[int]:
    """Make a file that whoever has the folder may write. Raises FileExistsError, OSError."""
    with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
        _give(descriptor, path.parent)
        yield descriptor


def _give(descriptor: int, folder: Path) -> None:
    """Give what root has made, by a command, to whoever has the folder: the gateway's account could not write it otherwise."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
