"""What rules may look at: each scope of a message as one text of lines, made when it is first asked for.

`subject`, `header` (every field, decoded, a line each), `header:NAME`, `header-raw`, `body` (text parts decoded, HTML as the
text that is seen), `html` (its source), `line` (the raw lines of the body), `url`, `host`, `attachment` (names), `message` (all
octets), and of the envelope `sender`, `recipient` (a line each), `client` (address and verified name), `helo`.
Each is octets of valid UTF-8 but `header-raw`, `line` and `message`, which are the message's own. Nothing here raises.
"""

import re
from collections.abc import Callable, Iterable

from mpp.checks.content import html
from mpp.checks.content.normalise import normalised
from mpp.mail.decoding import decode_charset
from mpp.mail.envelope import Client, Envelope
from mpp.mail.message import Message
from mpp.mail.part import Part
from mpp.mail.words import header_text

NAMES = (
    "sender", "recipient", "client", "helo", "subject", "header", "header-raw", "body", "html", "line", "url", "host",
    "attachment", "message",
)  # fmt: skip
OCTETS = frozenset({"header-raw", "line", "message"})  # scopes of the message's own octets, in whatever charset
_MOST_URLS = 2000
_LONGEST_URL = 2048
_URL = re.compile(
    r"(?:https?|ftp)://[^\s<>\"'\\^`{|}]{1,2048}|(?<![\w@./-])www\.[^\s<>\"'\\^`{|}]{3,2048}", re.IGNORECASE
)
_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]{0,20}:)?[\\/]{2}(?:[^/?#\\@]*@)?(\[[^\]]*\]|[^/?#\\:]+)", re.IGNORECASE)
_TRAILING = ".,;:!?)]}>"
_BLANK_LINES = re.compile(r"[ \t]*\n\s*")


class Scopes:
    """One message's scopes. `limit`: octets of each that are looked at."""

    def __init__(
        self,
        message: Message,
        envelope: Envelope,
        client: Client,
        *,
        limit: int,
        links: bool = True,
        alike_everywhere: bool = False,
    ) -> None:
        """`links`: the addresses in HTML will be wanted."""
        self._message, self._envelope, self._speaker = message, envelope, client
        self._limit, self._links, self._everywhere = limit, links, alike_everywhere
        self._made: dict[tuple[str, bool], bytes] = {}
        self._bodies: tuple[str, str, str, list[str]] | None = None

    def text(self, scope: str, *, raw: bool) -> bytes:
        """Return the text of a scope; `raw`: without normalisation."""
        made = self._made.get((scope, raw))
        if made is None:
            made = self._made[scope, raw] = self._make(scope, raw)
        return made

    def _make(self, scope: str, raw: bool) -> bytes:
        if scope in OCTETS:
            return self._octets(scope)
        text = self._body(hidden=raw) if scope == "body" else self._plain(scope)
        text = text[: self._limit]
        if not raw:
            text = normalised(text, everywhere=self._everywhere)
        return text.encode("utf-8", "replace")[: self._limit * 2].decode("utf-8", "ignore").encode()

    def _octets(self, scope: str) -> bytes:
        message = self._message
        if scope == "message":
            return message.raw[: self._limit]
        cut = message.header_length
        if scope == "header-raw":
            return message.raw[: min(cut, self._limit)].replace(b"\r\n", b"\n")
        return message.raw[cut : cut + self._limit].replace(b"\r\n", b"\n")

    def _plain(self, scope: str) -> str:
        if scope.startswith("header:"):
            return _lines(header_text(value) for value in self._message.values(scope[7:].lower().encode()))
        maker: Callable[[], str] = getattr(self, f"_{scope}")
        return maker()

    def _sender(self) -> str:
        return self._envelope.reverse_path

    def _recipient(self) -> str:
        return _lines(recipient.address for recipient in self._envelope.recipients)

    def _client(self) -> str:
        client = self._speaker
        return _lines(filter(None, (client.address, client.name)))

    def _helo(self) -> str:
        return self._speaker.helo

    def _subject(self) -> str:
        return _lines(header_text(value) for value in self._message.values(b"subject"))

    def _header(self) -> str:
        return _lines(f"{field.name.decode('latin-1')}: {header_text(field.value)}" for field in self._message.fields)

    def _body(self, *, hidden: bool = False) -> str:
        plain, seen, everything, _ = self._read()
        return f"{plain}\n{everything if hidden else seen}" if everything or seen else plain

    def _html(self) -> str:
        return "\n".join(self._text(part) for part in self._parts("text/html"))

    def _url(self) -> str:
        plain, seen, _, addressed = self._read()
        found = [match[0].rstrip(_TRAILING) for match in _URL.finditer(f"{plain}\n{seen}")]
        return _lines(dict.fromkeys(each.strip()[:_LONGEST_URL] for each in (*addressed, *found)[:_MOST_URLS]))

    def _host(self) -> str:
        urls = self.text("url", raw=True).decode().split("\n")
        return _lines(
            dict.fromkeys(
                match[1].lower() if (match := _HOST.match(url)) else url.partition("/")[0].lower()
                for url in urls
                if _HOST.match(url) or url.lower().startswith("www.")
            )
        )

    def _attachment(self) -> str:
        return _lines(name for part in self._message.every_leaf() for name in (part.name, part.other_name) if name)

    def _parts(self, kind: str) -> list[Part]:
        return [part for part in self._message.every_leaf() if part.type == kind][:100]

    def _read(self) -> tuple[str, str, str, list[str]]:
        """Return plain text, visible and whole text of HTML, and the addresses in HTML; made once."""
        if self._bodies is None:
            plain = "\n".join(self._text(part) for part in self._texts())[: self._limit]
            seen, everything, addressed = [], [], list[str]()
            for part in self._parts("text/html"):
                source = self._text(part)
                tree = html.parsed(source)
                if tree is None:
                    seen.append(source)
                    continue
                addressed += html.addresses(tree) if self._links else []
                everything.append(html.text_of(tree))
                seen.append(_BLANK_LINES.sub("\n", html.visible_text(tree, source)))
            self._bodies = (
                plain.replace("\r\n", "\n"), "\n".join(seen)[: self._limit], "\n".join(everything)[: self._limit], addressed
            )  # fmt: skip
        return self._bodies

    def _text(self, part: Part) -> str:
        """Return the beginning of a part's text: what is beyond the limit is not decoded at all."""
        octets = part.decode(3 * self._limit)  # base64 and escapes are longer
        return decode_charset(octets, part.charset or "utf-8")[: self._limit]

    def _texts(self) -> list[Part]:
        """Text parts but HTML; attached text is text too, as most programs show it."""
        leaves = self._message.every_leaf()
        return [part for part in leaves if part.type.startswith("text/") and part.type != "text/html"][:100]


def _lines(texts: Iterable[str]) -> str:
    """One line each: a line break within would let a value pass for two."""
    return "\n".join(text.replace("\r", " ").replace("\n", " ") for text in texts)
