"""Sections of a continued parameter (RFC 2231), joined as most programs do."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from mpp.mail.decoding import decode_charset


class Section(NamedTuple):
    number: int
    value: bytes
    encoded: bool


def join(sections: Iterable[Section]) -> str:
    """Join by number, gaps or not; the charset stands in the section that came first."""
    ordered = list(sections)
    charset = b""
    head = ordered[0]
    if head.encoded and head.value.count(b"'") >= 2:
        charset, _, rest = head.value.split(b"'", 2)
        ordered[0] = head._replace(value=rest)
    ordered.sort(key=lambda section: section.number)
    whole = b"".join(unquote_to_bytes(each.value) if each.encoded else each.value for each in ordered)
    return decode_charset(whole, charset.decode("latin-1"))
