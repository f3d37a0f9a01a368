"""Messages made to be dear: each costs its sender nothing and aims at one weak spot of those who parse mail.

All have CRLF ends and no line that begins with a dot, so that they go over the wire as they are.
"""

from collections.abc import Callable, Mapping

_TOP = b"From: <a@example.com>\r\nMessage-ID: <bomb@example.com>\r\nMIME-Version: 1.0\r\n"


def bombs(size: int) -> Mapping[str, bytes]:
    """Return each bomb by its name, of about `size` octets (at least 64 KiB)."""
    return {name: make(size) for name, make in _MAKERS.items()}


def attachment(size: int) -> bytes:
    """No bomb: one large attachment in base64, as people send them."""
    head = _TOP + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: application/zip\r\n'
    line = b"TWFueSBsaW5lcyBvZiBiYXNlNjQsIGFzIGEgbGFyZ2UgYXR0YWNobWVudCBoYXMgdGhlbS4uLi4u\r\n"
    return head + b"Content-Transfer-Encoding: base64\r\n\r\n" + line * (size // len(line)) + b"--b--\r\n"


def nested(levels: int) -> bytes:
    """Multiparts in multiparts, every level with a boundary of its own."""
    opened = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(levels))
    return _TOP + opened + b"\r\ndeep\r\n" + b"".join(b"--b%d--\r\n" % n for n in reversed(range(levels)))


def many_parts(count: int) -> bytes:
    part = b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
    return _TOP + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + part * count + b"--b--\r\n"


