"""The ICAP adapter against a real c-icap with virus_scan over a real clamd, and its echo service."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpp.checks.scanners.icap import IcapCheck
from mpp.checks.scanners.kinds import Icap
from mpp.checks.scanners.scanner import Tools
from mpp.mail.message import Message
from mpp.verdict.finding import SCANNER_FAILED, VIRUS_SCANNED, Finding, Verdict
from servers.icap import running_c_icap
from servers.transactions import a_transaction

HEADER = b"From: a@b.example\r\nSubject: x\r\n\r\n"
EICAR = HEADER + rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
LARGE = HEADER + b"0123456789abcdef\r\n" * 20_000


@pytest.fixture(scope="module")
def c_icap(server_folder: Path, clamd: str) -> Iterator[str]:
    with running_c_icap(server_folder / "c-icap", int(clamd.rpartition(":")[2])) as address:
        yield address


def service(address: str, path: str = "/avscan", **more: object) -> IcapCheck:
    return IcapCheck(Icap(name="ic", kind="icap", servers=(address,), service=path, **more), Tools())


async def found(icap: IcapCheck, raw: bytes) -> list[Finding]:
    return await icap.examine(Message(raw), a_transaction())


@pytest.mark.parametrize("method", ["RESPMOD", "REQMOD"])
@pytest.mark.parametrize("preview", [True, False])
async def test_it_finds_eicar_and_nothing_else(c_icap: str, method: str, preview: bool) -> None:
    icap = service(c_icap, method=method, preview=preview)
    for _ in range(3):  # in one kept connection
        assert await found(icap, HEADER + b"hello\r\n") == [Finding("ic", VIRUS_SCANNED)]
        assert await found(icap, LARGE) == [Finding("ic", VIRUS_SCANNED)]
        _, threat = await found(icap, EICAR)
        assert threat.verdict is Verdict.VIRUS
        assert "Eicar" in threat.symbol


@pytest.mark.parametrize("raw", [b"", b"\0", b"\r\n", HEADER, b"\xff" * 100_000, bytes(1 << 20)])
async def test_any_octets_have_an_answer(c_icap: str, raw: bytes) -> None:
    assert await found(service(c_icap), raw) == [Finding("ic", VIRUS_SCANNED)]


@pytest.mark.parametrize("raw", [HEADER, LARGE, bytes(1 << 20)], ids=["small", "large", "zeros"])
async def test_what_echo_gives_back_is_what_it_was_given(c_icap: str, raw: bytes) -> None:
    assert await found(service(c_icap, "/echo", preview=False), raw) == [Finding("ic", VIRUS_SCANNED)]


async def test_many_at_a_time(c_icap: str) -> None:
    icap = service(c_icap)
    results = await asyncio.gather(*(found(icap, (EICAR, HEADER, LARGE)[n % 3]) for n in range(30)))
    assert [len(findings) for findings in results] == [2 if n % 3 == 0 else 1 for n in range(30)]


async def test_a_service_that_there_is_not(c_icap: str) -> None:
    (finding,) = await found(service(c_icap, "/nothing"), HEADER)
    assert finding.symbol == SCANNER_FAILED
    assert "404" in finding.evidence


async def test_it_tells_what_it_is(c_icap: str) -> None:
    (note,) = await service(c_icap).told(("scanners", 0))
    assert (note.severity, note.path) == ("note", ("scanners", 0, "servers", 0))
    assert "C-ICAP" in note.what
