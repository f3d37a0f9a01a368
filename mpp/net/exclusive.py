"""What only one process of the node may have at a time, and how one process wakes another.

Made by the supervisor before it forks, as a part of the node's table. A right is a byte of a file without a name that is
locked by fcntl: the kernel gives it to one process, and takes it back when that process dies, whatever it dies of. The
file is never closed while the process lives, since closing any of its descriptors would end the process's locks.
"""

import fcntl
import os


class Exclusive:
    def __init__(self, slots: int) -> None:
        self._file = os.memfd_create("mpp-exclusive")
        self.bells = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(slots)]

    def take(self, right: int) -> bool:
        """Take a right, a number up to 2**62; False where another process has it. Its own it is given again."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, right)
        except BlockingIOError:
            return False
        return True

    def release(self, right: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, right)

    def ring(self, slot: int) -> None:
        """Wake the worker of a slot, whose loop reads its bell."""
        os.eventfd_write(self.bells[slot], 1)

    def __del__(self) -> None:
        for descriptor in (self._file, *self.bells):
            os.close(descriptor)