def large_header(size: int) -> bytes:
    """Many fields, as large as a header may be and more."""
    field = b"X-Field: some text that means nothing but takes its room in the header\r\n"
    return _TOP + field * (size // len(field)) + b"Subject: end\r\n\r\nbody\r\n"


def _nested_to(size: int) -> bytes:
    return nested(size // 75)


def _parts_to(size: int) -> bytes:
    return many_parts(size // 36)


def _nested_messages(size: int) -> bytes:
    return _TOP + b"Content-Type: message/rfc822\r\n\r\n" * (size // 32) + b"Subject: innermost\r\n\r\nx\r\n"


def _one_boundary_for_all(size: int) -> bytes:
    """Every level has the same boundary, and each line might end any of them."""
    opened = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * (size // 100)
    return _TOP + opened + b"\r\nx\r\n" + b"--b--\r\n" * (size // 16)


def _nearly_boundaries(size: int) -> bytes:
    boundary = b"b" * 70
    line = b"--" + boundary[:-1] + b"\r\n"
    return _TOP + b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n" + line * (size // len(line))


def _nearly_delimiters_within(size: int) -> bytes:
    """As many levels as are read, and lines of which each might be the delimiter of any."""
    level = b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n'
    opened = b"".join(level % (n, n) for n in range(45))
    return _TOP + opened + b"\r\n" + b"--b\r\n" * ((size - len(opened)) // 5)


def _parts_of_parameters(size: int) -> bytes:
    """Parts whose headers are full of parameters, each with a name of its own."""
    head, end = b"--b\r\nContent-Type: text/plain", b"\r\n\r\nx\r\n"
    parts = (head + b"".join(b";p%x*1=a" % n for n in range(at, at + 250)) + end for at in range(0, size // 12, 250))
    return _TOP + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(parts) + b"--b--\r\n"


def _dashes(size: int) -> bytes:
    return _TOP + b"Content-Type: multipart/mixed; boundary=-\r\n\r\n" + b"--\r\n" * (size // 4)


def _one_field(size: int) -> bytes:
    return _TOP + b"Subject: " + b"a folded line of words\r\n " * (size // 25) + b"end\r\n\r\nbody\r\n"


def _blank_folds(size: int) -> bytes:
    return _TOP + b"Subject: x\r\n" + b" \r\n" * (size // 3) + b"\r\nbody\r\n"


def _colons(size: int) -> bytes:
    return b":\r\n" * (size // 3)


def _encoded_words(size: int) -> bytes:
    return _TOP + b"Subject: " + b"=?utf-8?Q?=C3=A9?=\r\n =?latin-1?B?6Q==?=\r\n " * (size // 42) + b"\r\n\r\nbody\r\n"


def _parameters(size: int) -> bytes:
    pieces = b"".join(b"\r\n name*%d*=%%41%%42;" % n for n in range(size // 22))
    return _TOP + b"Content-Type: text/plain;" + pieces + b" x=y\r\n\r\nbody\r\n"


def _quotes(size: int) -> bytes:
    return _TOP + b'Content-Type: text/plain; name="' + b'\\"' * (size // 2) + b"\r\n\r\nbody\r\n"


def _comments(size: int) -> bytes:
    return _TOP + b"Content-Type: " + b"(" * (size // 2) + b")" * (size // 2) + b" text/plain\r\n\r\nbody\r\n"


def _addresses(size: int) -> bytes:
    return _TOP + b"To: " + b'"a, b" <c@example.org>,\r\n ' * (size // 27) + b"d@example.org\r\n\r\nbody\r\n"


def _leaf(charset: bytes, encoding: bytes, piece: bytes) -> Callable[[int], bytes]:
    head = b"Content-Type: text/plain; charset=" + charset + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    return lambda size: _TOP + head + piece * (size // len(piece)) + b"\r\n"


def _digest_of_odd_types(size: int) -> bytes:
    part = b'--b\r\nContent-Type: message/rfc822; name="=?utf-8?B?w6k=?="\r\n\r\nContent-Type: text/x;;;=\r\n\r\n\r\n'
    return _TOP + b"Content-Type: multipart/digest; boundary=b\r\n\r\n" + part * (size // len(part))


_MAKERS: dict[str, Callable[[int], bytes]] = {
    "nested multiparts": _nested_to,
    "many parts": _parts_to,
    "many fields": large_header,
    "nested messages": _nested_messages,
    "one boundary for all levels": _one_boundary_for_all,
    "lines that are nearly boundaries": _nearly_boundaries,
    "nested lines that are nearly delimiters": _nearly_delimiters_within,
    "parts of parameters": _parts_of_parameters,
    "lines of two dashes": _dashes,
    "one long field": _one_field,
    "a field of blank folds": _blank_folds,
    "lines of colons": _colons,
    "encoded words": _encoded_words,
    "continued parameters": _parameters,
    "an open quoted string": _quotes,
    "nested comments": _comments,
    "a long address list": _addresses,
    "a digest of odd types": _digest_of_odd_types,
    "quoted-printable of equal signs": _leaf(b"utf-8", b"quoted-printable", b"="),
    "quoted-printable of soft breaks": _leaf(b"utf-8", b"quoted-printable", b"=\r\n"),
    "quoted-printable of blanks": _leaf(b"utf-8", b"quoted-printable", b" "),
    "quoted-printable of white lines": _leaf(b"utf-8", b"quoted-printable", b"= \t\r\n"),
    "base64 of equal signs": _leaf(b"utf-8", b"base64", b"="),
    "base64 of short lines": _leaf(b"utf-8", b"base64", b"A\r\n"),
    "uuencode of short lines": _leaf(b"utf-8", b"x-uuencode", b"begin 644 a\r\n"),
    "yEnc of escapes": _leaf(b"utf-8", b"x-yenc", b"=y=}"),
    "BinHex of repeats": _leaf(b"utf-8", b"x-binhex", b":!J2\x90"),
    "base64 with noise": _leaf(b"utf-8", b"base64", b"Q-U!J\r\nD =="),
    "charset punycode": _leaf(b"punycode", b"8bit", b"ab-cd9z"),
    "charset idna": _leaf(b"idna", b"8bit", b"xn--a."),
    "charset utf-7": _leaf(b"utf-7", b"8bit", b"+AGE-+"),
    "short lines": _leaf(b"us-ascii", b"7bit", b"\r\n"),
}
