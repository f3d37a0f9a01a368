"""Dots doubled at line starts, and the end of data (RFC 5321, 4.5.2), over any cut into buffers.

For mpp.protocols.smtp.client. Never raises.
"""

from collections.abc import Iterable, Iterator

SLICE = 256 << 10  # octets of a body looked at in one step

Buffer = bytes | memoryview


def stuffed_whole(body: bytes) -> bytes:
    """Return a body with dots doubled at line starts, and the end of data."""
    first = b"." if body.startswith(b".") else b""
    end = b".\r\n" if body.endswith(b"\r\n") or not body else b"\r\n.\r\n"
    return b"".join((first, body.replace(b"\r\n.", b"\r\n.."), end))


def stuffed(buffers: Iterable[Buffer]) -> Iterator[Buffer]:
    """Yield the buffers with dots doubled at line starts, then the end of data. CRLF alone ends a line."""
    before = b"\r\n"  # the last two octets seen
    for buffer in buffers:
        for piece in (buffer,) if len(buffer) <= SLICE else _pieces(buffer):
            octets = piece if type(piece) is bytes else bytes(piece)
            if octets.startswith((b".", b"\n.")):
                if before == b"\r\n" and octets[0] == 0x2E:
                    yield b"."
                elif before[-1:] == b"\r" and octets[0] == 0x0A:
                    yield b"\n."
                    octets = piece = octets[1:]
            doubled = octets.replace(b"\r\n.", b"\r\n..")  # the same object where there is none
            yield piece if doubled is octets else doubled
            before = octets[-2:] if len(octets) > 1 else (before + octets)[-2:]
    yield b".\r\n" if before == b"\r\n" else b"\r\n.\r\n"


def _pieces(buffer: Buffer) -> Iterator[memoryview]:
    view = memoryview(buffer)
    return (view[start : start + SLICE] for start in range(0, len(view), SLICE))
