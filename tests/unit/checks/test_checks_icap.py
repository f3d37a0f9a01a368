"""What is shown to an ICAP service and what is made of its answers."""

import asyncio
from typing import Any

import pytest

from mpp.checks.scanners.icap import IcapCheck
from mpp.checks.scanners.kinds import Icap
from mpp.checks.scanners.scanner import Tools
from mpp.mail.message import Message
from mpp.verdict.finding import SCANNER_FAILED, TOO_LARGE, VIRUS_SCANNED, Finding, Verdict
from servers.scripted import Handler, Serve, Served
from servers.transactions import a_transaction

RAW = b"Subject: hi\r\n\r\nhello\r\n"
CLEAN = b"ICAP/1.0 204 Unmodified\r\n\r\n"
OPTIONS = "ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nISTag: {tag}\r\n{more}Encapsulated: null-body=0\r\n\r\n"


def with_content(content: bytes, fields: str = "", http: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> bytes:
    head = f"ICAP/1.0 200 OK\r\n{fields}Encapsulated: res-hdr=0, res-body={len(http)}\r\n\r\n".encode()
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(content[n : n + 7]), content[n : n + 7]) for n in range(0, len(content), 7)
    )
    return head + http + chunks + b"0\r\n\r\n"


async def read_body(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """Chunks to the last one, and whether it said that there is nothing behind it."""
    body = b""
    while line := await reader.readuntil(b"\r\n"):
        size, _, extension = line.strip().partition(b";")
        if not int(size, 16):
            await reader.readuntil(b"\r\n")
            return body, extension.strip() == b"ieof"
        body += await reader.readexactly(int(size, 16))
        await reader.readuntil(b"\r\n")
    raise AssertionError


class Service:
    """An ICAP service that keeps what it was shown and answers `answer` to it."""

    def __init__(self, answer: bytes, more: str = "", tag: str = "t1") -> None:
        self.answer, self.more, self.tag = answer, more, tag
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.asked = 0  # for OPTIONS

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("OPTIONS"):
                self.asked += 1
                writer.write(OPTIONS.format(tag=self.tag, more=self.more).encode())
                continue
            self.heads.append(head)
            await reader.readexactly(int(head.rpartition("-body=")[2].split()[0]))
            body, whole = await read_body(reader)
            if "\r\nPreview:" in head and not whole:
                assert len(body) == int(head.partition("\r\nPreview: ")[2].split()[0])
                writer.write(b"ICAP/1.0 100 Continue\r\n\r\n")
                body += (await read_body(reader))[0]
            self.bodies.append(body)
            writer.write(self.answer)


def check(served: Served, **more: Any) -> IcapCheck:
    return IcapCheck(Icap(name="ic", kind="icap", servers=(served.address,), service="/av", **more), Tools())


async def found(serve: Serve, answer: bytes, raw: bytes = RAW, **more: Any) -> list[Finding]:
    handler: Handler = Service(answer)
    return await check(await serve(handler), **more).examine(Message(raw), a_transaction())


async def test_unmodified_is_clean(serve: Serve) -> None:
    assert await found(serve, CLEAN) == [Finding("ic", VIRUS_SCANNED)]


@pytest.mark.parametrize("method", ["RESPMOD", "REQMOD"])
@pytest.mark.parametrize(
    ("more", "size", "preview"),
    [("", 100, None), ("Preview: 10\r\n", 0, 10), ("Preview: 10\r\n", 5, 10), ("Preview: 10\r\n", 10, 10),
     ("Preview: 10\r\n", 11, 10), ("Preview: 0\r\n", 100, 0), ("Preview: 4096\r\nAllow: 204\r\n", 300_000, 4096),
     ("Preview: 10\r\nAllow: 204\r\n", 8192, None), ("", 700_000, None), ("Allow: 204\r\n", 0, None)],
)  # fmt: skip
async def test_the_message_arrives_whole(serve: Serve, method: str, more: str, size: int, preview: int | None) -> None:
    service = Service(CLEAN, f"Methods: RESPMOD, REQMOD\r\n{more}")
    raw = b"x" * size
    icap = check(await serve(service), method=method)
    for _ in range(2):
        assert await icap.examine(Message(raw), a_transaction()) == [Finding("ic", VIRUS_SCANNED)]
    assert service.bodies == [raw, raw]
    assert service.asked == 1
    head = service.heads[0]
    assert head.startswith(f"{method} icap://127.0.0.1:")
    assert (f"\r\nPreview: {preview}\r\n" in head) is (preview is not None)
    assert ("\r\nAllow: 204\r\n" in head) is ("Allow" in more)
    assert "\r\nX-Client-IP: 192.0.2.7\r\n" in head


async def test_what_a_service_lacks_is_not_used(serve: Serve) -> None:
    service = Service(CLEAN, "Preview: 10\r\n")
    await check(await serve(service), preview=False, tell_client=False).examine(Message(RAW), a_transaction())
    assert not any(field in service.heads[0] for field in ("Preview", "Allow", "X-Client-IP"))


@pytest.mark.parametrize(
    ("fields", "symbol", "verdict", "score"),
    [
        ("X-Infection-Found: Type=0; Resolution=2; Threat=Eicar;\r\n", "Eicar", Verdict.VIRUS, 0),
        ("X-Infection-Found: Type=2; Resolution=0; Threat=Zip of zips;\r\n", "Zip of zips", Verdict.UNCHECKED, 0),
        ("X-Virus-ID: W32/Bad\r\n", "W32/Bad", Verdict.VIRUS, 0),
        ("X-Violations-Found: 1\r\n\t-\r\n\tBad\r\n\t0\r\n\t0\r\n", "1 - Bad 0 0", Verdict.VIRUS, 0),
        ("X-Virus-ID: Heuristics.Encrypted.Zip\r\n", "Heuristics.Encrypted.Zip", Verdict.UNCHECKED, 0),
        ("X-Virus-ID: PUA.Thing\r\n", "PUA.Thing", None, 5),
        ("X-Virus-ID: a\r\nX-Infection-Found: Type=0; Resolution=1; Threat=b;\r\n", "b", Verdict.VIRUS, 0),
    ],
)
async def test_fields_that_name_a_threat(
    serve: Serve, fields: str, symbol: str, verdict: Verdict | None, score: float
) -> None:
    for answer in (
        with_content(b"<html>", fields),
        with_content(RAW, fields),
        f"ICAP/1.0 204 x\r\n{fields}\r\n".encode(),
    ):
        note, threat = await found(serve, answer)
        assert note.symbol == VIRUS_SCANNED
        assert (threat.symbol, threat.verdict, threat.score) == (symbol, verdict, score)
        assert threat.evidence.isprintable()


@pytest.mark.parametrize(
    ("unmarked", "same", "changed"),
    [
        ("compare", None, Verdict.VIRUS),
        ("clean", None, None),
        ("virus", Verdict.VIRUS, Verdict.VIRUS),
        ("unchecked", Verdict.UNCHECKED, Verdict.UNCHECKED),
    ],
)
async def test_what_content_without_a_threat_means_is_a_setting(
    serve: Serve, unmarked: str, same: Verdict | None, changed: Verdict | None
) -> None:
    contents = [(RAW, same), (RAW + b"x", changed), (RAW[:-1], changed), (b"", changed), (b"<html>" * 999, changed)]
    for content, wanted in contents:
        findings = await found(serve, with_content(content, http=b"HTTP/1.1 403 No\r\n\r\n"), unmarked=unmarked)
        assert [each.verdict for each in findings[1:]] == ([wanted] if wanted else [])


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"ICAP/1.0 404 Service not found\r\n\r\n", "404 Service not found"),
        (b"ICAP/1.0 500 Server error\r\n\r\n", "500 Server error"),
        (b"ICAP/1.0 206 Partial\r\n\r\n", "206 Partial"),
        (CLEAN + CLEAN, "without a request"),
        (with_content(b"x" * (3 << 20)), "gives back more than"),
    ],
)
async def test_answers_that_are_failures(serve: Serve, answer: bytes, cause: str) -> None:
    (finding,) = await found(serve, answer)
    assert finding.symbol == SCANNER_FAILED
    assert cause in finding.evidence


async def test_a_service_without_the_method(serve: Serve) -> None:
    (finding,) = await found(serve, CLEAN, method="REQMOD")
    assert "has no REQMOD, but RESPMOD" in finding.evidence


async def test_a_new_tag_has_it_asked_again(serve: Serve) -> None:
    service = Service(b"ICAP/1.0 204 x\r\nISTag: t2\r\n\r\n")
    icap = check(await serve(service))
    for _ in range(3):
        await icap.examine(Message(RAW), a_transaction())
    assert service.asked == 3
    service.tag = "t2"
    for _ in range(3):
        await icap.examine(Message(RAW), a_transaction())
    assert service.asked == 4


async def test_too_large(serve: Serve) -> None:
    (finding,) = await found(serve, CLEAN, RAW * 100, max_size=1024)
    assert finding.symbol == TOO_LARGE
