"""PROXY headers, versions 1 and 2."""

import pytest

from mpp.protocols.errors import NEED_DATA, RemoteProtocolError
from mpp.protocols.proxy import MAX_V2, SIGNATURE, ProxyCodec, ProxyHeader

NOBODY = ProxyHeader(known=False)
V4 = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + (1234).to_bytes(2, "big") + (25).to_bytes(2, "big")
V4_HEADER = ProxyHeader(True, "192.0.2.1", 1234, "192.0.2.2", 25)
V6 = bytes.fromhex("20010db8000000000000000000000001" * 2) + (1234).to_bytes(2, "big") + (25).to_bytes(2, "big")
V6_HEADER = ProxyHeader(True, "2001:db8::1", 1234, "2001:db8::1", 25)
MAPPED = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1]) + bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 2]) + V4[8:]
TLV = b"\x04\x00\x03abc"


def v2(command: int, family: int, block: bytes, length: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, family]) + (len(block) if length is None else length).to_bytes(2, "big") + block


@pytest.mark.parametrize(
    ("wire", "header"),
    [
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n", V4_HEADER, id="v1 TCP4"),
        pytest.param(b"PROXY TCP6 2001:DB8::1 2001:db8:0::1 1234 25\r\n", V6_HEADER, id="v1 TCP6"),
        pytest.param(b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1234 25\r\n", V4_HEADER, id="v1 mapped"),
        pytest.param(b"PROXY UNKNOWN\r\n", NOBODY, id="v1 UNKNOWN"),
        pytest.param(b"PROXY UNKNOWN ::1 ::1 1 2\r\n", NOBODY, id="v1 UNKNOWN with more"),
        pytest.param(v2(0x21, 0x11, V4), V4_HEADER, id="v2 TCP4"),
        pytest.param(v2(0x21, 0x11, V4 + TLV), V4_HEADER, id="v2 TCP4 with fields"),
        pytest.param(v2(0x21, 0x21, V6), V6_HEADER, id="v2 TCP6"),
        pytest.param(v2(0x21, 0x21, MAPPED), V4_HEADER, id="v2 mapped"),
        pytest.param(v2(0x21, 0x31, bytes(216)), ProxyHeader(known=True), id="v2 unix"),
        pytest.param(v2(0x20, 0x00, b""), NOBODY, id="v2 LOCAL"),
        pytest.param(v2(0x20, 0x11, V4), NOBODY, id="v2 LOCAL with addresses"),
        pytest.param(v2(0x21, 0x00, TLV), NOBODY, id="v2 unspecified"),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_header(wire: bytes, header: ProxyHeader, step: int) -> None:
    codec = ProxyCodec()
    for start in range(0, len(wire), step):
        assert codec.next_event() is NEED_DATA
        codec.receive_data(wire[start : start + step])
    codec.receive_data(b"EHLO a\r\n")
    assert codec.next_event() == header
    assert codec.rest == b"EHLO a\r\n"


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"EHLO a\r\n", id="no header"),
        pytest.param(b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", id="lower case"),
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\n", id="v1 LF"),
        pytest.param(b"PROXY UNKNOWN a\rb\r\n", id="v1 CR within"),
        pytest.param(b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", id="v1 two spaces"),
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", id="v1 port missing"),
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", id="v1 port with zero"),
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", id="v1 port too large"),
        pytest.param(b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", id="v1 octal address"),
        pytest.param(b"PROXY TCP4 2001:db8::1 2001:db8::1 1 2\r\n", id="v1 wrong family"),
        pytest.param(b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n", id="v1 scope"),
        pytest.param(b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", id="v1 unknown family"),
        pytest.param(b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n", id="v1 too long"),
        pytest.param(v2(0x11, 0x11, V4), id="v2 other version"),
        pytest.param(v2(0x22, 0x11, V4), id="v2 other command"),
        pytest.param(v2(0x21, 0x12, V4), id="v2 datagram"),
        pytest.param(v2(0x21, 0x41, V4), id="v2 other family"),
        pytest.param(v2(0x21, 0x11, V4[:11]), id="v2 too few octets"),
        pytest.param(v2(0x21, 0x21, V4), id="v2 too few octets for TCP6"),
        pytest.param(v2(0x20, 0x00, b"", MAX_V2 + 1), id="v2 too long"),
        pytest.param(SIGNATURE[:-1] + b"X" + bytes(4), id="v2 broken signature"),
    ],
)
def test_refused(wire: bytes) -> None:
    codec = ProxyCodec()
    codec.receive_data(wire)
    with pytest.raises(RemoteProtocolError):
        codec.next_event()


@pytest.mark.parametrize("wire", [b"", b"PROXY TCP4 192", SIGNATURE, v2(0x21, 0x11, V4)[:-1]])
def test_closed_within(wire: bytes) -> None:
    codec = ProxyCodec()
    if wire:
        codec.receive_data(wire)
    assert codec.next_event() is NEED_DATA
    codec.receive_data(b"")
    with pytest.raises(RemoteProtocolError, match="closed"):
        codec.next_event()
