"""What a message's record holds: all that its rows in the catalog are made of, and the octets without their large attachments.

    content = length of the description (4 octets), description (JSON), octets

From the description the catalog is rebuilt. `cuts` says where a large attachment was taken out, and which blob it is: the blob holds
the decoded octets where the base64 around them is the usual one (lines of 76, CRLF) and comes back octet for octet, else as they
stood. Pure, but for the digests' key that is handed in.
"""

import hmac
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pybase64

from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.mail.part import Part
from mpp.store.letter import Letter

LARGE = 1 << 16  # decoded octets from which an attachment is stored by itself
SHOWN = 200  # characters of a header field that the catalog keeps
_SHOWN_FIELDS = (("author", b"from"), ("subject", b"subject"), ("message_id", b"message-id"))
_LENGTH = struct.Struct("<I")
_PLAIN, _BASE64 = 0, 1
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode = json.JSONDecoder().raw_decode  # what is written has no blanks around it


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of the message that is a blob: `length` octets stood at `offset`."""

    offset: int
    length: int
    encoding: int
    digest: bytes
    data: bytes = b""  # of the blob; empty where the cut was read back


def cuts_of(message: Message, key: bytes) -> list[Cut]:
    """Return the message's large attachments in the order of the octets; `key` keeps their digests from telling anything."""
    if len(message.raw) <= LARGE:
        return []
    found = []
    for part in message.leaves():
        if not part.nested and part.end - part.body > LARGE:
            encoding, data = _undone(part)
            if len(data) > LARGE:
                digest = hmac.digest(key, data, "sha256")
                found.append(Cut(part.body, part.end - part.body, encoding, digest, data))
    return sorted(found, key=lambda cut: cut.offset)


def _undone(part: Part) -> tuple[int, bytes]:
    raw = part.raw()
    if part.encoding == "base64":
        try:
            data = pybase64.b64decode(raw.replace(b"\r\n", b""), validate=True)
        except ValueError:
            return _PLAIN, raw
        if _encoded(data, len(raw)) == raw:
            return _BASE64, data
    return _PLAIN, raw


def _encoded(data: bytes, length: int) -> bytes:
    """Return base64 in lines of 76, ended by CRLF; the last line end is left out where the length says so."""
    return pybase64.encodebytes(data).replace(b"\n", b"\r\n")[:length]


def write_content(letter: Letter, cuts: Sequence[Cut]) -> tuple[bytes, dict[str, Any]]:
    """Return the content to be sealed, and the description in it."""
    message, envelope, client = letter.message, letter.envelope, letter.client
    raw = message.raw
    described = {
        "v": 1,
        "tenant": letter.tenant,
        "id": letter.id,
        "received": letter.received_ms,
        "size": len(raw),
        "digest": sha256(raw).hexdigest(),
        "from": envelope.reverse_path,
        "mail": dict(envelope.parameters),
        "rcpt": [[each.address, dict(each.parameters)] if each.parameters else [each.address] for each in envelope.recipients],
        "client": [client.address, client.port, client.name, client.helo, client.protocol, client.tls, client.login],
        "direction": letter.direction,
        **{name: "" if letter.unread else message.text(field)[:SHOWN] for name, field in _SHOWN_FIELDS},
        "held": letter.held_until_ms,
        "archived": letter.archived_until_ms,
        "copies": [[each.recipient, each.verdict, each.rule, each.score, each.reply, each.until_ms] for each in letter.copies],
        "cuts": [[cut.offset, cut.length, cut.encoding, cut.digest.hex()] for cut in cuts],
        "about": dict(letter.about),
    }  # fmt: skip
    head = _encode(described).encode("ascii")
    return b"".join((_LENGTH.pack(len(head)), head, *_between(raw, cuts))), described


def _between(raw: bytes, cuts: Sequence[Cut]) -> Iterator[bytes]:
    at = 0
    for cut in cuts:
        yield raw[at : cut.offset]
        at = cut.offset + cut.length
    yield raw[at:] if at else raw


def read_description(content: bytes) -> dict[str, Any]:
    """Return the description of a content. Raises ValueError where it is none."""
    end = _LENGTH.size + _LENGTH.unpack_from(content)[0] if len(content) >= _LENGTH.size else -1
    head = content[_LENGTH.size : end].decode() if 0 < end <= len(content) else "null"
    described, read = _decode(head)
    if read != len(head) or not isinstance(described, dict) or described.get("v") != 1:
        raise ValueError("no description of a message that this MPP reads")
    return described


def read_octets(content: bytes, described: Mapping[str, Any], blob: Callable[[bytes], bytes]) -> bytes:
    """Return the message as it came; `blob` fetches an attachment by its digest. Raises ValueError where it is not whole."""
    rest = content[_LENGTH.size + _LENGTH.unpack_from(content)[0] :]
    pieces, at, taken = [], 0, 0
    for offset, length, encoding, digest in described["cuts"]:
        pieces.append(rest[taken : taken + offset - at])
        taken += offset - at
        data = blob(bytes.fromhex(digest))
        pieces.append(_encoded(data, length) if encoding == _BASE64 else data)
        at = offset + length
    pieces.append(rest[taken:])
    raw = b"".join(pieces)
    if sha256(raw).hexdigest() != described["digest"]:
        raise ValueError("the octets are not those that were stored")
    return raw


def envelope_of(described: Mapping[str, Any]) -> Envelope:
    """Return the envelope as it came."""
    recipients = tuple(Recipient(address, *parameters) for address, *parameters in described["rcpt"])
    return Envelope(described["from"], recipients, described["mail"])


def client_of(described: Mapping[str, Any]) -> Client:
    return Client(*described["client"])
