"""The scanner adapters against servers of the test's own, which hang, die, lie or answer late."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from mpp.checks.scanners.build import scanners
from mpp.checks.scanners.clamd import ClamdCheck
from mpp.checks.scanners.kinds import Clamd, Spamd
from mpp.checks.scanners.scanner import Tools
from mpp.checks.scanners.spamd import SpamdCheck
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.net.tls import client_contexts
from mpp.settings.common import Tls
from mpp.verdict.finding import (
    SCANNER_FAILED,
    SPAM_SCANNED,
    TOO_LARGE,
    VIRUS_SCANNED,
    Finding,
    OnFailure,
    Verdict,
)
from mpp.verdict.transaction import Transaction
from servers.certificates import Certificates
from servers.scripted import (
    REPORT,
    Handler,
    Serve,
    Served,
    answering,
    closing,
    deaf,
    garbage,
    half,
    hanging,
    read_spamd,
    spamd_answer,
    trickling,
)

RAW = b"From: a@example.org\r\nSubject: hi\r\n\r\nhello\r\n"


def transaction(*recipients: str, reverse_path: str = "sender@example.org") -> Transaction:
    return Transaction(
        id="id1",
        envelope=Envelope(reverse_path, tuple(Recipient(each) for each in recipients or ("r@example.com",))),
        client=Client("192.0.2.7", 25, "mail.example.org", "mail.example.org", "ESMTP"),
        message=None,
        size=len(RAW),
        listener="edge",
        stage="edge",
        direction="inbound",
        trusted=False,
        ours=frozenset(),
        policies={},
        hostname="mx.example.com",
    )


async def read_clamd(reader: asyncio.StreamReader) -> bytes:
    """One message, without the session's beginning, which the caller has read."""
    assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
    data = b""
    while length := int.from_bytes(await reader.readexactly(4), "big"):
        data += await reader.readexactly(length)
    return data


