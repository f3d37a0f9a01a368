"""What may safely be seen of a message that is held: its header, some of its text, and what is attached, never opened.

HTML becomes its visible text; nothing is fetched, no link can be followed by itself. Outside text is returned as it came:
whoever shows it escapes it.
"""

from typing import TYPE_CHECKING, Any

from mpp.cli.shown import time_text

if TYPE_CHECKING:
    from mpp.mail.message import Message
    from mpp.store.reader import Stored

LINES, WIDTH = 40, 200
HEADER = 100  # fields
_LARGEST = 1 << 18  # characters of a text that is looked at


def preview(stored: "Stored") -> dict[str, Any]:
    """Return an object of plain values."""
    from mpp.mail.message import Message
    from mpp.mail.words import header_text

    message = Message(stored.raw)
    about = stored.described["about"]
    return {
        "id": stored.id,
        "from": f"<{stored.envelope.reverse_path}>",
        "client": stored.client.address or "local socket",
        "received": time_text(stored.described["received"]),
        "size": len(stored.raw),
        "why": [str(each) for each in about.get("why", ())],
        "findings": list(about.get("findings", ())),
        "header": [
            f"{field.name.decode('ascii', 'replace')}: {header_text(field.value)}" for field in message.fields[:HEADER]
        ],
        "text": text_of(message),
        "attachments": [
            {"name": part.name, "type": part.type, "size": len(part.decode())}
            for part in message.leaves()
            if part.attachment
        ],
    }


def text_of(message: "Message") -> list[str]:
    """Return the first lines of the first text: plain where there is one, else what HTML shows."""
    texts = [part for part in message.leaves() if part.type in ("text/plain", "text/html") and not part.attachment]
    texts.sort(key=lambda part: part.type != "text/plain")  # sorts are stable
    if not texts:
        return []
    text = texts[0].text()[:_LARGEST]
    if texts[0].type == "text/html":
        text = _visible(text)
    lines = [line[:WIDTH] for line in map(str.strip, text.splitlines()) if line]
    return lines[:LINES]


def _visible(html: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html)
    for node in tree.css("script, style, head, title"):
        node.decompose()
    return tree.body.text(separator="\n") if tree.body else ""
