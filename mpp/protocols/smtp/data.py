r"""Collectors of message content: after DATA up to CRLF.CRLF, after BDAT the octets announced (RFC 5321, 4.5.2; RFC 3030).

For the server codec. Octets are judged, counted and unstuffed piece by piece as they arrive and put behind one
another in place, so that 50 MiB never cost one long step. Nothing is folded, cut or mended here: what is unusual is told by
flags, and the caller decides. Never raises.

End of data is CRLF.CRLF and nothing else. Hosts that also took LF.LF, LF.CRLF, CR.CR or CRLF.NUL CRLF let one message be
read as two (SMTP smuggling).
"""

from dataclasses import dataclass
from io import BytesIO

from mpp.mail.line_ends import bare

_END = b"\r\n.\r\n"
_DOT = b"\r\n."


@dataclass(slots=True)
class Content:
    """The content of one transaction. `data` is empty where it was too large or discarded; the flags hold for all octets."""

    data: bytes  # without transparency dots; ends with CRLF or is empty, but where bare line ends are in it
    bare: bool = False  # a CR or LF outside of a CRLF was in it
    nul: bool = False
    too_large: bool = False
    long_line: bool = False
    chunked: bool = False  # came by BDAT
    discarded: bool = False  # by ServerCodec.discard


class _Pieces:
    """What both ways of sending content have in common."""

    held = 0  # octets kept
    size = 0  # octets that came, without transparency dots
    too_large = discarded = False
    _bare = _nul = _long_line = False
    _open_line = 0  # octets of the line that the last piece left unfinished

    def __init__(self, max_size: int, max_line: int) -> None:
        self._data = BytesIO()  # grows in place, and gives its octets without a copy
        self._max_size, self._max_line = max_size, max_line

    def discard(self) -> None:
        """Keep nothing of what came and comes."""
        self.discarded = True
        self._drop()

    def _drop(self) -> None:
        self._data = BytesIO()
        self.held = 0

    def _take(self, piece: bytes, *, stuffed: bool) -> None:
        """Judge and keep a piece that cuts no CRLF in two, without the dots where it is stuffed."""
        self._bare = self._bare or bare(piece)
        self._nul = self._nul or piece.find(0) >= 0
        if self._max_line and not self._long_line:
            first, *others = piece.split(b"\r\n")
            self._long_line = (
                self._open_line + len(first) > self._max_line or max(map(len, others), default=0) > self._max_line
            )
            self._open_line = len(others[-1]) if others else self._open_line + len(first)

        if stuffed:
            piece = piece.replace(b"\r\n.", b"\r\n")
        self.size += len(piece)
        if self._max_size and self.size > self._max_size:
            self.too_large = True
            self._drop()
        if not (self.too_large or self.discarded):
            self._data.write(piece)
            self.held += len(piece)

    def _content(self, *, chunked: bool) -> Content:
        data = self._data.getvalue()
        self._drop()
        return Content(data, self._bare, self._nul, self.too_large, self._long_line, chunked, self.discarded)


class Lines(_Pieces):
    """Content after DATA.

    The stream is taken as if a CRLF came before it, so that a dot at its very start needs no rule of its own. Only a trailing
    part of a possible CRLF.CRLF is held back; what is passed on before it can be judged and unstuffed alone, since no CRLF
    and no CRLF-dot lies across its border.
    """

    _tail = b"\r\n"
    _at_start = True

    def feed(self, octets: bytes) -> bytes | None:
        """Take octets; return those behind the end of data (b"" too), or None where the end has not come."""
        whole = self._tail + octets
        dot = whole.find(_DOT)
        end = whole.find(_END, dot) if dot >= 0 else -1
        if end >= 0:
            self._pass(whole, end + 2, stuffed=dot < end)
            return whole[end + len(_END) :]
        kept = next((length for length in (4, 3, 2, 1) if whole.endswith(_END[:length])), 0)
        self._tail = whole[len(whole) - kept :]
        self._pass(whole, len(whole) - kept, stuffed=dot >= 0)
        return None

    def content(self) -> Content:
        """What came before the end of data."""
        return self._content(chunked=False)

    def _pass(self, whole: bytes, end: int, *, stuffed: bool) -> None:
        start = 0
        if self._at_start and end:
            # The piece begins with the CRLF that we put there ourselves, and maybe with its transparency dot.
            start = 3 if whole.startswith(b"\r\n.") and end > 2 else 2
            self._at_start = False
        self._take(whole[start:end], stuffed=stuffed)


class Chunks(_Pieces):
    """Content by BDAT: any octets, as many as announced, over one chunk or several."""

    _tail = b""  # a CR whose LF may come
    _last = b""  # octet of all that came

    def announce(self, size: int) -> None:
        """Take the size of the next chunk: what would be too large is not kept in the first place."""
        if self._max_size and self.size + len(self._tail) + size > self._max_size:
            self.too_large = True
            self._drop()

    def feed(self, octets: bytes) -> None:
        """Take octets of a chunk."""
        whole = self._tail + octets
        self._tail = b"\r" if whole.endswith(b"\r") else b""
        self._last = whole[-1:] or self._last
        piece = whole[: len(whole) - len(self._tail)]
        self._take(piece, stuffed=False)

    def content(self) -> Content:
        """All chunks, ended by a CRLF where the client sent none (a next hop without CHUNKING needs it)."""
        if self._tail:
            self._take(self._tail, stuffed=False)
        if self.held and self._last not in b"\r\n":
            self._data.write(b"\r\n")
        return self._content(chunked=True)
