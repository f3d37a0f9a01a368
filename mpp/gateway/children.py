"""A process that the supervisor keeps running: forked, watched, ended, and begun again when it dies.

For mpp.gateway.supervisor, which has one Child for each worker slot and one for the status page. A child that dies soon
after its start, again and again, is begun again after a growing pause. Times are time.monotonic().
"""

import faulthandler
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mpp.gateway import log, privileges

SOON_S = 1.0  # a life shorter than this was none
PAUSES_S = (0.0, 0.1, 5.0)  # after the first short life, after the second (then doubling), at most
ABORT_S = 0.5  # from SIGABRT to SIGKILL
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Child:
    """`body(control)` is run in the forked process; its control socket is connected with ours."""

    def __init__(self, name: str, body: Callable[[socket.socket], None]) -> None:
        self.name = name
        self._body = body
        self.pid = 0  # 0: not running
        self.control: socket.socket | None = None
        self.started = 0.0
        self.start_at = 0.0
        self.ready = False
        self.short_lives = 0
        self.kill_at = 0.0

    def start(self, now: float) -> None:
        """Fork. Returns in the parent only. Raises OSError where the system has no room; nothing has changed then."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        # A signal that came between fork and reset would run the supervisor's handler in the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._live(parent, theirs)
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.pid, self.control, self.started = pid, ours, now
        self.ready, self.kill_at = False, 0.0

    def _live(self, parent: int, control: socket.socket) -> None:
        """Be the child. Never returns: what the parent was doing is none of its business."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGINT, signal.SIGHUP):  # from a terminal they reach us all: the supervisor answers
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            privileges.die_with(parent)
            _call_itself(self.name)
            faulthandler.enable()  # where it was at SIGSEGV or SIGABRT, on stderr: no outside text is in it
            self._body(control)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException as error:  # noqa: BLE001 -- the edge of the process
            trace = " < ".join(
                f"{frame.name}:{frame.lineno}" for frame in reversed(traceback.extract_tb(error.__traceback__))
            )
            log.event(
                "error", "process.failed", process=self.name, error=f"{type(error).__name__}: {error}", trace=trace
            )
        finally:
            os._exit(status)

    def reap(self, now: float) -> str | None:
        """Return how the child ended, in words, where it has; None while it runs. Plans its next start."""
        if not self.pid:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self.pid = 0
        if self.control:
            self.control.close()
            self.control = None
        self.short_lives = self.short_lives + 1 if now - self.started < SOON_S else 0
        self.start_at = now + pause(self.short_lives)
        code = os.waitstatus_to_exitcode(status)
        return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    def send(self, order: bytes) -> None:
        """Send an order, where the child takes orders."""
        if self.control:
            with suppress(OSError):  # it is dying, or reads no orders: its silence will tell
                self.control.send(order)

    def receive(self) -> bytes:
        """Return what the child has said. Where it can say no more the control socket is closed."""
        if not self.control:
            return b""
        try:
            said = self.control.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            said = b""
        if not said:
            self.control.close()
            self.control = None
        return said

    def signal(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)  # not yet waited for: the number is still its own

    def abort(self, now: float) -> None:
        """End a child that hangs: SIGABRT, which names the place in its own words, then SIGKILL."""
        self.signal(signal.SIGABRT)
        self.kill_at = now + ABORT_S


def _call_itself(name: str) -> None:
    """Let ps(1) and top(1) tell the processes apart."""
    with suppress(OSError):  # no /proc
        Path("/proc/self/comm").write_text(f"mpp {name}"[:15])


def pause(short_lives: int) -> float:
    """Return the seconds to wait after so many short lives in a row."""
    first, second, most = PAUSES_S
    return first if short_lives < 2 else min(second * 2.0 ** min(short_lives - 2, 16), most)
