"""The door for the operator's commands to a running gateway: a unix socket in the data folder, of one user.

Served by the supervisor in its own loop, so every step is short and none waits: one packet asks, packets answer, the
connection ends. A packet is a JSON object: {"do": "scanners"}, or {"do": "drain", "pool", "server", "drained"}. `ask` is the other
end, for mpp.cli. A client that says nothing is let go after a while; the socket is reached through the folder's descriptor,
since the name of a socket may have no more than 107 octets.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mpp.net.pool.board import servers_of, set_drained
from mpp.net.table import NodeTable

NAME = "control"
MAX_PACKET = 16 << 10
CONNECTIONS = 16
PATIENCE_S = 5.0
Answer = Iterator[Mapping[str, Any]]


class Control:
    """The supervisor's end. `answer` gives the objects that answer an order."""

    def __init__(self, folder: Path, answer: Callable[[Mapping[str, Any]], Answer]) -> None:
        """Raises OSError where the socket cannot be made."""
        self._answer = answer
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._peers: dict[int, tuple[socket.socket, float]] = {}
        with _reached(folder) as path:
            with suppress(FileNotFoundError):
                os.unlink(path)  # of a run before
            before = os.umask(0o177)
            try:
                self._listening.bind(path)
            finally:
                os.umask(before)
        self._listening.listen(128)
        self._listening.setblocking(False)

    def descriptors(self) -> list[int]:
        """Return what the loop has to poll for reading."""
        return [self._listening.fileno(), *self._peers]

    def ready(self, descriptor: int, now: float) -> None:
        """Something came at a descriptor; and who has said nothing for long is let go."""
        if descriptor == self._listening.fileno():
            with suppress(OSError):
                peer, _ = self._listening.accept()
                peer.setblocking(False)
                self._peers[peer.fileno()] = peer, now
        elif descriptor in self._peers:
            peer, _ = self._peers.pop(descriptor)
            with peer, suppress(OSError):  # it has gone, or takes nothing: it may ask again
                self._serve(peer)
        for late in [each for each, (_, since) in self._peers.items() if now - since > PATIENCE_S]:
            self._peers.pop(late)[0].close()
        while len(self._peers) > CONNECTIONS:
            self._peers.pop(next(iter(self._peers)))[0].close()

    def _serve(self, peer: socket.socket) -> None:
        try:
            order = json.loads(peer.recv(MAX_PACKET))
            if not isinstance(order, dict):
                raise ValueError("no object")
        except ValueError as error:
            peer.send(json.dumps({"error": f"not an order: {error}"}).encode())
            return
        for answer in self._answer(order):
            peer.send(json.dumps(answer).encode())

    def close(self) -> None:
        self._listening.close()
        for peer, _ in self._peers.values():
            peer.close()


def orders(table: NodeTable, tell: Callable[..., None]) -> Callable[[Mapping[str, Any]], Answer]:
    """Return what carries out an order on the node's table; `tell` logs what an operator changed."""

    def carry_out(order: Mapping[str, Any]) -> Answer:
        match order:
            case {"do": "scanners"}:
                yield from map(asdict, servers_of(table))
            case {"do": "drain", "pool": str(pool), "server": str(server), "drained": bool(drained)}:
                if not any(_named(pool, server, each.pool, each.server) for each in servers_of(table)):
                    yield {"error": f"{pool} has no server {server}"}
                elif set_drained(table, pool, server, drained=drained):
                    tell("info", "scanner.drained" if drained else "scanner.undrained", scanner=pool, server=server)
                    yield {"pool": pool, "server": server, "drained": drained}
                else:
                    yield {"error": "too many servers are drained; end that of some others first"}
            case _:
                yield {"error": "this gateway does not know the order; is it of another version?"}

    return carry_out


def _named(pool: str, server: str, of_pool: str, of_server: str) -> bool:
    return pool == of_pool and server in (of_server, of_server.rpartition("@")[0])


def ask(folder: Path, order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the gateway with this data folder answers. Raises OSError where none runs, or it is not ours to ask."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(PATIENCE_S)
        with _reached(folder) as path:
            peer.connect(path)
        peer.send(json.dumps(order).encode())
        answers = []
        while packet := peer.recv(1 << 20):
            answers.append(json.loads(packet))
        return answers


@contextmanager
def _reached(folder: Path) -> Iterator[str]:
    """Yield a short path to the socket."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
