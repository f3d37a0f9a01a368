"""The process that confined ones are forked from, so that a new one costs milliseconds. Run by .helper, with -m, on a unix socket.

    a line of JSON with the ends of two pipes (and a file)  ->  the process number, where it was begun
    {"end": role, "patience_s": seconds}                    ->  how it ended, as os.waitstatus_to_exitcode says it

It imports everything, never reads a mail, and ends when its socket does, with whatever it has begun. There is one process for
each role at a time; a new one ends the one before it. A role is "inspect" (.confined), or "unpack": a program of others.
"""

import encodings
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
from typing import Any

from mpp.checks.attachments.confine import confine
from mpp.checks.attachments.confined import serve
from mpp.checks.attachments.exchange import ready
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import File, Limits

_LINE = 1 << 16  # octets
FILE = 3  # where a program finds the file to unpack


def main() -> None:
    """Get ready, and fork for whoever asks."""
    for module in pkgutil.iter_modules(encodings.__path__):  # charsets are imported when they are first met
        if module.name not in ("mbcs", "oem"):  # of Windows
            importlib.import_module(f"encodings.{module.name}")
    inspect([File("", "", "", b"warm")], Limits())  # libmagic reads its database
    gc.freeze()  # what is here stays, and its pages are shared with all that are forked
    asked = socket.socket(fileno=sys.stdin.fileno())
    running: dict[str, int] = {}
    while True:
        line, files, _, _ = socket.recv_fds(asked, _LINE, 3)
        if not line:
            break
        order = json.loads(line)
        if "end" in order:
            answer = _ended(running.pop(order["end"], 0), order["patience_s"])
        else:
            _ended(running.pop(order["begin"], 0), 0)
            answer = running[order["begin"]] = _forked(order, files)
        for file in files:
            os.close(file)
        asked.sendall(b"%d\n" % answer)
    for pid in running.values():
        _ended(pid, 0)


def _ended(pid: int, patience_s: float) -> int:
    """End a child, by force where it has not ended within the patience; return how it ended."""
    if not pid:
        return 0
    watch = os.pidfd_open(pid)
    if not ready(watch, select.POLLIN, patience_s):
        os.kill(pid, signal.SIGKILL)
    os.close(watch)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _forked(order: dict[str, Any], files: list[int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        kept = [os.dup(file) for file in files]  # above all places that they are put to
        for place, file in zip((0, 1, FILE), kept, strict=False):
            os.dup2(file, place)
        os.closerange(FILE if len(files) < 3 else FILE + 1, 1 << 16)
        if order["begin"] == "inspect":
            serve(confine())
        else:
            confine(order["command"][0])
            os.execv(order["command"][0], order["command"])  # noqa: S606 (named by the settings, without a shell)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
