"""The scanner adapters against a real spamd and a real clamd."""

import asyncio
import base64
import re
import time
from functools import partial
from pathlib import Path

import pytest

from mpp.checks.layers.judge import Check, Layers
from mpp.checks.scanners.build import scanners
from mpp.checks.scanners.kinds import Spamd
from mpp.checks.scanners.learning import learn
from mpp.checks.scanners.scanner import Tools
from mpp.checks.scanners.spamd import exchange
from mpp.checks.scanners.spamd_host import described
from mpp.gateway.settings import Settings
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.net.connect import connect, server_of
from mpp.protocols.spamd import Request
from mpp.verdict.finding import NOT_ASKED, SPAM_SCANNED, VIRUS_SCANNED, Finding, Verdict
from mpp.verdict.transaction import Transaction

HEADER = (
    b"From: Ann <ann@example.org>\r\nTo: Bob <bob@example.com>\r\nSubject: Lunch\r\n"
    b"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <20260105100000.4711@example.org>\r\n\r\n"
)
HAM = HEADER + b"Shall we meet at noon? The place at the corner has a table for us.\r\n"
GTUBE = HEADER + b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
TRANSACTION = Transaction(
    id="id1",
    envelope=Envelope("ann@example.org", (Recipient("bob@example.com"), Recipient("eve@example.net"))),
    client=Client("198.51.100.7", 25, "mail.example.org", "mail.example.org", "ESMTPS", "TLSv1.3 X"),
    message=None,
    size=len(HAM),
    listener="edge",
    stage="edge",
    direction="inbound",
    trusted=False,
    ours=frozenset({"bob@example.com"}),
    policies={},
    hostname="mx.example.com",
)


def check(kind: str, server: str, **more: object) -> Check:
    settings = Settings.model_validate({"scanners": [{"name": kind, "kind": kind, "servers": [server], **more}]})
    return scanners(settings.scanners, Tools())[0]


async def found(checks: list[Check], raw: bytes) -> list[Finding]:
    return (await Layers(checks).judge(Message(raw), TRANSACTION, 45)).findings


async def test_spamd_names_its_points(spamd: str) -> None:
    findings = await found([check("spamd", spamd)], GTUBE)
    assert findings[0].symbol == SPAM_SCANNED
    gtube = next(finding for finding in findings if finding.symbol == "GTUBE")
    assert gtube.score == pytest.approx(1000, abs=1)
    assert "Unsolicited" in gtube.text


async def test_spamd_sees_the_last_hop_and_the_reverse_path(spamd: str) -> None:
    symbols = {finding.symbol for finding in await found([check("spamd", spamd)], HAM)}
    assert SPAM_SCANNED in symbols
    assert not symbols & {"NO_RELAYS", "NO_RECEIVED", "ALL_TRUSTED", "UNPARSEABLE_RELAY", "SPAMD_SCORE"}
    foreign = HAM.replace(b"ann@example.org>\r\nTo", b"ann@elsewhere.example>\r\nTo")
    symbols = {finding.symbol for finding in await found([check("spamd", spamd)], foreign)}
    assert "HEADER_FROM_DIFFERENT_DOMAINS" in symbols


async def test_an_envelope_field_that_the_sender_wrote_does_not_count(spamd: str) -> None:
    forged = b"X-Envelope-From: <ann@elsewhere.example>\r\n" + HAM
    symbols = {finding.symbol for finding in await found([check("spamd", spamd)], forged)}
    assert SPAM_SCANNED in symbols
    assert "HEADER_FROM_DIFFERENT_DOMAINS" not in symbols


async def test_spamd_is_asked_for_each_domain(spamd: str) -> None:
    findings = await found([check("spamd", spamd, user="domain")], HAM)
    asked = {finding.recipients for finding in findings if finding.symbol == SPAM_SCANNED}
    assert asked == {frozenset({"bob@example.com"}), frozenset({"eve@example.net"})}


@pytest.mark.parametrize("raw", [b"", b"\0", b"\r\n", HEADER, b"\xff" * 100_000, b"x: " + b"y" * 300_000])
async def test_both_answer_to_any_octets(spamd: str, clamd: str, raw: bytes) -> None:
    findings = await found([check("clamd", clamd), check("spamd", spamd)], raw)
    assert [finding for finding in findings if finding.failure] == []
    assert {VIRUS_SCANNED, SPAM_SCANNED} <= {finding.symbol for finding in findings}


async def test_clamd_finds_eicar_and_later_layers_are_spared(spamd: str, clamd: str) -> None:
    findings = await found([check("spamd", spamd), check("clamd", clamd)], EICAR)
    assert findings[0].symbol == VIRUS_SCANNED
    assert findings[1].verdict is Verdict.VIRUS
    assert "Eicar" in findings[1].symbol
    assert [each.symbol for each in findings[2:]] == [NOT_ASKED]


async def test_clamd_over_a_unix_socket_many_at_a_time(clamd: str, clamd_socket: Path) -> None:
    av = check("clamd", f"unix:{clamd_socket}", connections=3)
    results = await asyncio.gather(*(found([av], (EICAR, HAM, bytes(1 << 20))[n % 3]) for n in range(30)))
    assert [any(each.verdict for each in findings) for findings in results] == [n % 3 == 0 for n in range(30)]
    assert not any(each.failure for findings in results for each in findings)


async def test_spamd_learns_once_and_forgets(spamd: str) -> None:
    pool = Spamd(name="spamd", kind="spamd", servers=(spamd,))
    raw = HAM.replace(b"4711", b"0815")
    lessons = [await learn(pool, raw, lesson) for lesson in ("spam", "spam", "forget", "forget", "ham", "forget")]
    assert [each.cause for (each,) in lessons] == [""] * 6
    assert [each.changed for (each,) in lessons] == [True, False, True, False, True, True]


async def test_spamd_finds_the_same_in_a_message_without_its_attachments(spamd: str) -> None:
    parts = HAM.replace(
        b"\r\n\r\n", b'\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\n', 1
    )
    pdf = base64.encodebytes(b"%PDF-1.4\n" + bytes(range(256)) * 1200).replace(b"\n", b"\r\n")
    head = b'\r\n--b\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    raw = parts + GTUBE[len(HEADER) :] + head + pdf + b"--b--\r\n"
    whole = await found([check("spamd", spamd, shorten="never")], raw)
    short = await found([check("spamd", spamd, shorten="always")], raw)
    assert [(each.symbol, each.score) for each in short] == [(each.symbol, each.score) for each in whole]
    assert "spamd got" in short[0].evidence


async def test_what_spamd_is(spamd: str) -> None:
    server = server_of(spamd)
    opened = partial(connect, server, asyncio.get_running_loop().time() + 10, None)
    reply = await exchange(opened, Request("HEADERS", len(HAM)), (HAM,))
    text, rules = described(reply.body, server)
    assert re.fullmatch(r"SpamAssassin 4\.\d+\.\d+, 2 children", text)
    assert rules is not None
    assert 1.5e9 < rules < time.time()
