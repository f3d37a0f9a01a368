"""The sockets that mail comes in by, bound once by the supervisor and kept open as long as it lives.

Each worker slot has a TCP socket of its own for a listener (SO_REUSEPORT), so that connections waiting in it outlive the
worker. A unix path, and what systemd passes, is one socket that all slots share. Whoever may enter the folder of a unix
path may connect to it (mode 0666): the folder's mode is its access control. Raises BindError, whose text says what to do.
"""

import os
import socket
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from mpp.gateway.settings import Listener

BACKLOG = 4096  # the kernel takes the smaller of this and net.core.somaxconn
SlotSockets = list[tuple[Listener, socket.socket]]


class BindError(Exception):
    """A listener's address cannot be had."""


def bind(listeners: Iterable[Listener], slots: int, passed: Mapping[str, list[socket.socket]]) -> list[SlotSockets]:
    """Return the listening sockets of each slot; `passed` are systemd's, by the listener's name."""
    found: list[SlotSockets] = [[] for _ in range(slots)]
    for listener in listeners:
        if listener.name in passed:
            shared = passed[listener.name]
        elif listener.address.path:
            shared = [_bind_path(listener)]
        else:
            for slot, bound in enumerate(_bind_port(listener, slots)):
                found[slot].append((listener, bound))
            continue
        for one in shared:
            one.setblocking(False)
            for sockets in found:
                sockets.append((listener, one))
    return found


def bind_status(address: str) -> socket.socket:
    """Return the socket of the status page, "HOST:PORT" or "[v6]:PORT"."""
    try:
        host, _, port = address.rpartition(":")
        return _listening(*_resolve(host.strip("[]"), int(port)), reuse_port=False)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "is no address"
        raise BindError(f"node.status {address}: {said}; name a free one such as 127.0.0.1:9125") from None


def _resolve(host: str, port: int) -> tuple[int, tuple[object, ...]]:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return family, address


def _bind_port(listener: Listener, slots: int) -> list[socket.socket]:
    host, port = listener.address.host, listener.address.port
    bound: list[socket.socket] = []
    try:
        # Without SO_REUSEPORT first: with it a second gateway of the same user would silently share the port.
        family, address = _resolve(host, port)
        _listening(family, address, reuse_port=False).close()
        for _ in range(slots):
            bound.append(_listening(family, address, reuse_port=True))
            address = bound[0].getsockname()  # port 0 was any: the others take the same
    except OSError as error:
        for one in bound:
            one.close()
        raise BindError(f"listener {listener.name}: {listener.address}: {error.strerror}; {_cure(error)}") from None
    return bound


def _listening(family: int, address: tuple[object, ...], *, reuse_port: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(reuse_port))
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _bind_path(listener: Listener) -> socket.socket:
    path = Path(listener.address.path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _remove_dead(path)
        made.bind(str(path))
        path.chmod(0o666)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise BindError(f"listener {listener.name}: {path}: {error.strerror}; {_cure(error)}") from None
    return made


def _remove_dead(path: Path) -> None:
    """Remove a socket file that nobody listens at. Raises OSError where somebody does, or it is no socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(0, "is there and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # its backlog is full: alive
            pass
    raise FileExistsError(0, "another process listens there")


def _cure(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "start as root and name node.user, or use a port above 1023"
    if isinstance(error, FileNotFoundError):
        return "make the folder"
    return "stop what uses it (`ss -ltnp` shows it), or name another address"


def describe(bound: socket.socket) -> str:
    """Return the address that a socket really has, as people write it."""
    name = bound.getsockname()
    if bound.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    return f"[{name[0]}]:{name[1]}" if bound.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"
