"""The three messages that everything is measured with: 2 KiB of text, a 20 KiB newsletter, 300 KiB with an attachment.

Seeded: alike in every run and on every machine. Each has holes for a token, so that no two messages on the wire are
the same (nothing can be answered from a cache by digest) and all are of one size. No line begins with a dot.
"""

import base64
import quopri
import random
from collections.abc import Mapping
from dataclasses import dataclass

_SEED = 2_026
_TOKEN = b"%TOKEN-OF-16-OC%"
_SENDER = b"anna.field@example.com"


@dataclass(frozen=True, slots=True)
class Shape:
    """A message with holes: `with_token` fills them with 16 octets."""

    name: str
    size: int
    pieces: tuple[bytes, ...]

    def with_token(self, token: bytes) -> bytes:
        assert len(token) == len(_TOKEN)
        return token.join(self.pieces)


def shapes() -> Mapping[str, Shape]:
    draw = random.Random(_SEED)
    made = {"2k": _plain(draw, 2 << 10), "20k": _newsletter(draw, 20 << 10), "300k": _attachment(draw, 300 << 10)}
    return {name: Shape(name, len(raw), tuple(raw.split(_TOKEN))) for name, raw in made.items()}


def _plain(draw: random.Random, size: int) -> bytes:
    head = _header(b"text/plain; charset=us-ascii") + b"\r\nCase " + _TOKEN + b"\r\n\r\n"
    return _padded(head + _prose(draw, size - len(head) - 200) + b"\r\n", size)


def _newsletter(draw: random.Random, size: int) -> bytes:
    boundary = b"=_alternative_7f21"
    head = _header(b'multipart/alternative;\r\n boundary="' + boundary + b'"') + b"\r\n"
    text = b"Case " + _TOKEN + b"\r\n" + _prose(draw, size // 5)
    rows = b"".join(
        b'<tr><td style="padding:6px;font-family:sans-serif">'
        + _prose(draw, 150).replace(b"\r\n", b" ")
        + b' <a href="https://news.example.com/item/%d?reader=%06x">read on</a></td></tr>\n' % (n, draw.getrandbits(24))
        for n in range(size // 400)
    )
    page = b"<!DOCTYPE html>\n<html><body><table>\n" + rows + b"</table></body></html>\n"
    quoted = quopri.encodestring(page)[: size - len(head) - len(text) - 700]
    lines = quoted[: quoted.rindex(b"\n")].split(b"\n")
    html = b"\r\n".join(b"=2E" + line[1:] if line.startswith(b".") else line for line in lines)
    parts = [
        _part(boundary, b"text/plain; charset=us-ascii", b"7bit", text),
        _part(boundary, b"text/html; charset=utf-8", b"quoted-printable", html),
    ]
    return _padded(head + b"".join(parts) + b"--" + boundary + b"--\r\n", size)


def _attachment(draw: random.Random, size: int) -> bytes:
    boundary = b"=_mixed_c04e"
    head = _header(b'multipart/mixed;\r\n boundary="' + boundary + b'"') + b"\r\n"
    text = _part(boundary, b"text/plain; charset=us-ascii", b"7bit", b"Case " + _TOKEN + b"\r\n" + _prose(draw, 1200))
    octets = draw.randbytes((size - len(head) - len(text) - 600) // 78 * 57)
    encoded = base64.b64encode(octets)
    lines = b"\r\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76))
    kind = b'application/pdf; name="report.pdf"\r\nContent-Disposition: attachment; filename="report.pdf"'
    whole = head + text + _part(boundary, kind, b"base64", lines) + b"--" + boundary + b"--\r\n"
    return _padded(whole, size)


def _header(content_type: bytes) -> bytes:
    return (
        b"Received: from mail.example.com (mail.example.com [192.0.2.25])\r\n"
        b"\tby relay.example.net (Postfix) with ESMTPS id 4F" + _TOKEN + b"\r\n"
        b"\tfor <reader@example.org>; Mon, 23 Nov 2026 09:00:02 +0000 (UTC)\r\n"
        b"Received: from [198.51.100.20] by mail.example.com with ESMTPSA;\r\n"
        b"\tMon, 23 Nov 2026 09:00:01 +0000\r\n"
        b"Message-ID: <" + _TOKEN + b"@mail.example.com>\r\n"
        b"Date: Mon, 23 Nov 2026 09:00:00 +0000\r\n"
        b'From: "Anna Field" <' + _SENDER + b">\r\n"
        b'To: "A Reader" <reader@example.org>\r\n'
        b"Subject: What was said on Monday, and the open points\r\n"
        b"User-Agent: Mozilla Thunderbird\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: " + content_type + b"\r\n"
    )


def _part(boundary: bytes, content_type: bytes, encoding: bytes, body: bytes) -> bytes:
    return (
        b"--" + boundary + b"\r\nContent-Type: " + content_type + b"\r\n"
        b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body + b"\r\n"
    )


def _prose(draw: random.Random, size: int) -> bytes:
    """About `size` octets of words in lines of at most 72, some of them blank."""
    lines, line, length = [], "", 0
    while length < size:
        word = "".join(draw.choice("bcdfgklmnprstv") + draw.choice("aeiou") for _ in range(draw.randint(1, 4)))
        if len(line) + len(word) > 70:
            lines.append(line)
            length += len(line) + 2
            line = ""
            if draw.random() < 0.1:
                lines.append("")
                length += 2
        line = f"{line} {word}" if line else word
    return "\r\n".join(lines).encode()[:size].rstrip()


def _padded(raw: bytes, size: int) -> bytes:
    """Fill up with lines of text to exactly `size` octets, counted with the holes filled."""
    room = size - len(raw)
    assert room >= 4
    fill = b"".join(b"-" * 68 + b"\r\n" for _ in range(room // 70))
    rest = room - len(fill)
    if rest < 2:
        fill, rest = fill[:-70], rest + 70
    return raw + fill + b"-" * (rest - 2) + b"\r\n"
