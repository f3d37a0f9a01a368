"""What a process may still do: another user after the ports are bound, no way back to more, an end with its parent.

For the supervisor and the processes it forks. Linux only (prctl(2)). Raises PrivilegeError, whose text says what to
do, and OSError where the kernel refuses.
"""

import ctypes
import grp
import os
import pwd
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


class PrivilegeError(Exception):
    """The process cannot become what the settings ask for."""


def identity(user: str, group: str) -> tuple[int, int] | None:
    """Return the uid and gid to become; None where the settings name neither."""
    if not user and not group:
        return None
    try:
        uid, gid = os.geteuid(), os.getegid()
        if user:
            entry = pwd.getpwnam(user)
            uid, gid = entry.pw_uid, entry.pw_gid
        if group:
            gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise PrivilegeError(
            f"node.user {user!r} or node.group {group!r} does not exist; create it with adduser"
        ) from None
    if os.geteuid() != 0 and (uid, gid) != (os.geteuid(), os.getegid()):
        raise PrivilegeError("only root can become node.user; start as root, or leave node.user and node.group empty")
    return uid, gid


def drop(user: str, group: str) -> None:
    """Become the user and group for good, with no further groups than the user has, and nothing more by any program."""
    wanted = identity(user, group)
    if wanted and os.geteuid() == 0:
        uid, gid = wanted
        os.setgroups(os.getgrouplist(user, gid) if user else [gid])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent ends. Ends it at once where that has happened."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(0)


def make_folder(path: Path, user: str, group: str) -> None:
    """Make a folder for the user alone; one that is there stays as it is. To be called before `drop`."""
    if path.is_dir():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
    except OSError as error:
        raise PrivilegeError(
            f"node.data {path} cannot be made: {error.strerror}; make it, or name another folder"
        ) from None
    if (wanted := identity(user, group)) and os.geteuid() == 0:
        os.chown(path, *wanted)


def check_folder(path: Path) -> None:
    """Say so where this process cannot write the folder. To be called after `drop`."""
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        raise PrivilegeError(f"node.data {path}: no permission to write; give the folder to node.user")


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "prctl")
