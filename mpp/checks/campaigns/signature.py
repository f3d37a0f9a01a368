"""What a message says, as numbers that stay alike when its wording varies: the signature of its content. Pure.

Text parts (HTML without tags, styles and scripts) become words: ASCII letters in lower case and octets above them, in
whatever charset; numbers and URLs are left out, since these vary most. Each pair of neighbouring words is hashed, and the smallest hashes of the set are the
keys (bottom-k sketch; Broder, "On the resemblance and containment of documents", 1997): two texts that share a part of their
pairs share about as large a part of their keys, wherever it stands. Hosts of URLs and attachments are keys of their own.

Python's own hash is used: it is keyed by a secret that forked workers share, and costs a tenth of a cryptographic one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from mpp.mail.message import Message
from mpp.net.shared import key_of

KEYS = 32  # of the text
LEAST_PAIRS = 48  # a shorter text says too little
MOST_OCTETS = 512 << 10  # of a message; larger ones have no signature
MOST_TEXT = 8 << 10  # octets of a part that are looked at, decoded
MOST_PARTS = 20
MOST_HOSTS = 64

# A literal at the beginning lets the engine leap from one to the next.
_HOST = re.compile(rb"://(?:[^\s/?#@<>\"']{0,100}@)?([^\s/:?#@<>\"']{1,255})")
_URL = re.compile(rb"://[^\s<>\"']*+")
_TAG = re.compile(rb"<[^<>]*+>")  # linear: from one < it looks no further than the next
_LETTERS = bytes(
    octet if chr(octet).isalpha() or octet > 127 else 32 for octet in bytes(range(256)).lower()
)  # all else parts words
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Signature:
    text: tuple[int, ...]  # KEYS of them, ascending
    rest: tuple[int, ...]  # hosts of URLs and attachments, each once


def signature(message: Message) -> Signature | None:
    """Return the signature, None for what is too short, too large or too manifold to have one. Never raises."""
    if len(message.raw) > MOST_OCTETS:
        return None
    leaves = message.leaves()
    if len(leaves) > MOST_PARTS:
        return None
    words: list[bytes] = []
    rest: set[int] = set()
    for part in leaves:
        if part.attachment:
            rest.add(key_of(part.raw()))
            continue
        text = part.decode()[:MOST_TEXT]
        rest.update(key_of(host) for host in {host.lower() for host in _HOST.findall(text)})
        words += (visible(text) if part.type == "text/html" else _URL.sub(b" ", text)).translate(_LETTERS).split()
    pairs = set(map(hash, pairwise(words)))
    if len(pairs) < LEAST_PAIRS or len(rest) > MOST_HOSTS:
        return None
    return Signature(tuple(number & _MASK or 1 for number in sorted(pairs)[:KEYS]), tuple(rest))


def visible(html: bytes) -> bytes:
    """Return about what a reader sees of HTML: no tags, comments, styles and scripts. Linear in any text."""
    lowered = html.lower()
    for element in (b"style", b"script"):
        if b"<" + element in lowered:
            html = b"".join(_outside(html, lowered, element))
            lowered = html.lower()
    return _TAG.sub(b" ", html)


def _outside(html: bytes, lowered: bytes, element: bytes) -> Iterator[bytes]:
    """Yield what stands outside of an element; one that is not closed reaches to the end."""
    at = 0
    while (begin := lowered.find(b"<" + element, at)) >= 0:
        yield html[at:begin]
        at = lowered.find(b"</" + element, begin)
        if at < 0:
            return
    yield html[at:]
