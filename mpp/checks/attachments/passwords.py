"""Words of a message that may be the password of what is attached to it, likeliest first.

People, and those who send malware, write the password of an encrypted archive into the mail. Nothing is kept or told of these words.
"""

import html
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from mpp.mail.message import Message

MOST = 60  # candidates of one message
_LOOKED_AT = 1 << 16  # characters of all texts together
_ANNOUNCED = 200  # words that announce one
_NEXT = 8  # words behind a word that announces a password
_ANNOUNCES = re.compile(
    r"password|passwort|passcode|passphrase|kennwort|\bpwd?\b|\bpass\b|\bpin\b|\bcode\b|mot de passe|\bmdp\b|contrase\u00f1a"
    r"|\bclave\b|\bsenha\b|parola|wachtwoord|has\u0142o|heslo|l\u00f6senord|jelsz\u00f3|\u043f\u0430\u0440\u043e\u043b\u044c|\u5bc6\u7801|\u5bc6\u78bc|\u30d1\u30b9\u30ef\u30fc\u30c9",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"[\"'\u201c\u201e\u00ab\u2018`]([^\s\"'\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019`]{3,64})[\"'\u201d\u201c\u00bb\u2019`]"
)
_MIXED = re.compile(r"(?<!\S)(?=\S*[0-9])(?=\S*[^\W0-9])\S{4,32}(?!\S)")
_AROUND = "\"'`\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019()[]{}<>.,;:!?*="
_TAG = re.compile(r"<[^<>]{0,1000}>")


def passwords_of(message: Message) -> list[str]:
    """Return the candidates in the subject and in the texts that are no files."""
    return passwords_in(_texts(message))


def _texts(message: Message) -> Iterator[str]:
    yield message.text(b"subject") or ""
    for part in message.every_leaf():
        if part.name is None and part.type.startswith("text/"):
            text = part.text()[:_LOOKED_AT]
            yield html.unescape(_TAG.sub(" ", text)) if part.type == "text/html" else text


def passwords_in(texts: Iterable[str]) -> list[str]:
    """Return at most `MOST` different candidates, likeliest first; texts behind the first `_LOOKED_AT` characters are not asked for."""
    pieces, left = list[str](), _LOOKED_AT
    for text in texts:
        pieces.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    whole = "\n".join(pieces)
    found: dict[str, None] = {}
    for word in _candidates(whole):
        if len(found) >= MOST:
            break
        if 1 < len(word) <= 64:
            found[word] = None
    return list(found)


def _candidates(text: str) -> Iterator[str]:
    for announced in islice(_ANNOUNCES.finditer(text), _ANNOUNCED):
        for word in text[announced.end() : announced.end() + 200].split()[:_NEXT]:
            yield word.strip(_AROUND)
            yield word  # it may end with a mark of its own
    for pattern in (_QUOTED, _MIXED):
        for match in pattern.finditer(text):
            word = match[match.lastindex or 0]
            yield word.strip(_AROUND)
            yield word
