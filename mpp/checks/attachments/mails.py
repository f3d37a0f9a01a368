"""The files of a mail: its parts, as far as they are attachments."""

import re
from collections.abc import Iterator
from itertools import islice, zip_longest

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import File, Flag, Member
from mpp.checks.attachments.kinds import kind_of
from mpp.checks.attachments.passwords import passwords_of
from mpp.mail.decoding import decode_base64
from mpp.mail.dialects.loose import binhex, binhex_name, yenc
from mpp.mail.dialects.uuencode import begin_line, uudecode_lines
from mpp.mail.message import Message
from mpp.mail.part import Part
from mpp.mail.pieces import PIECE, between, count, find

_FIELD = re.compile(rb"(?:From [^\r\n]*\r?\n)?[!-9;-~]{1,76}:")
_BEGIN = re.compile(rb"begin(-base64)? +[0-7]{3,4} +(\S[^\r\n]*)\r?\n")
_YENC = re.compile(rb"\n=ybegin [^\r\n]*?name=([^\r\n]*+)")
_BINHEX = b"(This file must be converted with BinHex"
_MARK = rb"(?:begin(?:-base64)? +[0-7]{3,4} +\S|=ybegin )"
_FIRST_MARK, _LATER_MARK = re.compile(_MARK), re.compile(rb"\n" + _MARK)
_BODIES = frozenset(
    f"text/{name}" for name in ("plain", "html", "calendar", "enriched", "x-amp-html", "watch-html", "x-watch-html")
)
_WRITTEN = 1000  # files in one text that are looked into
_ESCAPES = 1 << 20  # of yEnc in one text that are undone, each with a call: a file of 50 MiB has 800,000
_MOST = 100 << 20  # octets of attached mails, each counted with all that it holds, and of files in texts


def files_of(data: bytes, name: str) -> tuple[list[File], list[str]]:
    """Return the files of a mail and its passwords, or the one bare file `data` where it is no mail."""
    if not (_FIELD.match(data) and kind_of(data) == "message/rfc822"):
        return [File(name, name, "", data)], []
    message = _message(data)
    return attached_files(message), passwords_of(message)


def attached_files(message: Message) -> list[File]:
    """Return the files of a mail: the parts of all its readings, but for the bodies that are text alone. Most mails have none.

    An attached mail is a file too, and comes before its own files.
    """
    return list(_files(message))


def has_files(message: Message) -> bool:
    """True where `attached_files` may return any. Of texts only the transfer encoding is undone for that."""
    return any(part.children or is_file(part) for part, _ in _parts(message))


def is_file(part: Part) -> bool:
    """True where a leaf is more than text to be read, or where a mark in it says so."""
    return _is_attached(part) or (part.type.startswith("text/") and _is_marked(part.decode()))


def _is_marked(text: bytes) -> bool:
    """True where a file in a text seems to begin: to undo what follows may take long, and this is asked on the loop."""
    marked, at = _FIRST_MARK.match(text), 0
    while not marked and at < len(text):
        end = find(text, b"\n", min(at + PIECE, len(text)), len(text))
        end = len(text) if end < 0 else end
        marked, at = _LATER_MARK.search(text, at, end), end
    return marked is not None or find(text, _BINHEX, 0, len(text)) >= 0


def mail_members(data: bytes, meter: Meter, *, pages: bool = False) -> Iterator[Member]:
    """Yield the files of a mail that lies inside something else. `pages`: it is a stored page, of which a browser shows each part."""
    for file in _files(_message(data), pages=pages):
        meter.budget.entry()
        meter.take(len(file.data))
        name = file.name or f"part-{file.path}"
        yield Member(name, file.data, set(file.flags), other_name=file.other_name, depth=file.depth, apart=file.apart)


def _files(message: Message, *, pages: bool = False) -> Iterator[File]:
    left = _MOST
    for part, depth in _parts(message):
        if part.children:
            left -= part.end - part.body
            data, flags = (part.decode(), frozenset[Flag]()) if left >= 0 else (b"", frozenset({Flag.BOMB}))
            yield File(part.path, part.name or "mail.eml", part.type, data, part.other_name, depth, True, flags)
        elif _is_attached(part) or (pages and part.type == "text/html"):
            yield File(part.path, part.name or "", part.type, part.decode(), part.other_name, depth)
        else:
            for number, (name, written) in enumerate(islice(_written_in(part), _WRITTEN + 1)):
                left -= len(written or b"")
                data = written if written is not None and left >= 0 else b""
                flags = frozenset({Flag.BOMB} if number == _WRITTEN or data is not written else ())
                yield File(part.path, name, "", data, depth=depth, flags=flags)
                if left < 0:
                    break


def _parts(message: Message) -> Iterator[tuple[Part, int]]:
    """Yield leaves and attached mails, with the number of mails around them; then the leaves of other readings."""
    own, waiting = 0, [(message.root, 0)]
    while waiting:
        part, depth = waiting.pop()
        own += part.leaf
        if part.leaf or part.content.message:
            yield part, depth
        waiting += [(child, depth + part.content.message) for child in reversed(part.children)]
    for part in message.every_leaf()[own:]:
        yield part, 0


def _is_attached(part: Part) -> bool:
    """Of texts without a name and a word that they are attached, programs show only these as the text of a mail."""
    return part.attachment or part.type not in _BODIES


def _written_in(part: Part) -> Iterator[tuple[str, bytes | None]]:
    """Yield names and octets of what stands in a text as uuencode, yEnc or BinHex, which many programs show as files.

    None in place of the octets: to undo it would take too long.
    """
    if not part.type.startswith("text/"):
        return
    text = part.decode()
    yield from _uuencoded(text)
    if find(text, b"=ybegin ", 0, len(text)) >= 0:
        yield from _yencoded(b"\n" + text)
    yield from _binhexed(text)


def _uuencoded(text: bytes) -> Iterator[tuple[str, bytes]]:
    begin = begin_line(_BEGIN, text, 0)
    while begin:
        following = begin_line(_BEGIN, text, begin.end())
        lines = between(text, begin.end(), following.start() if following else len(text))
        data = decode_base64(lines.partition(b"\n====")[0]) if begin[1] else uudecode_lines(lines)
        if data:
            yield begin[2].decode("utf-8", "replace").strip(), data
        begin = following


def _yencoded(text: bytes) -> Iterator[tuple[str, bytes | None]]:
    left = _ESCAPES
    begins = list(islice(_YENC.finditer(text), _WRITTEN + 1))
    for begin, following in zip_longest(begins, begins[1:]):
        last = following.start() if following else len(text)
        end = find(text, b"\n=yend ", begin.end(), last)
        end = end if end >= 0 else last
        left -= count(text, b"=", begin.end(), end)
        coded = between(text, begin.end(), end) if left >= 0 else None
        yield begin[1].decode("utf-8", "replace").strip(), None if coded is None else yenc(coded)


def _binhexed(text: bytes) -> Iterator[tuple[str, bytes]]:
    at = find(text, _BINHEX, 0, len(text))
    while at >= 0:
        following = find(text, _BINHEX, at + len(_BINHEX), len(text))
        packed = between(text, at, following if following >= 0 else len(text))
        yield binhex_name(packed).decode("latin-1"), binhex(packed)
        at = following


def _message(data: bytes) -> Message:
    """Read a mail, without the line that a mbox file has before it."""
    return Message(data[data.find(b"\n") + 1 :] if data.startswith(b"From ") else data)
