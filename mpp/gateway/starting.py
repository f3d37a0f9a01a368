"""What a gateway takes at its start, most of it while still privileged, and what of it each of its processes is given.

For mpp.gateway.supervisor, which keeps it, and for the bodies of the worker and the background process. Raises what ends a
start: BindError, PrivilegeError, StorageError, OSError, ValueError.
"""

import os
import socket
from dataclasses import dataclass

from mpp.gateway import log, privileges, sockets, storage
from mpp.gateway.files import files
from mpp.gateway.settings import Listener, Settings
from mpp.gateway.systemd import passed_sockets
from mpp.net.table import SlotWriter


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker is given.

    On `control` it writes b"R" when it accepts and b"L" when it has taken new settings; b"r" to it means: read
    `<node.data>/settings.good.toml` again. SIGTERM: finish what is in flight, and return. `table` is its slot's writer,
    which it beats by.
    """

    slot: int
    settings: Settings
    sockets: list[tuple[Listener, socket.socket]]
    table: SlotWriter
    control: socket.socket


@dataclass(frozen=True, slots=True)
class BackgroundContext:
    """What the background process is given. It beats by `table`; an end of `control` means that the supervisor has gone."""

    settings: Settings
    table: SlotWriter
    control: socket.socket
    began: float  # when the supervisor did, seconds since 1970


@dataclass(frozen=True, slots=True)
class Bound:
    """What was taken at the start: bound while still privileged, and the data folder."""

    slots: list[sockets.SlotSockets]
    status: socket.socket | None
    joined: int = -1  # the data folder, which `mpp store rebuild` and `compact` do not get while this is open

    def close_but(self, slot: int | None) -> None:
        """Let go of all that is not the slot's; None: that is not the status page's."""
        kept = {bound for _, bound in self.slots[slot]} if slot is not None else {self.status}
        for bound in {bound for sockets_ in self.slots for _, bound in sockets_} | {self.status}:
            if bound and bound not in kept:
                bound.close()


def prepare(settings: Settings) -> Bound:
    """Do all that needs privileges, then drop them."""
    node = settings.node
    passed = passed_sockets()
    slots = sockets.bind(settings.listeners, node.workers or len(os.sched_getaffinity(0)), passed)
    status = sockets.bind_status(node.status) if node.status else None
    for name in passed.keys() - {listener.name for listener in settings.listeners}:
        log.event("warning", "systemd.socket.unused", socket=name, cure="FileDescriptorName= must name a listener")
    privileges.make_folder(node.data, node.user, node.group)
    storage.make_master_key(settings)
    privileges.drop(node.user, node.group)
    privileges.check_folder(node.data)
    faults = [problem.text for problem in files(settings) if problem.severity == "error"]  # root could read them all
    if faults:
        raise privileges.PrivilegeError("; ".join(faults))
    joined = storage.join(settings)
    storage.prepare(settings)
    return Bound(slots, status, joined)
