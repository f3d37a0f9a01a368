"""Does this machine have what the settings ask for: data folder, disk, user, ports, a certificate that still holds?

Asked by `mpp check`. Looks and takes nothing: a port is bound for a moment without listening, so a gateway that runs
loses no connection. Each function yields problems with the path of the setting that is at fault.
"""

import errno
import grp
import os
import pwd
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from mpp.gateway.settings import Settings
from mpp.mail.escape import printable
from mpp.settings.problem import Path as KeyPath
from mpp.settings.problem import Problem
from mpp.settings.values import Endpoint, read_endpoint

FREE_LEAST, FREE_FEW = 100 << 20, 1 << 30  # octets of free disk: an error below, a warning below
DAY_S = 86400.0
SOON_DAYS = 21
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


def machine(settings: Settings, now: float) -> Iterator[Problem]:
    """All of them; `now` is seconds since 1970."""
    yield from account(settings)
    yield from data_folder(settings)
    yield from ports(settings)
    yield from certificate(settings, now)


def account(settings: Settings) -> Iterator[Problem]:
    """node.user and node.group exist, and we could become them."""
    node = settings.node
    user = None
    if node.user:
        try:
            user = pwd.getpwnam(node.user)
        except KeyError:
            cure = f"make it (useradd --system {printable(node.user)}) or name another"
            yield Problem(("node", "user"), f'"{printable(node.user)}" does not exist', cure)
    if node.group:
        try:
            grp.getgrnam(node.group)
        except KeyError:
            cure = f"make it (groupadd --system {printable(node.group)}) or name another"
            yield Problem(("node", "group"), f'"{printable(node.group)}" does not exist', cure)
    if user and os.geteuid() not in (0, user.pw_uid):
        what = f'"{printable(node.user)}" can be taken only by root or by itself'
        yield Problem(("node", "user"), what, "start mpp as root, or as this user")


def data_folder(settings: Settings) -> Iterator[Problem]:
    """It is there or can be made, can be written to, and has room."""
    folder, path = settings.node.data, ("node", "data")
    shown = f'"{printable(str(folder))}"'
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path("/"))
    if folder.exists() and not folder.is_dir():
        yield Problem(path, f"{shown} is no folder", "name a folder")
        return
    if not os.access(there, os.W_OK | os.X_OK):
        what = f"{shown} cannot be " + ("written to" if there == folder else "made")
        yield Problem(path, what, "give it to the user that runs mpp, or name another")
    elif there == folder and settings.node.user and not _is_of(folder, settings.node.user):
        what = f"{shown} does not belong to node.user"
        yield Problem(path, what, f"chown it to {printable(settings.node.user)}", "warning")
    free = shutil.disk_usage(there).free
    if free < FREE_FEW:
        what = f"{shown} has {free >> 20} MiB of free disk"
        yield Problem(path, what, "make room", "error" if free < FREE_LEAST else "warning")


def _is_of(folder: Path, user: str) -> bool:
    try:
        return folder.stat().st_uid == pwd.getpwnam(user).pw_uid
    except KeyError:
        return True  # told by account()


def ports(settings: Settings) -> Iterator[Problem]:
    """Each address can be bound, or is bound by us already (SO_REUSEPORT of one user)."""
    places: list[tuple[KeyPath, Endpoint]] = [
        (("listeners", number, "address"), listener.address) for number, listener in enumerate(settings.listeners)
    ]
    if settings.node.status:
        places.append((("node", "status"), read_endpoint(settings.node.status)))
    for path, endpoint in places:
        yield from _unix_place(path, endpoint.path) if endpoint.path else _port(path, endpoint)


def _port(path: KeyPath, endpoint: Endpoint) -> Iterator[Problem]:
    shown = printable(str(endpoint))
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found[:1]:
            with socket.socket(family, kind, protocol) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.bind(address)
    except OSError as error:
        what, cure = _CAUSES.get(error.errno or 0, ("", ""))
        if not what:
            what, cure = (
                f"cannot be bound: {printable(error.strerror or str(error))}",
                "name an address of this machine",
            )
        yield Problem(path, f"{shown} {what}", cure)


_CAUSES = {
    errno.EADDRINUSE: ("is taken by another program", "stop that one (ss -ltnp shows it), or name another port"),
    errno.EACCES: ("may not be bound by this user", "start mpp as root, by systemd, or with CAP_NET_BIND_SERVICE"),
    errno.EADDRNOTAVAIL: ("is no address of this machine", "name one that `ip address` shows, or 0.0.0.0"),
}


def _unix_place(path: KeyPath, place: str) -> Iterator[Problem]:
    folder = Path(place).parent
    if not folder.is_dir():
        yield Problem(path, f'"{printable(str(folder))}" is no folder', "make it, or name another path")
    elif not os.access(folder, os.W_OK | os.X_OK):
        what = f'"{printable(str(folder))}" cannot be written to'
        yield Problem(path, what, "give it to the user that runs mpp, or name another path")
    elif Path(place).exists() and not Path(place).is_socket():
        yield Problem(path, f'"{printable(place)}" is there and no socket', "remove it, or name another path")


def certificate(settings: Settings, now: float) -> Iterator[Problem]:
    """It holds for some weeks more."""
    pair = settings.tls
    if not (pair.certificate and pair.key):
        return
    try:
        expires = expiry(pair.certificate, pair.key)
    except (OSError, ValueError) as error:
        if getattr(error, "verify_code", 0) == _EXPIRED:
            yield Problem(("tls", "certificate"), "has expired", "renew it")
        else:
            what = f"cannot be judged: {printable(str(error))}"
            yield Problem(("tls", "certificate"), what, "look at it with `openssl x509 -text`", "warning")
        return
    days = (expires - now) / DAY_S
    if days < SOON_DAYS:
        what = "has expired" if days < 0 else f"expires in {days:.0f} days"
        yield Problem(("tls", "certificate"), what, "renew it", "error" if days < 0 else "warning")


def expiry(chain: Path, key: Path) -> float:
    """Return when a certificate ends, in seconds since 1970. Raises OSError (ssl.SSLError), ValueError.

    The standard library reads certificates only of a peer that it has verified, so we shake hands with ourselves.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, key, password="")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate vouches for itself
    client.load_verify_locations(chain)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True))
    for _ in range(4):  # flights of a handshake
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = ends[0].getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(found["notAfter"]))) if "notAfter" in found else 0.0
