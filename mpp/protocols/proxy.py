r"""The PROXY protocol, versions 1 and 2, receiving side (HAProxy's proxy-protocol.txt).

For listeners that require it, from networks that may speak it: the header is never guessed, so whatever else comes is an
error. One codec for the start of one connection; octets behind the header are `rest`. Type-length-value fields of version 2
are skipped unread. Never opens a socket or reads a clock.
"""

import ipaddress
import re
from dataclasses import dataclass

from mpp.protocols.errors import NEED_DATA, NeedData, RemoteProtocolError

MAX_V1 = 107  # octets with CRLF, by the specification
MAX_V2 = 4096  # octets of addresses and fields; those in use stay below 600
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

_V1 = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?")
_LOCAL, _PROXY = 0x20, 0x21  # version and command
_UNSPECIFIED = 0x00
_LENGTHS = {0x11: 12, 0x21: 36, 0x31: 216}  # family and transport: octets of its addresses; streams only


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """Who is behind the proxy. Addresses in their shortest form, mapped IPv4 as IPv4; "" and 0 for unix sockets."""

    known: bool  # False: LOCAL or UNKNOWN, the client is the proxy itself
    address: str = ""  # of the client
    port: int = 0
    destination: str = ""
    destination_port: int = 0


_NOBODY = ProxyHeader(known=False)


class ProxyCodec:
    """Reads one header; after it the codec is done."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._eof = False

    def receive_data(self, data: bytes) -> None:
        """Take what was read; b"" says the peer closed. Parses nothing, raises nothing."""
        self._buffer += data
        self._eof = self._eof or not data

    @property
    def rest(self) -> bytes:
        """After the header: the octets that came behind it."""
        return bytes(self._buffer)

    def next_event(self) -> ProxyHeader | NeedData:
        """Return the header, once, or NEED_DATA. Raises RemoteProtocolError and nothing else."""
        start = bytes(self._buffer[: len(SIGNATURE)])
        if SIGNATURE.startswith(start):
            event = self._version2()
        elif start[:6] == b"PROXY "[: len(start)]:
            event = self._version1()
        else:
            raise RemoteProtocolError("no PROXY header")
        if event is NEED_DATA and self._eof:
            raise RemoteProtocolError("closed within the PROXY header")
        return event

    def _version1(self) -> ProxyHeader | NeedData:
        end = self._buffer.find(b"\n", 0, MAX_V1)
        if end < 0:
            if len(self._buffer) >= MAX_V1:
                raise RemoteProtocolError("PROXY header too long")
            return NEED_DATA
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if not line.endswith(b"\r\n"):
            raise RemoteProtocolError("PROXY header ends in a bare LF")
        line = line[:-2]
        if _UNKNOWN.fullmatch(line):
            return _NOBODY
        match = _V1.fullmatch(line)
        if match is None:
            raise RemoteProtocolError("malformed PROXY header")
        family = ipaddress.IPv4Address if match[1] == b"TCP4" else ipaddress.IPv6Address
        try:
            source, destination = family(match[2].decode("ascii")), family(match[3].decode("ascii"))
        except ValueError:
            raise RemoteProtocolError("bad address in the PROXY header") from None
        return _header(source, int(match[4]), destination, int(match[5]))

    def _version2(self) -> ProxyHeader | NeedData:
        fixed = len(SIGNATURE) + 4
        if len(self._buffer) < fixed:
            return NEED_DATA
        command, family = self._buffer[12], self._buffer[13]
        length = int.from_bytes(self._buffer[14:16], "big")
        if length > MAX_V2:
            raise RemoteProtocolError("PROXY header too long")
        if command not in (_LOCAL, _PROXY):
            raise RemoteProtocolError("unknown version or command in the PROXY header")
        needed = _LENGTHS.get(family, 0)
        if command == _PROXY and family != _UNSPECIFIED and (not needed or length < needed):
            raise RemoteProtocolError("unknown family or too few octets of address in the PROXY header")
        if len(self._buffer) < fixed + length:
            return NEED_DATA
        block = bytes(self._buffer[fixed : fixed + length])
        del self._buffer[: fixed + length]
        return _NOBODY if command == _LOCAL or family == _UNSPECIFIED else _addresses(family, block)


def _addresses(family: int, block: bytes) -> ProxyHeader:
    if family == 0x31:
        return ProxyHeader(known=True)
    size = 4 if family == 0x11 else 16
    source, destination = ipaddress.ip_address(block[:size]), ipaddress.ip_address(block[size : 2 * size])
    ports = block[2 * size :]
    return _header(source, int.from_bytes(ports[:2], "big"), destination, int.from_bytes(ports[2:4], "big"))


Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def _header(source: Ip, source_port: int, destination: Ip, destination_port: int) -> ProxyHeader:
    if max(source_port, destination_port) > 65535:
        raise RemoteProtocolError("bad port in the PROXY header")
    return ProxyHeader(True, _shortest(source), source_port, _shortest(destination), destination_port)


def _shortest(address: Ip) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