def clamd_saying(*replies: bytes, seen: list[bytes] | None = None) -> Handler:
    """A clamd that gives one of the replies for each message of a session, then closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\0") == b"zIDSESSION\0"
        for number, reply in enumerate(replies, 1):
            data = await read_clamd(reader)
            if seen is not None:
                seen.append(data)
            writer.write(b"%d: %b\0" % (number, reply))

    return handler


def spamd(*servers: Served, **more: object) -> SpamdCheck:
    (check,) = scanners([Spamd(name="sa", kind="spamd", servers=tuple(s.address for s in servers), **more)], Tools())
    assert isinstance(check, SpamdCheck)
    return check


def clamd(*servers: Served, **more: object) -> ClamdCheck:
    (check,) = scanners([Clamd(name="av", kind="clamd", servers=tuple(s.address for s in servers), **more)], Tools())
    assert isinstance(check, ClamdCheck)
    return check


def brief(findings: list[Finding]) -> list[tuple[str, float]]:
    return [(finding.symbol, finding.score) for finding in findings]


@pytest.mark.parametrize("handler", [hanging, deaf, closing, garbage, half, trickling])
@pytest.mark.parametrize("make", [spamd, clamd])
async def test_a_faulty_scanner_is_a_finding_and_no_verdict(
    serve: Serve, make: Callable[..., SpamdCheck | ClamdCheck], handler: Handler
) -> None:
    served = await serve(handler)
    check = make(served, timeout=0.15)
    for size in (1, 200_000):
        (finding,) = await check.examine(Message(b"x" * size), transaction())
        assert finding.symbol == SCANNER_FAILED
        assert finding.verdict is None
        assert finding.failure is (OnFailure.DEFER if make is clamd else OnFailure.CONTINUE)
        assert served.address in finding.evidence
        assert "\x1b" not in finding.evidence


@pytest.mark.parametrize("make", [spamd, clamd])
async def test_nobody_listens(serve: Serve, make: Callable[..., SpamdCheck | ClamdCheck]) -> None:
    served = Served(hanging)
    served.address = "127.0.0.1:1"
    (finding,) = await make(served, on_failure="quarantine").examine(Message(RAW), transaction())
    assert finding.failure is OnFailure.QUARANTINE
    assert "127.0.0.1:1" in finding.evidence


async def test_another_server_takes_over(serve: Serve) -> None:
    bad, good = await serve(garbage), await serve(answering(spamd_answer()))
    check = spamd(bad, good)
    for _ in range(4):
        findings = await check.examine(Message(RAW), transaction())
        assert findings[0].symbol == SPAM_SCANNED
    assert bad.connections == 1


@pytest.mark.parametrize(("balance", "counts"), [("weighted", [2, 6]), ("round-robin", [4, 4])])
async def test_weights_have_a_say_where_the_balance_is_by_them(serve: Serve, balance: str, counts: list[int]) -> None:
    servers = [await serve(answering(spamd_answer())) for _ in range(2)]
    check = spamd(*servers, balance=balance, weights=(1, 3), connections=1)
    for _ in range(8):
        await check.examine(Message(RAW), transaction())
    assert [served.connections for served in servers] == counts


async def test_points_by_rule_from_the_last_table_alone(serve: Serve) -> None:
    findings = await spamd(await serve(answering(spamd_answer()))).examine(Message(RAW), transaction())
    assert brief(findings) == [(SPAM_SCANNED, 0.0), ("MISSING_DATE", 2.7), ("WRAPPED", -0.1)]
    assert findings[2].text == "A description that is wrapped [URIs: x.example]"


@pytest.mark.parametrize(
    ("score", "report", "wanted"),
    [
        ("2.64", REPORT, [("MISSING_DATE", 2.74), ("WRAPPED", -0.1)]),
        ("9.0", REPORT, [("MISSING_DATE", 2.7), ("WRAPPED", -0.1), ("SPAMD_SCORE", 6.4)]),
        ("3.5", b"no table", [("SPAMD_SCORE", 3.5)]),
        ("0.0", b"", []),
    ],
)
async def test_the_total_is_what_spamd_says(
    serve: Serve, score: str, report: bytes, wanted: list[tuple[str, float]]
) -> None:
    findings = await spamd(await serve(answering(spamd_answer(score, report)))).examine(Message(RAW), transaction())
    assert brief(findings) == [(SPAM_SCANNED, 0.0), *wanted]


async def test_spamd_errors_are_failures(serve: Serve) -> None:
    served = await serve(answering(b"SPAMD/1.0 79 Timeout: too slow\r\n"))
    (finding,) = await spamd(served).examine(Message(RAW), transaction())
    assert "EX_TIMEOUT" in finding.evidence


async def test_spamd_is_told_the_last_hop_and_gets_the_message_as_it_came(serve: Serve) -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, data = await read_spamd(reader)
        assert "User:" not in head
        seen.append(data)
        writer.write(spamd_answer())

    await spamd(await serve(handler)).examine(Message(RAW), transaction(reverse_path=""))
    (data,) = seen
    assert data.endswith(RAW)
    top = data[: -len(RAW)].decode()
    assert top.startswith("Return-Path: <>\r\nReceived: from mail.example.org")
    assert "[192.0.2.7]" in top
    assert "\r\n\t(envelope-from <>);" in top
    assert all(line.startswith(("Return-Path", "Received", "\t")) for line in top.split("\r\n")[:-1])


async def test_spamd_gets_a_last_line_end_where_there_was_none(serve: Serve) -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await read_spamd(reader))[1])
        writer.write(spamd_answer())

    check = spamd(await serve(handler))
    for raw in (b"no end", b"an end\n"):
        await check.examine(Message(raw), transaction())
    assert seen[0].endswith(b"\r\nno end\r\n")
    assert seen[1].endswith(b"\r\nan end\n")


@pytest.mark.parametrize(
    ("settings", "users"),
    [
        ({"user": "none"}, {"": set()}),
        ({"user": "fixed", "user_name": "mail"}, {"mail": set()}),
        (
            {"user": "recipient"},
            {"a@x.example": {"a@X.example"}, "b@x.example": {"b@x.example"}, "c@y.example": {"c@y.example"}},
        ),
        ({"user": "domain"}, {"x.example": {"a@X.example", "b@x.example"}, "y.example": {"c@y.example"}}),
    ],
)
async def test_each_distinct_user_is_asked_for_once(
    serve: Serve, settings: dict[str, str], users: dict[str, set[str]]
) -> None:
    asked: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_spamd(reader)
        asked.append(head.partition("User: ")[2].partition("\r\n")[0])
        writer.write(spamd_answer("1.0", b""))

    check = spamd(await serve(handler), connections=2, **settings)
    findings = await check.examine(Message(RAW), transaction("a@X.example", "b@x.example", "c@y.example"))
    assert sorted(asked) == sorted(users)
    scored = [finding.recipients for finding in findings if finding.symbol == "SPAMD_SCORE"]
    assert sorted(map(sorted, scored)) == sorted(map(sorted, users.values()))


async def test_one_user_of_two_without_an_answer(serve: Serve) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_spamd(reader)
        writer.write(b"SPAMD/1.0 70 no\r\n" if "bad.example" in head else spamd_answer("1.0", b""))

    check = spamd(await serve(handler), user="domain")
    findings = await check.examine(Message(RAW), transaction("a@good.example", "a@bad.example"))
    failed = [finding for finding in findings if finding.failure]
    assert [finding.recipients for finding in failed] == [frozenset({"a@bad.example"})]


async def test_clamd_sessions_are_kept_and_each_message_arrives_whole(serve: Serve) -> None:
    seen: list[bytes] = []
    served = await serve(clamd_saying(b"stream: OK", b"stream: OK", b"stream: Eicar FOUND", seen=seen))
    check = clamd(served)
    messages = [b"", b"small\r\n", bytes(range(256)) * 4000]
    findings = [await check.examine(Message(raw), transaction()) for raw in messages]
    assert seen == messages
    assert served.connections == 1
    assert [brief(each) for each in findings[:2]] == [[(VIRUS_SCANNED, 0.0)]] * 2
    assert findings[2][1].verdict is Verdict.VIRUS


@pytest.mark.parametrize("order", [(b"OK", b"Eicar FOUND"), (b"Eicar FOUND", b"OK")])
async def test_a_clamd_that_says_clean_and_found_at_once_is_not_believed(
    serve: Serve, order: tuple[bytes, bytes]
) -> None:
    """It passed as clean once."""
    served = await serve(clamd_saying(b"stream: %b\x001: stream: %b" % order))
    (finding,) = await clamd(served).examine(Message(RAW), transaction())
    assert (finding.symbol, finding.failure) == (SCANNER_FAILED, OnFailure.DEFER)


async def test_a_kept_session_that_was_closed_is_no_failure(serve: Serve) -> None:
    served = await serve(clamd_saying(b"stream: OK"))
    check = clamd(served)
    for _ in range(3):
        assert brief(await check.examine(Message(RAW), transaction())) == [(VIRUS_SCANNED, 0.0)]
    assert served.connections == 3
    assert check.pool.state()[0].failures == 0


async def test_a_cancelled_scan_closes_its_session(serve: Serve) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        begun.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()

    check = clamd(await serve(handler))
    task = asyncio.create_task(check.examine(Message(RAW), transaction()))
    await begun.wait()
    task.cancel()
    await asyncio.wait_for(ended.wait(), 5)
    assert check.pool.state()[0].in_use == 0


@pytest.mark.parametrize(
    ("name", "verdict", "score"),
    [
        ("Eicar-Test-Signature", Verdict.VIRUS, 0.0),
        ("Win.Trojan.PUA.Fake", Verdict.VIRUS, 0.0),
        ("Heuristics.Encrypted.Zip", Verdict.UNCHECKED, 0.0),
        ("Heuristics.Limits.Exceeded.MaxFileSize", Verdict.UNCHECKED, 0.0),
        ("PUA.Win.Packer.X", None, 5.0),
        ("Heuristics.Phishing.Email.SpoofedDomain", None, 5.0),
        ("Sanesecurity.Junk.1.UNOFFICIAL", None, 5.0),
    ],
)
async def test_names_are_classed(serve: Serve, name: str, verdict: Verdict | None, score: float) -> None:
    served = await serve(clamd_saying(b"stream: %b FOUND" % name.encode()))
    findings = await clamd(served).examine(Message(RAW), transaction())
    assert [(each.symbol, each.verdict, each.score) for each in findings] == [
        (VIRUS_SCANNED, None, 0.0),
        (name, verdict, score),
    ]


async def test_names_are_classed_by_settings(serve: Serve) -> None:
    served = await serve(clamd_saying(b"stream: PUA.X FOUND"))
    findings = await clamd(served, spam_signatures=(), unchecked_signatures=()).examine(Message(RAW), transaction())
    assert findings[1].verdict is Verdict.VIRUS


async def test_clamds_own_limit_is_told_while_we_still_send(serve: Serve) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000)
        writer.write(b"1: INSTREAM size limit exceeded. ERROR\0")
        await writer.drain()
        await asyncio.Event().wait()  # and reads no more

    (finding,) = await clamd(await serve(handler), timeout=5).examine(Message(b"x" * (8 << 20)), transaction())
    assert finding.symbol == TOO_LARGE
    assert finding.refusal.startswith("552 5.3.4 ")
    assert finding.failure is None


@pytest.mark.parametrize(
    ("make", "on_oversize", "refusal"),
    [
        (spamd, None, ""),
        (spamd, "defer", "452 "),
        (clamd, None, "552 5.3.4 "),
        (clamd, "continue", ""),
    ],
)
async def test_too_large_is_its_own_finding(
    serve: Serve, make: Callable[..., SpamdCheck | ClamdCheck], on_oversize: str | None, refusal: str
) -> None:
    served = await serve(hanging)
    check = make(served, max_size=1024, **({"on_oversize": on_oversize} if on_oversize else {}))
    (finding,) = await check.examine(Message(b"x" * 1025), transaction())
    assert finding.symbol == TOO_LARGE
    assert (finding.verdict, finding.failure) == (None, None)
    assert finding.refusal[:10].startswith(refusal[:10])
    assert bool(finding.refusal) is bool(refusal)
    assert served.connections == 0


def test_defaults_depend_on_the_kind() -> None:
    made = scanners(
        [
            Spamd(name="s", kind="spamd", servers=("127.0.0.1:1",)),
            Clamd(name="c", kind="clamd", servers=("127.0.0.1:1",)),
            Clamd(name="d", kind="clamd", servers=("127.0.0.1:1",), layer=1),
        ],
        Tools(),
    )
    assert [(check.name, check.layer) for check in made] == [("s", 3), ("c", 2), ("d", 1)]


async def test_tls_ca_is_what_servers_of_scanners_are_verified_by(serve: Serve, certificates: Certificates) -> None:
    async def clean(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_spamd(reader)
        writer.write(b"SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: False ; 0.0 / 5.0\r\n\r\n")

    served = await serve(clean, certificates.server.server_context())
    pool = Spamd(name="sa", kind="spamd", servers=(f"tls:{served.address}",))
    seen = {}
    for label, tls in (("ours", Tls(ca=certificates.ca)), ("system", Tls())):
        (check,) = scanners([pool], Tools(contexts=client_contexts(tls)))
        seen[label] = [finding.symbol for finding in await check.examine(Message(RAW), transaction())]
    assert seen == {"ours": [SPAM_SCANNED], "system": [SCANNER_FAILED]}
