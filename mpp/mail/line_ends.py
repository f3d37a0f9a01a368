"""The one judge of line ends, for every door: a line ends with CRLF and with nothing else (RFC 5321, 2.3.8).

Peers differ in what a CR or LF alone means to them; whoever passes one on lets another host see two mails in one (SMTP
smuggling). Only C primitives over the whole data: look-around patterns cost ten times as much on large bodies.
"""

import io

SLICE = 256 << 10  # octets


def bare(data: bytes | bytearray) -> bool:
    """Tell whether a CR or an LF stands outside of a CRLF.

    The decoder of the standard library's text files notes in one pass of C which line ends it met: twice as fast as any
    count of pairs and single octets, which alone would take the CR and LF of "\\rx\\n" for a pair.
    """
    decoder = io.IncrementalNewlineDecoder(None, translate=False)
    decoder.decode(data.decode("latin-1"), final=True)
    return decoder.newlines not in (None, "\r\n")


def normalise(data: bytes, limit: int = 0) -> bytes:
    """Turn each CRLF, CR alone and LF alone into one CRLF; data without bare ones come back as the same object.

    A bare end grows by an octet: large data can double. Above `limit` octets (0: any number) the work ends, and what is
    returned is longer than the limit and of no other use. Large data go in slices, so that a caller's thread never keeps
    the interpreter for long.
    """
    if len(data) <= SLICE:
        return _normalised(data) if bare(data) else data
    made = io.BytesIO()  # it grows in place: pieces and their joining would hold all of it twice
    start = 0
    while start < len(data) and not (limit and made.tell() > limit):
        end = start + SLICE
        end += data[end - 1 : end + 1] == b"\r\n"  # no CRLF is cut in two
        made.write(_normalised(data[start:end]))
        start = end
    return made.getvalue()


def _normalised(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
