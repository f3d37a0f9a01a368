"""What spamd gets of a large message: all text, valid structure, and of attachments the beginning."""

import asyncio
import base64
import email
import email.policy
from pathlib import Path

import pytest

from mpp.checks.scanners.kinds import Spamd
from mpp.checks.scanners.scanner import Tools
from mpp.checks.scanners.shorten import KEPT, LARGE, shortened
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.verdict.finding import SPAM_SCANNED, TOO_LARGE
from mpp.verdict.transaction import Transaction
from servers.scripted import Serve, read_spamd, spamd_answer

TEXT = b"Hello.\r\n" * 20_000  # 160 KB of text is text


def mail(*parts: tuple[str, str, bytes]) -> bytes:
    lines = [b'Subject: x\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n']
    for kind, encoding, body in parts:
        head = f"--b\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        lines.append(head.encode() + body + b"\r\n")
    return b"".join([*lines, b"--b--\r\n"])


def encoded(size: int) -> bytes:
    return base64.encodebytes(bytes(range(256)) * (size // 256)).replace(b"\n", b"\r\n")


def test_texts_stay_and_attachments_keep_their_beginning() -> None:
    raw = mail(
        ("text/plain", "7bit", TEXT),
        ("application/pdf", "base64", encoded(1 << 20)),
        ("text/html; name=page.html", "7bit", b"<p>" + TEXT),
        ("image/png", "base64", encoded(4 << 10)),
    )
    short = b"".join(shortened(Message(raw)))
    before, after = (email.message_from_bytes(each, policy=email.policy.default) for each in (raw, short))
    assert [part.get_content_type() for part in after.walk()] == [part.get_content_type() for part in before.walk()]
    assert not any(part.defects for part in after.walk())
    for number in (0, 2, 3):
        assert list(after.iter_parts())[number].get_content() == list(before.iter_parts())[number].get_content()
    pdf = list(after.iter_parts())[1].get_content()
    assert pdf == (bytes(range(256)) * 20)[: len(pdf)]
    assert KEPT * 0.6 < len(pdf) < KEPT
    assert len(raw) - len(short) > 1 << 20


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Subject: x\r\n\r\n" + TEXT,
        mail(("application/pdf", "base64", encoded(LARGE // 2))),
        mail(("message/rfc822", "base64", encoded(1 << 20))),
    ],
)
def test_what_is_left_as_it_is(raw: bytes) -> None:
    assert b"".join(shortened(Message(raw))) == raw


def test_an_attachment_within_a_message_within_is_one_too() -> None:
    inner = mail(("application/zip", "base64", encoded(1 << 20)))
    raw = mail(("message/rfc822", "7bit", inner))
    assert len(b"".join(shortened(Message(raw)))) < 10_000


def test_one_line_without_end_leaves_nothing() -> None:
    raw = mail(("application/x-y", "binary", b"A" * 100_000))
    assert b"".join(shortened(Message(raw))) == raw.replace(b"A" * 100_000, b"")


@pytest.mark.corpus
def test_every_mail_of_the_corpora_keeps_its_parts(corpora: Path) -> None:
    for file in sorted(corpora.rglob("*.eml"))[:2000]:
        message = Message(file.read_bytes())
        after = Message(b"".join(shortened(message)))
        assert [(part.path, part.type, part.name) for part in after.leaves()] == [
            (part.path, part.type, part.name) for part in message.leaves()
        ], file.name


TRANSACTION = Transaction(
    id="id1",
    envelope=Envelope("s@example.org", (Recipient("r@example.com"),)),
    client=Client("192.0.2.7"),
    message=None,
    size=1,
    listener="edge",
    stage="edge",
    direction="inbound",
    trusted=False,
    ours=frozenset(),
    policies={},
    hostname="mx.example.com",
)
LARGE_MAIL = mail(("text/plain", "7bit", b"Hi\r\n"), ("application/pdf", "base64", encoded(800 << 10)))


@pytest.mark.parametrize(
    ("settings", "raw", "octets"),
    [
        ({}, LARGE_MAIL, range(4000, 8000)),
        ({"shorten": "always", "max_size": 2 << 20}, LARGE_MAIL, range(4000, 8000)),
        ({"max_size": 2 << 20}, LARGE_MAIL, range(1_000_000, 2_000_000)),
        ({"shorten": "never"}, LARGE_MAIL, None),
        ({}, b"Subject: x\r\n\r\n" + TEXT * 4, None),
    ],
)
async def test_when_it_is_done_is_a_setting(
    serve: Serve, settings: dict[str, object], raw: bytes, octets: range | None
) -> None:
    seen: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(len((await read_spamd(reader))[1]))
        writer.write(spamd_answer("0.0", b""))

    served = await serve(handler)
    check = Spamd(name="sa", kind="spamd", servers=(served.address,), **settings).check(Tools())
    findings = await check.examine(Message(raw), TRANSACTION)
    if octets is None:
        assert [each.symbol for each in findings] == [TOO_LARGE]
        assert not seen
    else:
        assert [each.symbol for each in findings] == [SPAM_SCANNED]
        assert seen[0] in octets
        assert bool(findings[0].evidence) == (seen[0] < len(raw))
