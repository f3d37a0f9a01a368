"""What is told to rspamd and what is made of its answers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mpp.checks.scanners.kinds import Rspamd
from mpp.checks.scanners.learning import learn
from mpp.checks.scanners.rspamd import RspamdCheck
from mpp.checks.scanners.scanner import Tools
from mpp.mail.message import Message
from mpp.verdict.finding import SCANNER_FAILED, SPAM_SCANNED, TOO_LARGE, Finding, Verdict
from servers.scripted import Handler, Serve, Served
from servers.transactions import a_transaction

RAW = b"Subject: hi\r\n\r\nhello\r\n"
ANSWER: dict[str, Any] = {
    "score": 6.5,
    "required_score": 15.0,
    "action": "add header",
    "symbols": {
        "B": {"name": "B", "score": 7.0, "description": "Bad", "options": ["a", 1]},
        "A": {"name": "A", "score": -0.5},
    },
}


def http(body: object, status: str = "200 OK", more: bytes = b"") -> bytes:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status.encode(), len(octets), more, octets)


def answering(*answers: bytes, heads: list[bytes] | None = None, bodies: list[bytes] | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or 0)
            body = await reader.readexactly(length)
            if heads is not None:
                heads.append(head)
            if bodies is not None:
                bodies.append(body)
            writer.write(answer)

    return handler


def check(served: Served, **more: object) -> RspamdCheck:
    settings = Rspamd(name="rs", kind="rspamd", servers=(served.address,), **more)
    return RspamdCheck(settings, Tools())


async def found(serve: Serve, answer: object, **more: object) -> list[Finding]:
    served = await serve(answering(answer if isinstance(answer, bytes) else http(answer)))
    return await check(served, **more).examine(Message(RAW), a_transaction())


async def test_symbols_with_their_points_and_the_action(serve: Serve) -> None:
    note, *symbols, action = await found(serve, ANSWER)
    assert note == Finding("rs", SPAM_SCANNED)
    assert symbols == [Finding("rs", "A", -0.5), Finding("rs", "B", 7.0, "Bad", "a, 1")]
    assert (action.symbol, action.score, action.evidence) == ("RSPAMD_ACTION", 0, "add header")


async def test_the_total_is_what_rspamd_says(serve: Serve) -> None:
    findings = await found(serve, ANSWER | {"score": 15, "action": "no action"})
    assert [(each.symbol, each.score) for each in findings[1:]] == [("A", -0.5), ("B", 7.0), ("RSPAMD_SCORE", 8.5)]


@pytest.mark.parametrize(
    ("action", "more", "verdict", "refusal"),
    [
        ("reject", {}, None, ""),
        ("reject", {"on_reject": "spam"}, Verdict.SPAM, ""),
        ("soft reject", {}, None, ""),
        ("soft reject", {"on_soft_reject": "defer"}, None, "451 4.7.1 Please try again later"),
        ("greylist", {"on_soft_reject": "defer"}, None, "451 4.7.1 Please try again later"),
        ("add header", {"on_reject": "spam", "on_soft_reject": "defer"}, None, ""),
    ],
)
async def test_what_its_action_means_is_a_setting(
    serve: Serve, action: str, more: dict[str, str], verdict: Verdict | None, refusal: str
) -> None:
    finding = (await found(serve, ANSWER | {"action": action}, **more))[-1]
    assert (finding.symbol, finding.verdict, finding.refusal) == ("RSPAMD_ACTION", verdict, refusal)


async def test_all_of_the_envelope_is_told(serve: Serve) -> None:
    heads: list[bytes] = []
    bodies: list[bytes] = []
    served = await serve(answering(http(ANSWER), heads=heads, bodies=bodies))
    transaction = a_transaction("a@example.com", "b@example.com", reverse_path="s@example.org")
    await check(served, settings_id="strict").examine(Message(RAW), transaction)
    assert bodies == [RAW]
    assert heads[0].decode().split("\r\n")[:-2] == [
        "POST /checkv2 HTTP/1.1",
        "Host: rspamd",
        f"Content-Length: {len(RAW)}",
        "From: s@example.org",
        "Rcpt: a@example.com",
        "Rcpt: b@example.com",
        "Ip: 192.0.2.7",
        "Helo: helo.example.org",
        "Hostname: mail.example.org",
        "Queue-Id: id1",
        "MTA-Name: mx.example.com",
        "TLS-Version: TLSv1.3",
        "TLS-Cipher: TLS_AES_256_GCM_SHA384",
        "Settings-ID: strict",
        "Pass: all",
    ]


async def test_what_a_sender_writes_cannot_end_a_field(serve: Serve) -> None:
    heads: list[bytes] = []
    served = await serve(answering(http(ANSWER), heads=heads))
    findings = await check(served).examine(Message(RAW), a_transaction(reverse_path="a\r\nRcpt: x\0@b.example"))
    assert findings[0].symbol == SPAM_SCANNED
    assert heads[0].count(b"\r\nRcpt: ") == 1
    assert b"\0" not in heads[0]


async def test_a_connection_is_kept_where_rspamd_keeps_it(serve: Serve) -> None:
    served = await serve(answering(http(ANSWER), http(ANSWER), http(ANSWER)))
    rspamd = check(served)
    for _ in range(4):
        assert len(await rspamd.examine(Message(RAW), a_transaction())) == 4
    assert served.connections == 2  # the fourth found the first one closed, and began anew


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        {},
        ANSWER | {"score": "1"},
        ANSWER | {"score": True},
        ANSWER | {"symbols": [1]},
        ANSWER | {"symbols": {"A": None}},
        ANSWER | {"symbols": {"A": {"score": None}}},
        ANSWER | {"symbols": {"A": {"score": 1, "options": 3}}},
        b'{"score": NaN, "action": "no action", "symbols": {}}',
        b'{"score": 1e999, "action": "no action", "symbols": {}}',
        ANSWER | {"score": 10**400},
        ANSWER | {"symbols": {"A": {"score": 1e308}, "B": {"score": 1e308}}},
        {"error": "cannot"},
    ],
)
async def test_json_that_is_no_verdict_is_a_failure(serve: Serve, body: object) -> None:
    (finding,) = await found(serve, http(body))
    assert finding.symbol == SCANNER_FAILED
    assert "no verdict of rspamd" in finding.evidence


async def test_an_error_is_a_failure_and_named(serve: Serve) -> None:
    (finding,) = await found(serve, http(b"", "503 Busy"))
    assert "rspamd says 503 Busy" in finding.evidence


async def test_outside_text_is_cleaned_and_symbols_have_a_limit(serve: Serve) -> None:
    many = {f"S{number}\x1b[31m": {"score": 0.1, "description": "\x1b" * 99} for number in range(600)}
    findings = await found(serve, ANSWER | {"symbols": many, "score": 200, "action": "\x1b"})
    assert len(findings) == 503
    assert all(each.symbol.isprintable() and each.text.isprintable() and len(each.text) <= 510 for each in findings)
    assert sum(each.score for each in findings) == pytest.approx(200)


async def test_too_large(serve: Serve) -> None:
    served = await serve(answering(http(ANSWER)))
    (finding,) = await check(served, max_size=1024).examine(Message(RAW * 100), a_transaction())
    assert (finding.symbol, served.connections) == (TOO_LARGE, 0)


# Teaching


async def taught(serve: Serve, *answers: bytes, lesson: str = "spam", heads: list[bytes], password: Path) -> Any:
    servers = [await serve(answering(answer, heads=heads)) for answer in answers]
    pool = Rspamd(
        name="rs",
        kind="rspamd",
        servers=("127.0.0.1:1",),
        controllers=tuple(each.address for each in servers),
        password_file=password,
    )
    return await learn(pool, RAW, lesson)  # type: ignore[arg-type]


async def test_every_controller_is_taught(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    heads: list[bytes] = []
    answers = [
        http({"success": True}),
        http({"error": "<undef> has been already learned as ham, ignore it"}, "404 x"),
        http({"error": "Unauthorized"}, "401 Unauthorized"),
    ]
    learnt = await taught(serve, *answers, lesson="ham", heads=heads, password=tmp_path / "password")
    assert [(each.changed, each.cause) for each in learnt] == [
        (True, ""),
        (False, ""),
        (False, "rspamd says 401 Unauthorized; name the file with its password in password_file"),
    ]
    assert all(head.startswith(b"POST /learnham HTTP/1.1\r\n") and b"Password: secret\r\n" in head for head in heads)


@pytest.mark.parametrize(
    ("more", "lesson", "cause"),
    [({}, "spam", "add controllers"), ({"controllers": ("127.0.0.1:1",)}, "forget", "cannot forget")],
)
async def test_what_cannot_be_taught(more: dict[str, Any], lesson: Any, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        await learn(Rspamd(name="rs", kind="rspamd", servers=("127.0.0.1:1",), **more), RAW, lesson)
