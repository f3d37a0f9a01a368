"""A part of a message: where it stands and what its header says (RFC 2045); decoding happens when it is asked for."""

from collections.abc import Callable, Iterator

from mpp.mail.content import Content
from mpp.mail.decoding import decode_charset, decode_transfer
from mpp.mail.fields import Field, read_fields
from mpp.mail.pieces import between

_MAX_FIELDS = 2000


class Part:
    """A leaf or a container (multipart, or a message within the message). Made by mpp.mail.mime, then only read.

    `path` numbers as IMAP does (RFC 3501, 6.4.5): "1.2"; the outermost multipart is "", and the multipart that is the body
    of a message in part "2" bears that message's "2" too. Offsets are those of `source`: the message's octets, or the
    decoded octets of the message around it where that one is encoded (`nested` says so).
    """

    __slots__ = ("body", "children", "content", "decoder", "end", "header", "header_end", "nested", "path", "source")

    def __init__(self, source: bytes, path: str, header: int, header_end: int, body: int, content: Content) -> None:
        self.source = source
        self.path = path
        self.header = header  # offset of its first field
        self.header_end = header_end
        self.body = body
        self.end = len(source)
        self.content = content
        self.decoder: Callable[[bytes], bytes] | None = None  # in place of the one that the encoding names
        self.children: list[Part] = []
        self.nested = False

    @property
    def type(self) -> str:
        return self.content.type

    @property
    def parameters(self) -> dict[str, str]:
        return dict(self.content.parameters)

    @property
    def encoding(self) -> str:
        return self.content.encoding

    @property
    def disposition(self) -> str:
        return self.content.disposition

    @property
    def name(self) -> str | None:
        return self.content.name

    @property
    def other_name(self) -> str:
        """A second name that it bears, "" where there is none."""
        return self.content.other_name

    @property
    def attachment(self) -> bool:
        """True where a leaf is one by its disposition, its name or its type."""
        return self.content.disposition == "attachment" or bool(self.name) or not self.type.startswith("text/")

    @property
    def charset(self) -> str:
        """The declared charset, "" where there is none."""
        return self.content.parameters.get("charset", "")

    @property
    def offset(self) -> int | None:
        """Offset of the encoded body in the message; None inside an encoded message."""
        return None if self.nested else self.body

    @property
    def length(self) -> int | None:
        """Octets of the encoded body without the line break before the boundary; None inside an encoded message."""
        return None if self.nested else self.end - self.body

    @property
    def leaf(self) -> bool:
        return not self.children

    @property
    def fields(self) -> list[Field]:
        """The part's own header fields, with offsets in `source`."""
        return read_fields(self.source, self.header, self.header_end, _MAX_FIELDS).fields

    def raw(self) -> bytes:
        """Return the body as it is encoded."""
        return between(self.source, self.body, self.end)

    def decode(self, most: int | None = None) -> bytes:
        """Return the body with its transfer encoding undone, as far as it can be; containers as they are.

        `most`: octets of the encoded body that are looked at.
        """
        raw = between(self.source, self.body, self.end if most is None else min(self.end, self.body + most))
        if self.children and not self.content.message:
            return raw
        return self.decoder(raw) if self.decoder else decode_transfer(raw, self.content.encoding)

    def text(self) -> str:
        """Return the decoded body as text by its charset; what the charset does not know becomes U+FFFD."""
        return decode_charset(self.decode(), self.charset or "utf-8")

    def walk(self) -> Iterator["Part"]:
        """Yield this part and all below it in the order of the message."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.children))

    def leaves(self) -> Iterator["Part"]:
        """Yield what is not divided further, in the order of the message."""
        return (part for part in self.walk() if not part.children)
