"""What a program might see that forgives everything: parts by the lines that look like delimiters, whatever the header says.

No program is like this as a whole, and each of the tricks it falls for works on some. Four of these, which differ in how they
undo broken base64, stand for all that forgive (Outlook, Thunderbird, web mail, appliances).
"""

import re
from collections.abc import Sequence

from mpp.mail.content import Content
from mpp.mail.dialects import loose
from mpp.mail.dialects.dialect import MAX_VALUE, Decoder, Dialect, Fields, Head
from mpp.mail.dialects.uuencode import uudecode_from_begin, uudecode_lines
from mpp.mail.parameters import parse_parameters
from mpp.mail.words import header_text

_HEADER = re.compile(
    rb"(?:(?:[ \t\v\f\r]*+[!-9;-~]++[ \t]*+:|content-[a-z-]++[ \t]|[ \t]++[^\s]|>?From )[^\n]*+(?:\n|\Z))*",
    re.IGNORECASE,
)
_BLANK = re.compile(rb"^[ \t\v\f\r]*+\n", re.MULTILINE)
_FIELD = re.compile(  # what stands before it does not run over lines: each of them would be begun with anew
    rb"^[ \t\v\f\r:]*+content-(type|transfer-encoding|disposition)[ \t]*+:?+([^\n]*+(?:\n[ \t][^\n]*+)*+)",
    re.IGNORECASE | re.M,
)
_COMMENT = re.compile(r"\([^()]*+\)")
_TYPE = re.compile(r"\s*([a-z0-9.+_-]+)\s*/\s*([a-z0-9.+_-]+)")
_ENCODING = re.compile(r"base64|quoted.?printable|yenc|binhex|uu")
_DELIMITER = re.compile(rb"\n--([^\r\n]*+)\r*\n(?=[ \t\v\f\r]*+content-)", re.IGNORECASE)
_WINDOW = 1 << 18  # octets behind a header in which a delimiter is looked for
_MOST_CANDIDATES = 100
_MOST_LINE = 998


class Lenient(Dialect):
    blank = b" \t\v\f\r"

    def __init__(
        self,
        name: str,
        base64: Decoder,
        *,
        last_encoding: bool = False,
        innermost: bool = False,
        with_junk: bool = False,
    ) -> None:
        """`last_encoding`: of several in one field; `with_junk`: lines that are no fields do not end a header."""
        self.name = name
        self._with_junk = with_junk
        self._which = -1 if last_encoding else 0
        self.innermost = innermost
        self._decoders = {
            "base64": base64,
            "quoted-printable": loose.quoted_printable,
            "yenc": loose.yenc,
            "binhex": loose.binhex,
            "uu": _uudecode,
        }

    def head(self, raw: bytes, start: int, stop: int, *, top: bool) -> Head:
        if self._with_junk:
            blank = _BLANK.search(raw, start, stop)
            end = blank.start() if blank else stop
        else:
            match = _HEADER.match(raw, start, stop)
            assert match is not None  # it takes nothing as well
            end = match.end()
            blank = _BLANK.match(raw, end, stop)
        header = raw[start:end]
        fields = [(found[1].lower(), found[2][:MAX_VALUE]) for found in _FIELD.finditer(header)]
        return Head(fields, end, blank.end() if blank else end)

    def content(self, fields: Fields, default: str) -> Content:
        kind, parameters = default, dict[str, str]()
        names: dict[str, str] = {}
        disposition = encoding = ""
        for key, value in fields:
            text = _COMMENT.sub("", header_text(value)).replace("\\", "").replace('"', "").lower()
            match = _TYPE.match(text) if key == b"type" and not parameters else None
            if match is not None:
                kind = f"{match[1]}/{match[2]}"
                parameters = parse_parameters(value) | {"": text}
            elif key == b"transfer-encoding" and not encoding:
                named = _ENCODING.findall(text)
                encoding = _plain(named[self._which]) if named else text.strip()
            elif key == b"disposition" and not disposition:
                disposition, names = text.partition(";")[0].strip(), parse_parameters(value)
        name = names.get("filename", parameters.get("name"))
        boundary = parameters.get("boundary", "").encode("utf-8", "surrogateescape")
        return Content(kind, parameters, encoding, disposition, name, boundary)

    def is_multipart(self, content: Content) -> bool:
        return content.multipart or "boundary" in content.parameters.get("", "")

    def boundary(self, raw: bytes, body: int, content: Content, around: Sequence[bytes]) -> bytes:
        """Take the first line that looks like a delimiter and has a header behind it."""
        for number, match in enumerate(_DELIMITER.finditer(raw, body - 1, body + _WINDOW)):
            found = match[1].rstrip(self.blank)
            if found not in around and len(found) <= _MOST_LINE:
                return found
            if number > _MOST_CANDIDATES:
                break
        return content.boundary

    def decoder(self, content: Content) -> Decoder | None:
        return self._decoders.get(content.encoding)


def _plain(name: str) -> str:
    return "quoted-printable" if name.startswith("quoted") else name


def _uudecode(data: bytes) -> bytes:
    decoded = uudecode_from_begin(data)
    return uudecode_lines(data) if decoded is None else decoded


LENIENT = (
    Lenient("lenient", loose.base64_runs),
    Lenient("lenient, padding is zero", loose.base64_zeros, last_encoding=True, innermost=True),
    Lenient("lenient, padding within groups", loose.base64_groups, with_junk=True),
    Lenient("lenient, line by line", loose.base64_lines),
)
