"""The rspamd adapter against a real rspamd."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpp.checks.scanners.kinds import Rspamd as Settings
from mpp.checks.scanners.learning import learn
from mpp.checks.scanners.rspamd import RspamdCheck
from mpp.checks.scanners.scanner import Tools
from mpp.mail.envelope import Client
from mpp.mail.message import Message
from mpp.verdict.finding import SPAM_SCANNED, Finding
from servers.rspamd import PASSWORD, Rspamd, running_rspamd
from servers.transactions import a_transaction

RAW = b"From: a@b.example\r\nSubject: cheap\r\n\r\nBuy these pills now, my friend, for a very good price today\r\n"
GTUBE = b"Subject: x\r\n\r\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"


@pytest.fixture(scope="module")
def rspamd(server_folder: Path) -> Iterator[Rspamd]:
    with running_rspamd(server_folder / "rspamd") as running:
        yield running


def pool(rspamd: Rspamd, **more: object) -> Settings:
    return Settings(name="rs", kind="rspamd", servers=(rspamd.address,), controllers=(rspamd.controller,), **more)


async def found(rspamd: Rspamd, raw: bytes, **more: object) -> dict[str, Finding]:
    transaction = a_transaction("r@example.com", "s@example.com", **more)
    return {each.symbol: each for each in await RspamdCheck(pool(rspamd), Tools()).examine(Message(raw), transaction)}


async def test_it_names_its_points_and_knows_the_envelope(rspamd: Rspamd) -> None:
    client = Client("192.0.2.7", 25, "mail.example.org", "helo.example.org", "ESMTPSA", "TLSv1.3 X", "ann")
    findings = await found(rspamd, RAW, client=client)
    assert SPAM_SCANNED in findings
    assert (findings["CHEAP"].score, findings["CHEAP"].text) == (3.5, "Cheap things")
    assert "RSPAMD_SCORE" not in findings
    assert set(findings["ENVELOPE"].evidence.split(", ")) == {
        "from=sender@example.org", "rcpt=r@example.com", "rcpt=s@example.com", "ip=192.0.2.7", "id=id1", "user=ann",
        "helo=helo.example.org", "host=mail.example.org",
    }  # fmt: skip


async def test_its_action_and_a_total_without_symbols(rspamd: Rspamd) -> None:
    findings = await found(rspamd, GTUBE)
    assert findings["RSPAMD_SCORE"].score == 15
    assert findings["RSPAMD_ACTION"].evidence == "reject"


@pytest.mark.parametrize("raw", [b"\r\n", b"\0", b"\xff" * 100_000, b"x: " + b"y" * 300_000, RAW * 1000])
async def test_any_octets_have_an_answer(rspamd: Rspamd, raw: bytes) -> None:
    assert SPAM_SCANNED in await found(rspamd, raw)


async def test_many_at_a_time(rspamd: Rspamd) -> None:
    results = await asyncio.gather(*(found(rspamd, (RAW, b"Subject: x\r\n\r\nhi\r\n")[n % 2]) for n in range(20)))
    assert ["CHEAP" in findings for findings in results] == [n % 2 == 0 for n in range(20)]


async def test_it_learns_once_and_only_with_its_password(rspamd: Rspamd, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    taught = pool(rspamd, password_file=tmp_path / "password")
    assert [(each.changed, each.cause) for each in await learn(taught, RAW, "spam")] == [(True, "")]
    assert [(each.changed, each.cause) for each in await learn(taught, RAW, "spam")] == [(False, "")]
    (refused,) = await learn(pool(rspamd), RAW, "ham")
    assert "401" in refused.cause
