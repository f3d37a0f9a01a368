"""Who may be at work in a data folder at a time: gateways and commands, as many as like, or one command that must have it for itself.

A lock on the folder itself (flock), so that no file is in the way of whoever may not write here, and which the kernel drops when the
last process that has it ends, however that happens: a gateway's workers have it from their supervisor and keep it when that is killed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mpp.store.errors import StoreError


class InUseError(StoreError):
    """Somebody else is at work in the folder. Says the cure."""


def join(data: Path) -> int:
    """Be one of those at work in a folder, beside others, until this process, and all that it forks, have ended. Returns the descriptor to keep.

    Raises InUseError while a command has the folder for itself, OSError.
    """
    return _locked(
        data, fcntl.LOCK_SH, f"{data} is being rebuilt or compacted by mpp store; try again when that has ended"
    )


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Have a folder for oneself. Raises InUseError while a gateway runs on it, or a command that changes what is held, or another such one; OSError."""
    busy = f"a gateway runs on {data}, or another command is at work there; stop it, and call this again"
    descriptor = _locked(data, fcntl.LOCK_EX, busy)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(data: Path, how: int, busy: str) -> int:
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InUseError(busy) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
