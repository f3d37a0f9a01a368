"""A next hop or scanner that lies: raw octets where a protocol would have an answer, for tests of what the gateway makes of them.

`Liar` speaks SMTP by lines and answers by script: a key is a verb, "" the greeting, "." the end of data, "body" what is said
after 300,000 octets of a body; a value is the octets to send, None closes instead. `Answering` takes one request of any
protocol and says its octets, whatever was asked.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Self

_EARLY = 300_000  # octets of a body before "body" is said


class _Server:
    def __init__(self) -> None:
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # a large body is never in it whole
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen(100)
        self.port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for peer in self._open:
            peer.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listening.accept()
                self._open.append(peer)
                threading.Thread(target=self._run, args=(peer,), daemon=True).start()

    def _run(self, peer: socket.socket) -> None:
        try:
            self._serve(peer)
        except (OSError, ValueError):
            pass  # closed by one side or the other
        finally:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()

    def _serve(self, peer: socket.socket) -> None:
        raise NotImplementedError


class Liar(_Server):
    """A next hop. `bodies` are those that came to their end."""

    def __init__(self, script: Mapping[str, bytes | None] | None = None) -> None:
        self.script = dict(script or {})
        self.bodies: list[bytes] = []
        super().__init__()

    def _serve(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = peer.makefile("rb")
        self._say(peer, "", b"220 liar\r\n")
        usual = {b"EHLO": b"250-liar\r\n250 PIPELINING\r\n", b"DATA": b"354 go\r\n"}
        while line := lines.readline():
            verb = line.split()[0].upper()
            said = self._say(peer, verb.decode("latin-1"), usual.get(verb, b"250 2.0.0 ok\r\n"))
            if verb == b"DATA" and said.startswith(b"354"):
                body = lines.read(_EARLY) if "body" in self.script else b""
                if body:
                    self._say(peer, "body", b"")
                pieces = [body]
                while (piece := lines.readline()) not in (b".\r\n", b""):
                    pieces.append(piece)
                if not piece:
                    return
                self.bodies.append(b"".join(pieces))
                self._say(peer, ".", b"250 2.0.0 queued\r\n")

    def _say(self, peer: socket.socket, key: str, usual: bytes) -> bytes:
        octets = self.script.get(key, usual)
        if octets is None:
            raise ConnectionAbortedError
        peer.sendall(octets)
        return octets


class Answering(_Server):
    """A scanner: waits until `complete` says that the request is whole, sends `octets`, closes."""

    def __init__(self, complete: Callable[[bytes], bool], octets: bytes = b"") -> None:
        self.complete, self.octets = complete, octets
        super().__init__()

    def _serve(self, peer: socket.socket) -> None:
        request = b""
        while not self.complete(request):
            more = peer.recv(65536)
            if not more:
                return
            request += more
        peer.sendall(self.octets)
