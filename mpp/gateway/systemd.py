"""What systemd asks of a service: sockets that it passes (sd_listen_fds(3)) and messages to it (sd_notify(3)).

For the supervisor. Without systemd every function does nothing. Raises nothing from a notification; systemd's own
timeouts answer for one that is lost.
"""

import os
import socket
import time

_FIRST = 3  # descriptor that systemd passes first
_TAKEN = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def passed_sockets() -> dict[str, list[socket.socket]]:
    """Return the sockets that systemd passed, by FileDescriptorName=, and take them out of the environment.

    Several sockets of one unit share its name. Raises ValueError where the variables make no sense.
    """
    pid, count, names = (os.environ.pop(name, "") for name in _TAKEN)
    if not count or pid != str(os.getpid()):  # they were meant for another process
        return {}
    found: dict[str, list[socket.socket]] = {}
    named = names.split(":") if names else []
    for number in range(int(count)):
        passed = socket.socket(fileno=_FIRST + number)
        passed.set_inheritable(False)
        name = named[number] if number < len(named) else "unknown"
        found.setdefault(name, []).append(passed)
    return found


class Notifier:
    """Tells systemd how the service is. The address is read once and taken out of the environment."""

    def __init__(self) -> None:
        path = os.environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        period, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        wanted = period.isdigit() and pid in ("", str(os.getpid()))
        self.watchdog_s = int(period) / 2e6 if wanted else 0.0  # between two signs of life; 0.0: none are wanted
        self._next = 0.0

    def ready(self) -> None:
        self._send("READY=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self, now: float) -> None:
        """Give the watchdog its sign where one is due."""
        if self.watchdog_s and now >= self._next:
            self._next = now + self.watchdog_s
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(message.encode(), self._address)
        except OSError:
            pass  # nothing to be done about it, and mail goes on
