"""A message: octets that do not change, and what is found in them as offsets (RFC 5322, RFC 2045 to 2049).

For every stage: constructing costs nothing, the header is read when a field is first asked for, the parts when they are.
Nothing here raises on any octets; what was odd is named in `defects`, limits that were hit in `exceeded`. A message that
exceeded a limit was not read to its end: whoever decides treats it as unchecked.
"""

from mpp.mail.fields import Field, Header, header_end, read_fields
from mpp.mail.mime import Found, Limits, scan
from mpp.mail.oddities import oddities
from mpp.mail.part import Part
from mpp.mail.readings import Reading, read_all
from mpp.mail.words import header_text

__all__ = ["Field", "Limits", "Message"]


_LIMITS = Limits()
_SPACE = (b" ", b"\t")


class Message:
    """The octets of one mail with its fields and parts.

    >>> Message(b"Subject: =?utf-8?q?caf=C3=A9?=\\r\\n\\r\\nHello\\r\\n").text(b"subject")
    'café'
    """

    # Plain attributes filled on first use: functools.cached_property takes a lock each time in Python 3.11.
    __slots__ = ("_all", "_found", "_header", "_index", "_oddities", "_root", "_span", "limits", "raw")

    def __init__(self, raw: bytes, limits: Limits = _LIMITS) -> None:
        self.raw = raw
        self.limits = limits
        self._span: tuple[int, int] | None = None
        self._header: Header | None = None
        self._index: dict[bytes, list[Field]] | None = None
        self._root: Part | None = None
        self._found = Found()
        self._oddities: tuple[str, ...] | None = None
        self._all: tuple[tuple[Reading, ...], list[Part]] | None = None

    def _read_header(self) -> Header:
        """Read the header, for whoever finds that it has not been read yet."""
        self._header = read_fields(self.raw, 0, (self._span or self._ends())[0], self.limits.header_fields)
        return self._header

    def _ends(self) -> tuple[int, int]:
        """Find the end of the header, and no further than a header may reach: what is behind that is not looked at."""
        raw, size = self.raw, self.limits.header_size
        if raw[:1] in _SPACE:
            self._span = 0, 0
            return self._span
        self._span = header_end(raw, 0, min(len(raw), size + 4))
        if self._span[0] > size:
            self._span = size, size
            self._found.exceeded["header-size"] = None
        return self._span

    def _find(self, key: bytes) -> list[Field] | None:
        index = self._index
        if index is None:
            index = self._index = {}
            for field in self.fields:
                if field[1] in index:
                    index[field[1]].append(field)
                else:
                    index[field[1]] = [field]
        return index.get(key)

    @property
    def headless(self) -> bool:
        """True where the first line begins with white space: it continues no field, so all is body, as Postfix reads it.

        Whoever puts fields before such a message has to end them with an empty line, or the line would continue the last.
        """
        return self.raw[:1] in _SPACE

    @property
    def header_length(self) -> int:
        """Offset of the body, behind the empty line; where the header is too large, how far it was read."""
        return (self._span or self._ends())[1]

    @property
    def fields(self) -> list[Field]:
        """The fields in order; not to be changed."""
        return (self._header or self._read_header()).fields

    @property
    def keys(self) -> list[bytes]:
        """The names of the fields in order, lower case; not to be changed."""
        return (self._header or self._read_header()).keys

    @property
    def line_end(self) -> bytes:
        """The first line end that stands in the message, CRLF where there is none."""
        first = self.raw.find(b"\n")
        return b"\n" if first >= 0 and self.raw[first - 1 : first] != b"\r" else b"\r\n"

    def field(self, key: bytes) -> Field | None:
        """Return the first field of that name (lower case)."""
        found = self._find(key)
        return found[0] if found else None

    def all_fields(self, key: bytes) -> list[Field]:
        """Return the fields of that name (lower case) in order."""
        return self._find(key) or []

    def values(self, key: bytes) -> list[bytes]:
        """Return the raw values of the fields of that name (lower case) in order."""
        return (self._header or self._read_header()).values(key)

    def text(self, key: bytes) -> str:
        """Return the first such field unfolded and decoded (RFC 2047), "" where there is none."""
        values = (self._header or self._read_header()).values(key)
        return header_text(values[0]) if values else ""

    @property
    def root(self) -> Part:
        """The outermost part: the message's own body."""
        if self._root is None:
            self._root = scan(self.raw, self._span or self._ends(), self.limits, self._found)
        return self._root

    def leaves(self) -> list[Part]:
        """Return what is not divided further, in order, messages within walked into."""
        return list(self.root.leaves())

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The other ways to read the message, each once; none in the usual mail, which is found out at once."""
        return self._read_all()[0][1:]

    @property
    def own_reading(self) -> Reading:
        """Our own way to read it, measured where there are others."""
        return self._read_all()[0][0]

    def every_leaf(self) -> list[Part]:
        """Return the leaves of all readings, each once: our own first, then what others would see besides ("2~1.1")."""
        return self._read_all()[1]

    def _read_all(self) -> tuple[tuple[Reading, ...], list[Part]]:
        if self._all is None:
            own = self.leaves()
            self._all = (Reading("", tuple(own), ()),), own
            if self.oddities:
                exceeded: set[str] = set()
                self._all = read_all(self.raw, own, self.limits, exceeded)
                self._found.exceeded.update(dict.fromkeys(sorted(exceeded)))
        return self._all

    @property
    def oddities(self) -> tuple[str, ...]:
        """By what the message could be read in several ways, by name; reads all."""
        if self._oddities is None:
            found = oddities(self.root, self._found.defects, self._found.near_delimiter)
            self._oddities = ("no-header", *found) if self.headless else found
        return self._oddities

    @property
    def defects(self) -> tuple[str, ...]:
        """What is odd about header and structure, by name; reads all."""
        self.root  # noqa: B018  fills what was found
        return (*(() if (self._header or self._read_header()).clean else ("header-line",)), *self._found.defects)

    @property
    def exceeded(self) -> tuple[str, ...]:
        """The limits that were hit: "header-fields", "header-size", "parts", "depth", "delimiters"; reads all.

        "mendings" too, once all readings are there."""
        if self._root is None:
            self.root  # noqa: B018  fills what was found
        found = tuple(self._found.exceeded)
        return ("header-fields", *found) if (self._header or self._read_header()).exceeded else found
