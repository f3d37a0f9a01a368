"""What is known of a spamd beside its answers: its version, the age of its rules, and how many children it has.

For `mpp check`. The version stands in a header field that SpamAssassin adds; rules and children are looked up where spamd is on
this machine, since its protocol tells neither. Reads files of /proc, which others change meanwhile: never raises, None is
"not known".
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from mpp.mail.escape import printable
from mpp.net.connect import Server

_VERSION = re.compile(
    rb"^X-Spam-Checker-Version:[ \t]*SpamAssassin[ \t]+([0-9A-Za-z.\-]{1,40})", re.MULTILINE | re.IGNORECASE
)
_UPDATED, _SHIPPED = Path("/var/lib/spamassassin"), Path("/usr/share/spamassassin")  # sa-update(1)
_CHILD = b"spamd child"
_LISTENING = "0A"  # a state in /proc/net/tcp


def version_in(header: bytes) -> str:
    """Return the version that a header made by SpamAssassin names, "" where it names none."""
    match = _VERSION.search(header)
    return printable(match[1], 40) if match else ""


def rules_since(updated: Path = _UPDATED, shipped: Path = _SHIPPED) -> float | None:
    """Return when the newest rules of this machine were written: those of sa-update, else those that were shipped."""
    for folder, pattern in ((updated, "*/*.cf"), (shipped, "*.cf")):
        times = [time for file in folder.glob(pattern) if (time := _modified(file)) is not None]
        if times:
            return max(times)
    return None


def children_of(server: Server, proc: Path = Path("/proc")) -> int | None:
    """Return how many children the spamd at a port or path of this machine has."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(server, proc)}
    children: dict[str, int] = {}
    for process in proc.glob("[0-9]*"):
        if _read(process / "cmdline").startswith(_CHILD):
            parent = _read(process / "stat").rpartition(b")")[2].split()[1:2]
            if parent:
                children[parent[0].decode()] = children.get(parent[0].decode(), 0) + 1
    counts = [count for parent, count in children.items() if sockets & set(_descriptors(proc / parent / "fd"))]
    return max(counts, default=None)


def _inodes(server: Server, proc: Path) -> Iterator[str]:
    """Yield the inodes of the sockets that listen there."""
    if server.path:
        for line in _read(proc / "net/unix").decode("utf-8", "replace").splitlines():
            if line.endswith(f" {server.path}"):
                yield line.split()[6]
        return
    for name in ("net/tcp", "net/tcp6"):
        for line in _read(proc / name).decode().splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == server.port:
                yield fields[9]


def _descriptors(folder: Path) -> Iterator[str]:
    try:
        for link in folder.iterdir():
            yield str(link.readlink())
    except OSError:  # it is another user's, or gone
        return


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _modified(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def described(header: bytes, server: Server) -> tuple[str, float | None]:
    """Return what a spamd is, in words, and from when its rules are; `header` is what its HEADERS method gave."""
    version = version_in(header)
    text = f"SpamAssassin {version}" if version else "SpamAssassin"
    children = children_of(server) if on_this_machine(server) else None
    return (text, None) if children is None else (f"{text}, {children} children", rules_since())


def on_this_machine(server: Server) -> bool:
    """True for unix paths and loopback addresses."""
    if server.path or server.host == "localhost":
        return True
    try:
        return ip_address(server.host).is_loopback
    except ValueError:
        return False
