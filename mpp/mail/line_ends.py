"""The one judge of line ends, for every door: a line ends with CRLF and with nothing else (RFC 5321, 2.3.8).

Peers differ in what a CR or LF alone means to them; whoever passes one on lets another host see two mails in one (SMTP
smuggling). Only C primitives over the whole data: look-around patterns cost ten times as much on large bodies.
"""

_OTHERS = bytes(octet for octet in range(256) if octet not in b"\r\n")


def bare(data: bytes | bytearray) -> bool:
    """Tell whether a CR or an LF stands outside of a CRLF."""
    ends = data.translate(None, _OTHERS)
    pairs = len(ends) >> 1
    return ends != b"\r\n" * pairs or data.count(b"\r\n") != pairs


def normalise(data: bytes) -> bytes:
    """Turn each CRLF, CR alone and LF alone into one CRLF; data without bare ones come back as the same object."""
    if not bare(data):
        return data
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
