"""Every mail of the corpora through the whole gateway: what comes out is what went in, below our Received field."""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers.dialogue import Dialogue
from servers.gateway import MakeGateway
from servers.sink import Sink

CLIENTS = 4
LINE_END = re.compile(rb"\r\n|\r|\n")
RECEIVED = re.compile(rb"Received: from [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")
# Top-level fields that claim to be ours: they do not come in from outside. A blank before the colon does not hide them.
CLAIMS = re.compile(
    rb"(?im)^(?:x-spam-[^:\r\n]*|x-virus-[^:\r\n]*|x-quarantine-id[ \t]*):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*"
)


@pytest.fixture(scope="session")
def mails(corpora: Path) -> list[bytes]:
    """As they are sent: files with LF have CRLF, files with mixed line ends stay as they are; the last line is ended."""
    files = sorted(path for name in ("mime", "bounces") for path in (corpora / name).rglob("*.eml"))
    assert len(files) > 2000
    return [_wire(file.read_bytes()) for file in files]


def _wire(data: bytes) -> bytes:
    wire = data if b"\r" in data else data.replace(b"\n", b"\r\n")
    return wire if wire.endswith(b"\r\n") else wire + b"\r\n"


def is_right(wire: bytes) -> bool:
    return all(end == b"\r\n" for end in LINE_END.findall(wire))


def without_claims(wire: bytes) -> bytes:
    header, blank, body = wire.partition(b"\r\n\r\n")
    return CLAIMS.sub(b"", header + blank[:2]) + blank[2:] + body


def send_all(port: int, mails: Iterable[tuple[int, bytes]]) -> dict[int, int]:
    """Send each to a recipient of its own over a few connections, envelopes pipelined; the code of each last word."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        listed = list(mails)
        done = pool.map(lambda share: _send(port, share), [listed[n::CLIENTS] for n in range(CLIENTS)])
        return {number: code for codes in done for number, code in codes.items()}


def _send(port: int, mails: Iterable[tuple[int, bytes]]) -> dict[int, int]:
    codes = {}
    with Dialogue(port, timeout_s=60) as client:
        client.hello()
        for number, mail in mails:
            client.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<m%d@example.org>\r\nDATA\r\n" % number)
            assert [client.reply().code for _ in range(3)] == [250, 250, 354]
            client.send((b"\r\n" + mail).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
            codes[number] = client.reply().code
    return codes


def wrong(sink: Sink, expected: dict[int, bytes]) -> list[int]:
    """The numbers of those that did not come once, as expected below our Received field."""
    came = {int(each.recipients[0][1:].partition("@")[0]): each.data for each in sink.messages}
    assert len(came) == len(sink.messages)
    return sorted(
        (came.keys() ^ expected.keys())
        | {
            number
            for number, data in expected.items()
            if not came[number].endswith(data) or not RECEIVED.fullmatch(_above(came[number], data))
        }
    )


def _above(came: bytes, data: bytes) -> bytes:
    """What stands above the mail; our empty line, which a first line that would continue our own field gets, left out."""
    above = came.removesuffix(data)
    return above.removesuffix(b"\r\n") if data[:1] in (b" ", b"\t") and above.endswith(b"\r\n\r\n") else above


def settings(*, trusted: bool, checks: bool) -> dict[str, object]:
    return {
        "networks": {"trusted": ["127.0.0.0/8"] if trusted else []},
        "checks": checks,
        "structure": {"ambiguous": False},  # it would be told in marks, and many of these mails are
        "limits": {"errors": 2000, "errors_by_host": 5000},
    }


@pytest.mark.corpus
@pytest.mark.parametrize("checks", [False, True], ids=["no-checks", "checks"])
def test_from_a_trusted_client_only_line_ends_change(
    gateway: MakeGateway, sink: Sink, mails: list[bytes], checks: bool
) -> None:
    mpp = gateway(sink, more=settings(trusted=True, checks=checks))
    codes = send_all(mpp.port, enumerate(mails))
    assert set(codes.values()) == {250}
    assert wrong(sink, {number: LINE_END.sub(b"\r\n", mail) for number, mail in enumerate(mails)}) == []
    assert any(not is_right(mail) for mail in mails)


@pytest.mark.corpus
def test_from_outside_only_forged_marks_go(gateway: MakeGateway, sink: Sink, mails: list[bytes]) -> None:
    mpp = gateway(sink, more=settings(trusted=False, checks=True))
    codes = send_all(mpp.port, enumerate(mails))
    admitted = {number for number, mail in enumerate(mails) if is_right(mail)}
    assert {number for number, code in codes.items() if code == 250} == admitted
    assert {code for code in codes.values() if code != 250} <= {550}
    assert wrong(sink, {number: without_claims(mails[number]) for number in admitted}) == []
    assert any(without_claims(mail) != mail for mail in mails)
