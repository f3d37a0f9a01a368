"""Edits that put something else in the place of a part, or give it another name: all other octets stay (RFC 2046).

For whoever takes an attachment out of a mail. Pure. The structure around the part stays valid: its delimiters are not touched,
and what is put in holds no line that begins like one, as long as the caller's body is encoded (`encoded_part`).
"""

import re
import unicodedata
from base64 import encodebytes
from collections.abc import Iterator
from urllib.parse import quote

from mpp.mail.edits import Edit
from mpp.mail.message import Message
from mpp.mail.part import Part

_UNFIT = re.compile(r'[/\\:*?"<>|]')
_EMPTY_LINE = re.compile(rb"\n\r?\n\Z")
_LONGEST = 150  # characters of a name that we write
_ALTERNATIVE = re.compile(rb"multipart[ \t\r\n]*/[ \t\r\n]*(alternative)", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}")


def editable(message: Message, path: str) -> tuple[Part, bool] | None:
    """Return the part that an edit can replace for the leaf or the attached mail of this path, and whether its header is a
    message's own.

    What lies inside an encoded message is no octets of ours: the part that holds this message is. None where there is no such part.
    """
    if message.headless:
        return None
    waiting: list[tuple[Part, bool, tuple[Part, bool]]] = [(message.root, True, (message.root, True))]
    while waiting:
        part, whole, outer = waiting.pop()
        if not part.nested:
            outer = part, whole
        if part.path == path and (part.leaf or part.content.message):
            return outer
        waiting += [(child, part.content.message, outer) for child in part.children]
    return None


def replace_part(message: Message, part: Part, header: bytes, body: bytes, *, whole: bool) -> tuple[Edit, ...]:
    """Put another header and body in the place of an `editable` part; `whole`: its header is that of a message and stays,
    but for the fields about its content. `header` and `body` have CRLF ends, `header` one behind each of its fields."""
    if message.line_end != b"\r\n":
        header, body = header.replace(b"\r\n", b"\n"), body.replace(b"\r\n", b"\n")
    if whole:
        return tuple(_below_fields(message, part, header, body))
    end = message.line_end
    before = b"" if _at_line(message.raw, part.header) else end
    after = b"" if part.end >= len(message.raw) or message.raw[part.end : part.end + 1] in (b"\r", b"\n") else end
    return (Edit(part.header, part.end - part.header, before + header + end + body + after),)


def _below_fields(message: Message, part: Part, header: bytes, body: bytes) -> Iterator[Edit]:
    """Exchange the fields about the content, then the body; those of the message stay."""
    raw, end = message.raw, message.line_end
    old = [field for field in part.fields if field.key.startswith(b"content-")]
    place = old[0].offset if old else part.header_end
    if not any(field.key == b"mime-version" for field in part.fields):
        header = b"MIME-Version: 1.0" + end + header
    before = b"" if _at_line(raw, place) else end
    if place == part.header and place and not _EMPTY_LINE.search(raw, max(place - 4, 0), place):
        before += end  # the header around it had no end yet
    yield Edit(place, old[0].length if old else 0, before + header)
    for field in old[1:]:
        yield Edit(field.offset, field.length, b"")
    empty_line = b"" if part.body > part.header_end else end if _at_line(raw, part.body) else end + end
    after = b"" if part.end >= len(raw) or raw[part.end : part.end + 1] in (b"\r", b"\n") else end
    yield Edit(part.body, part.end - part.body, empty_line + body + after)


def remove_part(message: Message, part: Part) -> tuple[Edit, ...]:
    """Take an `editable` part out with the delimiter before it; nothing where it is the first of its multipart, which cannot be without any."""
    around = next((each for each in message.root.walk() if part in each.children), None)
    place = around.children.index(part) if around is not None else 0
    if around is None or not around.content.multipart or not place:
        return ()
    start = around.children[place - 1].end
    between = message.raw[start : part.header].splitlines()
    if len(between) != 2 or between[0] or not between[1].startswith(b"--"):
        return ()  # more stands there than a delimiter
    return (Edit(start, part.end - start, b""),)


