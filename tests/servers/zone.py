"""A DNS server of the test's own, on loopback: names with addresses, names that fail, and silence for the rest by choice."""

import socket
import threading
from collections.abc import Mapping
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

FAILS = "fails"  # SERVFAIL
SILENT = "silent"  # no answer
GARBAGE = "garbage"


class Zone:
    """`names`: addresses by name, or FAILS, SILENT, GARBAGE; every other name does not exist. `asked` counts questions."""

    def __init__(self, names: Mapping[str, tuple[str, ...] | str], ttl: int = 60) -> None:
        self.names = dict(names)
        self.asked: list[str] = []
        self._ttl = ttl
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            octets, peer = self._socket.recvfrom(4096)
            if not octets:
                return
            if answer := self._answer(octets):
                self._socket.sendto(answer, peer)

    def _answer(self, octets: bytes) -> bytes:
        question = dns.message.from_wire(octets)
        name = question.question[0].name.to_text().rstrip(".").lower()
        self.asked.append(name)
        found = self.names.get(name, ())
        if found == SILENT:
            return b""
        if found == GARBAGE:
            return octets[:2] + b"\xff" * 40
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.AA | dns.flags.RA
        if found == FAILS:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif not found:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            answer.answer.append(dns.rrset.from_text(f"{name}.", self._ttl, "IN", "A", *found))
        return answer.to_wire()
