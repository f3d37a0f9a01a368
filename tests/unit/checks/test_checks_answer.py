"""Findings as other programs write them, and the HTTP service that answers with them."""

import asyncio
import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from mpp.checks.scanners import http_service
from mpp.checks.scanners.answer import read_answer
from mpp.checks.scanners.http_service import HttpCheck
from mpp.checks.scanners.kinds import Http
from mpp.checks.scanners.scanner import Tools
from mpp.mail.message import Message
from mpp.protocols.errors import RemoteProtocolError
from mpp.verdict.finding import SCANNER_FAILED, SPAM_SCANNED, TOO_LARGE, VIRUS_SCANNED, Finding, Verdict
from mpp.verdict.transaction import Transaction
from servers.scripted import Serve, Served
from servers.transactions import a_transaction

RAW = (
    b"Subject: hi\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"
    b"Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--b--\r\n"
)
FINDING = {"symbol": "S"}


def test_all_that_a_finding_can_say() -> None:
    whole = {"symbol": "S", "score": -1, "class": "virus", "text": "t", "evidence": "e"}
    answer = {"id": "i", "scanned": ["virus"], "findings": [whole, FINDING]}
    assert read_answer(json.dumps(answer).encode(), "c", "i") == [
        Finding("c", VIRUS_SCANNED),
        Finding("c", "S", -1.0, "t", "e", Verdict.VIRUS),
        Finding("c", "S"),
    ]


@pytest.mark.parametrize(("name", "verdict"), [(verdict.value, verdict) for verdict in (Verdict.BANNED, Verdict.UNCHECKED, Verdict.SPAM)])  # fmt: skip
def test_classes(name: str, verdict: Verdict) -> None:
    answer = {"findings": [FINDING | {"class": name}]}
    assert read_answer(json.dumps(answer).encode(), "c", "i")[1].verdict is verdict


def test_outside_text_is_cleaned() -> None:
    answer = {"findings": [{"symbol": "\x1b[31m", "text": "\x1b" * 999, "evidence": "a\nb"}]}
    finding = read_answer(json.dumps(answer).encode(), "c", "i")[1]
    assert (finding.symbol + finding.text + finding.evidence).isprintable()


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        ([], "no JSON object"),
        ({}, "no list"),
        ({"findings": {}}, "no list"),
        ({"findings": [FINDING] * 501}, "no list of at most 500"),
        ({"id": "j", "findings": []}, "another message"),
        ({"error": "broken\x1b", "findings": []}, r"it says: broken\\x1b"),
        ({"findings": [], "scanned": ["x"]}, "scanned"),
        ({"findings": [], "scanned": 3}, "scanned"),
        ({"findings": [3]}, "a finding has"),
        ({"findings": [{}]}, "without a symbol"),
        ({"findings": [FINDING | {"verdict": "virus"}]}, "a finding has"),
        ({"findings": [{"symbol": "scanner-failed"}]}, "without a symbol of its own"),
        ({"findings": [{"symbol": 3}]}, "symbol is no text"),
        ({"findings": [FINDING | {"score": "1"}]}, "no number"),
        ({"findings": [FINDING | {"score": True}]}, "no number"),
        (b'{"findings": [{"symbol": "S", "score": NaN}]}', "no number"),
        (b'{"findings": [{"symbol": "S", "score": 1e999}]}', "no number"),
        ({"findings": [FINDING | {"score": 10**400}]}, "no number"),
        ({"findings": [FINDING | {"class": "clean"}]}, "a class that is none of"),
        ({"findings": [FINDING | {"text": None}]}, "text is no text"),
    ],
)
def test_what_is_refused(answer: object, cause: str) -> None:
    with pytest.raises(RemoteProtocolError, match=cause):
        read_answer(answer if isinstance(answer, bytes) else json.dumps(answer).encode(), "c", "i")


class Service:
    def __init__(self, answer: object = None, status: str = "200 OK") -> None:
        self.answer = json.dumps(answer or {"findings": [FINDING]}).encode()
        self.status = status
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            self.bodies.append(
                await reader.readexactly(int(self.heads[-1].partition("Content-Length: ")[2].split("\r\n")[0]))
            )
            head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.answer)}\r\n\r\n"
            writer.write(head.encode() + self.answer)


def check(served: Served, **more: Any) -> HttpCheck:
    return HttpCheck(Http(name="h", kind="http", servers=(served.address,), **more), Tools())


async def test_the_message_and_its_envelope(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    service = Service()
    http = check(await serve(service), path="/scan?x=1", host="svc.example", token_file=tmp_path / "token")
    transaction = a_transaction("a@example.com", "b@example.com", reverse_path="s\r\nX: y@example.org")
    for _ in range(2):
        assert await http.examine(Message(RAW), transaction) == [Finding("h", SPAM_SCANNED), Finding("h", "S")]
    assert service.bodies == [RAW, RAW]
    lines = service.heads[0].split("\r\n")
    assert lines[0] == "POST /scan?x=1 HTTP/1.1"
    for line in (
        "Host: svc.example",
        "Content-Type: message/rfc822",
        "Authorization: Bearer secret",
        "MPP-Id: id1",
        'MPP-From: "s\\r\\nX: y@example.org"',
        'MPP-Recipients: ["a@example.com", "b@example.com"]',
        "MPP-Direction: inbound",
    ):
        assert line in lines


async def test_digests_alone(serve: Serve) -> None:
    service = Service()
    await check(await serve(service), send="digests").examine(Message(RAW), a_transaction())
    told = json.loads(service.bodies[0])
    assert (told["id"], told["size"], told["recipients"]) == ("id1", len(RAW), ["r@example.com"])
    assert told["sha256"] == hashlib.sha256(RAW).hexdigest()
    assert told["parts"][1] == {
        "path": "2",
        "type": "application/pdf",
        "name": "a.pdf",
        "size": 3,
        "sha256": hashlib.sha256(b"ABC").hexdigest(),
    }
    assert b"hello" not in service.bodies[0]


@pytest.mark.parametrize(("octets", "apart"), [(1000, False), (200_000, True)])
async def test_digests_of_a_large_message_do_not_hold_up_the_loop(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, octets: int, apart: bool
) -> None:
    threads: list[threading.Thread] = []
    as_it_is = http_service.digests

    def noted(message: Message, transaction: Transaction) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return as_it_is(message, transaction)

    monkeypatch.setattr(http_service, "digests", noted)
    raw = RAW.replace(b"hello", b"y" * octets)
    await check(await serve(Service()), send="digests").examine(Message(raw), a_transaction())
    assert [each is not threading.main_thread() for each in threads] == [apart]


@pytest.mark.parametrize(
    ("service", "cause"),
    [
        (Service(status="500 Oh no"), "the service says 500 Oh no"),
        (Service({"id": "other", "findings": []}), "an answer to another message"),
        (Service({"error": "no licence"}), "it says: no licence"),
    ],
)
async def test_failures(serve: Serve, service: Service, cause: str) -> None:
    (finding,) = await check(await serve(service)).examine(Message(RAW), a_transaction())
    assert finding.symbol == SCANNER_FAILED
    assert cause in finding.evidence


async def test_too_large(serve: Serve) -> None:
    (finding,) = await check(await serve(Service()), max_size=1024).examine(Message(RAW * 9), a_transaction())
    assert finding.symbol == TOO_LARGE