def shown_beside(message: Message, part: Part) -> tuple[Edit, ...]:
    """Let what stands in a `multipart/alternative` beside this part be shown with it: of that a program shows one part alone."""
    around = next((each for each in message.root.walk() if part in each.children), None)
    if around is None or around.type != "multipart/alternative":
        return ()
    fields = (field for field in around.fields if field.key == b"content-type")
    found = (_ALTERNATIVE.search(message.raw, field.offset, field.offset + field.length) for field in fields)
    return tuple(Edit(match.start(1), len(match[1]), b"mixed") for match in found if match)


def rename_part(message: Message, part: Part, name: str) -> tuple[Edit, ...]:
    """Give an `editable` part another name, in each of the fields that tell one. Its body stays as it came."""
    edits: list[Edit] = []
    fields = {
        key: [each for each in part.fields if each.key == key] for key in (b"content-type", b"content-disposition")
    }
    written = {
        b"content-type": _type_field(part, name),
        b"content-disposition": _field(b"Content-Disposition", part.disposition or "attachment", {"filename": name}),
    }
    if message.line_end != b"\r\n":
        written = {key: text.replace(b"\r\n", b"\n") for key, text in written.items()}
    for key, found in fields.items():
        if found:
            edits += [Edit(found[0].offset, found[0].length, written[key])]
            edits += [Edit(each.offset, each.length, b"") for each in found[1:]]
    if not fields[b"content-disposition"]:
        before = b"" if _at_line(message.raw, part.header) else message.line_end  # the mail ends with a delimiter
        edits.append(Edit(part.header, 0, before + written[b"content-disposition"]))
    return tuple(edits)


def _type_field(part: Part, name: str) -> bytes:
    parameters = {key: value for key, value in part.parameters.items() if key != "name"}
    return _field(b"Content-Type", part.type, {**parameters, "name": name})


def encoded_part(kind: str, data: bytes, *, name: str = "", disposition: str = "inline") -> tuple[bytes, bytes]:
    """Return header and body of a part in base64, in which no line can be taken for a delimiter."""
    placed = _field(b"Content-Disposition", disposition, {"filename": name} if name else {})
    header = b"Content-Type: %b\r\nContent-Transfer-Encoding: base64\r\n%b" % (kind.encode("ascii"), placed)
    return header, encodebytes(data).replace(b"\n", b"\r\n")


def safe_name(name: str, suffix: str = "") -> str:
    """Return a name without folders, marks of direction, control characters and ends that Windows does not see."""
    base = re.split(r"[/\\]", name)[-1]
    shown = "".join("_" if unicodedata.category(each)[0] == "C" else each for each in base)
    shown = _UNFIT.sub("_", shown).strip(" .") or "attachment"
    if len(shown) > _LONGEST:
        stem, dot, end = shown.rpartition(".")
        shown = f"{stem[: _LONGEST - 21]}{dot}{end[:20]}" if dot else shown[:_LONGEST]
    return shown + suffix


def _field(name: bytes, value: str, parameters: dict[str, str]) -> bytes:
    first = value if _TOKEN.fullmatch(value.replace("/", "")) else "application/octet-stream"
    pieces = [name + b": " + first.encode("ascii")]
    for key, text in parameters.items():
        if _TOKEN.fullmatch(key):
            pieces.append(_parameter(key, text))
    return b";\r\n ".join(pieces) + b"\r\n"


def _parameter(key: str, text: str) -> bytes:
    """Write one parameter: quoted, or by RFC 2231 where it is not plain ASCII."""
    if text.isascii() and text.isprintable():
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'{key}="{quoted}"'.encode("ascii")
    return f"{key}*=utf-8''{quote(text.encode('utf-8', 'replace'), safe='')}".encode("ascii")


def _at_line(raw: bytes, offset: int) -> bool:
    return not offset or raw[offset - 1 : offset] == b"\n"
