"""A gateway whose workers do no more than greet and obey, for the tests of the supervisor.

    gateway.py SETTINGS SILENCE_S DEADLINE_S

A worker sends "220 {...}" with what it is as JSON, then obeys one line: HANG, ABORT, TAKE digest, EXIT, DEAF (to SIGTERM),
or leaves the connection alone until the client ends it.
"""

import json
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from mpp.gateway.load import load_settings
from mpp.gateway.starting import WorkerContext
from mpp.gateway.supervisor import supervise


def descriptors():
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that listed them is closed
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found


def describe(context, settings):
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "slot": context.slot,
        "pid": os.getpid(),
        "uids": os.getresuid(),
        "gids": os.getresgid(),
        "groups": os.getgroups(),
        "no_new_privs": status["NoNewPrivs"],
        "cores": sorted(os.sched_getaffinity(0)),
        "recipients": settings.limits.recipients,
        "descriptors": descriptors(),
    }


class Obeying:
    def __init__(self, context: WorkerContext) -> None:
        self.context, self.settings = context, context.settings
        self.going = True
        self.selector = selectors.DefaultSelector()

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self.stop)
        for _, listening in self.context.sockets:
            self.selector.register(listening, selectors.EVENT_READ, self.accept)
        self.context.control.setblocking(False)
        self.selector.register(self.context.control, selectors.EVENT_READ, self.control)
        self.context.table.beat(time.monotonic())
        self.context.control.send(b"R")
        while self.going:
            self.context.table.beat(time.monotonic())
            for key, _ in self.selector.select(0.05):
                key.data(key.fileobj)

    def stop(self, *_):
        self.going = False

    def control(self, control):
        if b"r" in control.recv(64):
            self.settings = load_settings(self.settings.node.data / "settings.good.toml").settings
            if self.settings.limits.recipients != 14:
                control.send(b"L")

    def accept(self, listening):
        try:
            peer, _ = listening.accept()
        except BlockingIOError:
            return
        peer.sendall(b"220 " + json.dumps(describe(self.context, self.settings)).encode() + b"\r\n")
        self.selector.register(peer, selectors.EVENT_READ, self.obey)

    def obey(self, peer: socket.socket) -> None:
        words = peer.recv(1000).split()
        if not words:
            self.selector.unregister(peer)
            peer.close()
        elif words[0] == b"HANG":
            peer.sendall(b"250 ok\r\n")
            time.sleep(1000)
        elif words[0] == b"ABORT":
            os.abort()
        elif words[0] == b"EXIT":
            raise SystemExit(int(words[1]))
        elif words[0] == b"DEAF":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            peer.sendall(b"250 ok\r\n")
        elif words[0] == b"TAKE":
            crashes = self.context.table.take_in_hand(bytes.fromhex(words[1].decode()))
            peer.sendall(b"250 %d\r\n" % crashes)


def run_worker(context: WorkerContext) -> None:
    if context.settings.limits.recipients == 13:
        raise RuntimeError("a worker that\ncannot start")
    Obeying(context).run()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    silence_s, deadline_s = map(float, sys.argv[2:4])
    sys.exit(supervise(load_settings(path).settings, path, run_worker, silence_s=silence_s, deadline_s=deadline_s))
