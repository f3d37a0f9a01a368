"""The abuse list: what a client, a next hop or a scanner may do against the protocol, and what comes of it. Tables of cases
through whole gateways; a code is the reply to one command, a connection that stays open fails a case.
"""

import contextlib
import itertools
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers.certificates import Certificates
from servers.dialogue import Dialogue
from servers.gateway import Gateway, gateway_settings, ports
from servers.liar import Answering, Liar
from servers.sink import Sink

HELLO = b"EHLO client.example\r\n"
MAIL, RCPT = b"MAIL FROM:<a@example.net>\r\n", b"RCPT TO:<bob@example.org>\r\n"
BEGIN = MAIL + RCPT
BODY = b"Subject: x\r\n\r\nhi\r\n.\r\n"
MESSAGE = BEGIN + b"DATA\r\n" + BODY
SECOND = (
    b"MAIL FROM:<evil@example.net>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: two\r\n\r\nsmuggled\r\n.\r\n"
)
UTF8 = b"MAIL FROM:<a@example.net> SMTPUTF8\r\n"
_CODE = re.compile(rb"(?:^|\n)(\d{3})(?=[ \r])")


def converse(port: int, wire: bytes, *, step: int = 0, timeout_s: float = 10.0) -> tuple[str, bytes]:
    """Send everything at once (or `step` octets at a time) with QUIT behind it; return the codes after EHLO, and all that was heard."""
    wire = HELLO + wire + b"QUIT\r\n"
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send() -> None:
            with contextlib.suppress(OSError):
                for start in range(0, len(wire), step or len(wire)):
                    client.sendall(wire[start : start + (step or len(wire))])

        sending = threading.Thread(target=send)
        sending.start()
        with contextlib.suppress(ConnectionError):
            while octets := client.recv(65536):
                heard += octets
        sending.join()
    codes = [match[1].decode() for match in _CODE.finditer(heard)][2:]
    return " ".join(f"{code}*{n}" if n > 3 else " ".join([code] * n) for code, n in runs(codes)), heard


def runs(codes: list[str]) -> list[tuple[str, int]]:
    return [(code, len(list(group))) for code, group in itertools.groupby(codes)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Sink]]:
    folder, (port, status) = tmp_path_factory.mktemp("abuse"), ports(2)
    more = {
        "limits": {"errors_by_host": 1_000_000, "connections_by_host": 1000, "command_timeout": 2.0},
    }
    with Sink() as sink:
        settings = gateway_settings(folder, sink.address, port=port, status_port=status, more=more)
        with Gateway(folder, settings=settings, port=port, status_port=status) as made:
            yield made, sink


@pytest.fixture
def hop(shared: tuple[Gateway, Sink]) -> Sink:
    shared[1].script.clear()
    shared[1].clear()
    return shared[1]


# label, wire behind EHLO, codes, messages that reach the next hop
CLIENT: list[tuple[str, bytes, str, int]] = [
    # a message behind a DATA that is refused is no list of commands
    ("body behind DATA without recipient", MAIL + b"DATA\r\nRSET\r\n" + SECOND, "250 554", 0),
    ("body behind DATA after a refused RCPT", MAIL + b"RCPT TO:<x@example.com>\r\nDATA\r\nRSET\r\n" + SECOND, "250 550 554", 0),
    ("body behind DATA without MAIL", b"DATA\r\nRSET\r\n" + SECOND, "503", 0),
    ("body behind DATA with an argument", BEGIN + b"DATA now\r\nRSET\r\n" + SECOND, "250 250 501", 0),
    ("body behind DATA within BDAT", BEGIN + b"BDAT 3\r\nabcDATA\r\nRSET\r\n" + SECOND, "250 250 250 503", 0),
    ("header behind a refused DATA", MAIL + b"DATA\r\n" + BODY, "250 554", 0),
    # all in one packet, as RFC 2920 does not forbid a server to take
    ("everything in one packet", MESSAGE + MESSAGE, "250 250 354 250 250 250 354 250 221", 2),
    ("DATA with a space behind it", BEGIN + b"DATA \r\n" + BODY, "250 250 354 250 221", 1),
    ("commands behind QUIT", b"QUIT\r\n" + SECOND, "221", 0),
    # order
    ("EHLO ends a transaction", BEGIN + HELLO + RCPT, "250 250 250 503 221", 0),
    ("HELO ends a transaction", BEGIN + b"HELO x\r\nDATA\r\n", "250 250 250 503", 0),
    ("RSET ends a transaction", BEGIN + b"RSET\r\n" + RCPT, "250 250 250 503 221", 0),
    ("MAIL within a transaction", MAIL + MAIL + RCPT + b"DATA\r\n" + BODY, "250 503 250 354 250 221", 1),
    ("RCPT first", RCPT, "503 221", 0),
    ("LHLO where SMTP is spoken", b"LHLO x\r\n", "500 221", 0),
    ("STARTTLS where it is not offered", b"STARTTLS\r\n", "502 221", 0),
    # BDAT
    ("BDAT of a negative size", BEGIN + b"BDAT -1\r\n" + SECOND, "250 250 521", 0),
    ("BDAT of twenty digits", BEGIN + b"BDAT 99999999999999999999\r\n" + SECOND, "250 250 521", 0),
    ("BDAT with a plus", BEGIN + b"BDAT +5\r\nabcde" + SECOND, "250 250 521", 0),
    ("BDAT in hexadecimal", BEGIN + b"BDAT 0x5\r\nabcde" + SECOND, "250 250 521", 0),
    ("BDAT without a size", BEGIN + b"BDAT\r\n" + SECOND, "250 250 521", 0),
    ("BDAT in Arabic digits", BEGIN + "BDAT \u0665 LAST\r\nabcde".encode(), "250 250 521", 0),
    ("BDAT with two LAST", BEGIN + b"BDAT 5 LAST LAST\r\nabcde", "250 250 521", 0),
    ("BDAT with tabs", BEGIN + b"BDAT\t5\tLAST\r\nabcde", "250 250 521", 0),
    ("BDAT of nothing", BEGIN + b"BDAT 0 LAST\r\n", "250 250 250 221", 1),
    ("BDAT with a bare LF", BEGIN + b"BDAT 16 LAST\r\nSubject: x\n\n.\n\r\n", "250 250 550 221", 0),
    ("BDAT that hides a second mail", BEGIN + b"BDAT %d LAST\r\nhi\r\n.\r\n%b" % (len(SECOND) + 7, SECOND), "250 250 250 221", 1),
    ("refused BDAT without recipient", MAIL + b"BDAT %d LAST\r\n%b" % (len(SECOND), SECOND), "250 554 221", 0),
    ("refused BDAT without MAIL", b"BDAT %d LAST\r\n%b" % (len(SECOND), SECOND), "503 221", 0),
    ("CRLF over two chunks", BEGIN + b"BDAT 13\r\nSubject: x\r\n\rBDAT 3 LAST\r\n\nhi", "250*4 221", 1),
    ("dot over chunk borders", BEGIN + b"BDAT 14\r\nSubject: x\r\n\r\nBDAT 1\r\n.BDAT 2 LAST\r\n\r\n", "250*5 221", 1),
    ("1,200 chunks", BEGIN + (b"BDAT 1024\r\n\r\n" + b"x" * 1020 + b"\r\n") * 1200 + b"BDAT 0 LAST\r\n", "250*1203 221", 1),
    # lines
    ("empty lines", b"\r\n \r\n", "500 500 221", 0),
    ("NUL in a verb", b"NO\0OP\r\n", "500 221", 0),
    ("octets that are no ASCII", b"\xff\xfe\r\n", "500 221", 0),
    ("a tab for the space", b"MAIL\tFROM:<a@example.net>\r\n", "500 221", 0),
    ("a bare LF between commands", b"NOOP\r\n\nNOOP\r\n", "250 521", 0),
    ("a line of 2,048 octets", b"NOOP " + b"x" * 2041 + b"\r\n", "250 221", 0),
    ("a line of 2,049 octets", b"NOOP " + b"x" * 2042 + b"\r\n", "500 221", 0),
    ("a line of 1 MB", b"X" * 1_000_000 + b"\r\n", "500 221", 0),
    ("a bare CR in a line too long", b"X" * 3000 + b"\rRSET\r\n", "521", 0),
    ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + SECOND, "554", 0),
    # parameters
    ("400 parameters", b"MAIL FROM:<a@example.net>" + b" A=1" * 400 + b"\r\n", "555 221", 0),
    ("a parameter twice", b"MAIL FROM:<a@example.net> SIZE=1 SIZE=2\r\n", "501 221", 0),
    ("a negative SIZE", b"MAIL FROM:<a@example.net> SIZE=-1\r\n", "501 221", 0),
    ("a SIZE of twenty digits", b"MAIL FROM:<a@example.net> SIZE=99999999999999999999\r\n", "552 221", 0),
    ("BINARYMIME", b"MAIL FROM:<a@example.net> BODY=BINARYMIME\r\n", "555 221", 0),
    ("SMTPUTF8 with a value", b"MAIL FROM:<a@example.net> SMTPUTF8=1\r\n", "501 221", 0),
    # addresses
    ("invalid UTF-8", b"MAIL FROM:<\xff\xfe@example.net> SMTPUTF8\r\n", "501 221", 0),
    ("overlong UTF-8", b"MAIL FROM:<\xc0\xbc@example.net> SMTPUTF8\r\n", "501 221", 0),
    ("a surrogate", b"MAIL FROM:<\xed\xa0\x80@example.net> SMTPUTF8\r\n", "501 221", 0),
    ("reading direction", "MAIL FROM:<a\u202eb@example.net> SMTPUTF8\r\n".encode(), "501 221", 0),
    ("a next line of C1", "MAIL FROM:<a\u0085b@example.net> SMTPUTF8\r\n".encode(), "501 221", 0),
    ("a full-width domain", UTF8 + "RCPT TO:<x@\uff45xample.org>\r\n".encode(), "250 501 221", 0),
    ("an ideographic full stop", UTF8 + "RCPT TO:<x@example\u3002org>\r\n".encode(), "250 501 221", 0),
    ("UTF-8 without SMTPUTF8", "MAIL FROM:<\xfc@example.net>\r\n".encode(), "550 221", 0),
    ("brackets twice", b"MAIL FROM:<<a@example.net>>\r\n", "501 221", 0),
    ("two paths", MAIL + b"RCPT TO:<bob@example.org> <x@example.com>\r\n", "250 501 221", 0),
    ("a null recipient", MAIL + b"RCPT TO:<>\r\n", "250 501 221", 0),
    ("a null sender with a space", b"MAIL FROM:< >\r\n", "501 221", 0),
    ("the null sender", b"MAIL FROM:<>\r\n" + RCPT + b"DATA\r\n" + BODY, "250 250 354 250 221", 1),
    ("a quote left open", MAIL + b'RCPT TO:<"a\\"@example.org>\r\n', "250 501 221", 0),
    ("quoted pairs without end", MAIL + b"RCPT TO:<" + b'"\\"' * 600 + b"@example.org>\r\n", "250 501 221", 0),
    ("a local part of 1,000 octets", MAIL + b"RCPT TO:<" + b"a" * 1000 + b"@example.org>\r\n", "250 501 221", 0),
    ("one mailbox in five spellings", MAIL + RCPT * 2 + b'RCPT TO:<"bob"@example.org>\r\nRCPT TO:<BOB@example.org>\r\nRCPT TO:<bob@EXAMPLE.org>\r\nDATA\r\n' + BODY, "250*6 354 250 221", 1),
    ("a HELO that closes comments", b"EHLO a(b)\\c[1.2.3.4])\"<>;\r\n" + MESSAGE, "250 250 250 354 250 221", 1),
    ("a HELO of 256 octets", b"HELO " + b"x" * 256 + b"\r\n", "501 221", 0),
    # floods
    ("900 RSET", b"RSET\r\n" * 900, "250*900 221", 0),
    ("1,100 NOOP", b"NOOP\r\n" * 1100, "250*999 421", 0),
    ("25 unknown commands", b"FOO\r\n" * 25, "500*20 421", 0),
    ("105 recipients elsewhere", MAIL + b"RCPT TO:<x@example.com>\r\n" * 105, "250 550*20 421", 0),
    ("105 recipients here", MAIL + RCPT * 105 + b"DATA\r\n" + BODY, "250*101 452*5 354 250 221", 1),
    # content
    ("a message of nothing", BEGIN + b"DATA\r\n.\r\n", "250 250 354 250 221", 1),
    ("a message of one CRLF", BEGIN + b"DATA\r\n\r\n.\r\n", "250 250 354 250 221", 1),
    ("a header of NULs", BEGIN + b"DATA\r\n" + b"\0" * 1000 + b": x\r\n\r\n\0\r\n.\r\n", "250 250 354 250 221", 1),
    ("every octet above 127", BEGIN + b"DATA\r\n" + bytes(range(128, 256)) * 50 + b"\r\n.\r\n", "250 250 354 250 221", 1),
    ("51 Received", BEGIN + b"DATA\r\n" + b"rEcEIVED \t: x\r\n\ty\r\n" * 51 + b"\r\n.\r\n", "250 250 354 554 221", 0),
    ("10,000 X-Spam-Flag", BEGIN + b"DATA\r\n" + b"X-Spam-Flag: YES\r\n" * 10_000 + b"\r\n.\r\n", "250 250 354 554 221", 0),
    ("a Subject of 100,000 folds", BEGIN + b"DATA\r\nSubject: x\r\n" + b" y\r\n" * 100_000 + b"\r\n.\r\n", "250 250 354 250 221", 1),
    ("a broken DKIM-Signature", BEGIN + b"DATA\r\nDKIM-Signature: v=1; a=;;;; b=" + b"=" * 70_000 + b"\r\n\r\n.\r\n", "250 250 354 250 221", 1),
]  # fmt: skip


@pytest.mark.parametrize(("label", "wire", "codes", "count"), CLIENT, ids=[case[0] for case in CLIENT])
def test_clients(shared: tuple[Gateway, Sink], hop: Sink, label: str, wire: bytes, codes: str, count: int) -> None:
    heard, raw = converse(shared[0].port, wire)
    assert heard == codes
    assert max(map(len, raw.split(b"\r\n"))) <= 510
    assert len(hop.messages) == count
    assert not any("victim" in line or "evil" in line for line in hop.commands())


@pytest.mark.parametrize("step", [1, 2, 3])
def test_packets_of_a_few_octets(shared: tuple[Gateway, Sink], hop: Sink, step: int) -> None:
    assert converse(shared[0].port, MESSAGE, step=step)[0] == "250 250 354 250 221"
    assert hop.messages[0].data.endswith(b"\r\n" + BODY.removesuffix(b".\r\n"))


@pytest.mark.parametrize("start", [b"", BEGIN, b"x" * 3000], ids=["a command", "in a transaction", "a line too long"])
def test_a_command_that_comes_octet_by_octet_has_its_time(shared: tuple[Gateway, Sink], start: bytes) -> None:
    with Dialogue(shared[0].port) as dialogue:
        dialogue.hello()
        dialogue.send(start)
        for _ in range(start.count(b"\n")):
            dialogue.reply()
        dialogue.socket.settimeout(0.2)
        began, heard = time.monotonic(), b""
        while b"421" not in heard and time.monotonic() - began < 6:
            with contextlib.suppress(TimeoutError):
                dialogue.send(b"x")
                heard += dialogue.socket.recv(1000)
        assert heard.startswith(b"421")


def test_a_client_that_takes_no_replies_is_not_read_from(shared: tuple[Gateway, Sink], hop: Sink) -> None:
    made = shared[0]
    before = memory_mib(made)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", made.port))
        client.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < 200 << 20:
                sent += client.send(HELLO * 8000)
        assert sent < 64 << 20
        assert memory_mib(made) < before + 40
        assert converse(made.port, MESSAGE)[0] == "250 250 354 250 221"


def memory_mib(made: Gateway) -> int:
    status = Path(f"/proc/{made.worker_pids()[0]}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) >> 10


STAGES = [
    b"", b"EH", HELLO, HELLO + MAIL, HELLO + BEGIN, HELLO + BEGIN + b"DATA\r\n", HELLO + BEGIN + b"DATA\r\nx\r\n.\r",
    HELLO + MESSAGE, HELLO + BEGIN + b"BDAT 10\r\nabc", HELLO + b"BDAT 10\r\nabc",
]  # fmt: skip


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_a_client_that_leaves_at_any_stage_leaves_nothing_behind(
    shared: tuple[Gateway, Sink], hop: Sink, *, reset: bool
) -> None:
    for stage in STAGES * 3:
        with socket.create_connection(("127.0.0.1", shared[0].port)) as client:
            client.sendall(stage)
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    none_open(shared[0])
    assert converse(shared[0].port, MESSAGE)[0] == "250 250 354 250 221"


def none_open(made: Gateway, timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while open_now := made.metrics()["mpp_connections_open"]:
        assert time.monotonic() < deadline, f"{open_now} connections are still counted"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Gateway]:
    folder, (port, status) = tmp_path_factory.mktemp("tls"), ports(2)
    more = {
        "tls": {"certificate": str(certificates.server.certificate), "key": str(certificates.server.key)},
        "limits": {"handshake_timeout": 1.0},
        "listeners": [{"name": "edge", "address": f"127.0.0.1:{port}", "tls": "starttls"}],
    }
    with Sink() as sink:
        settings = gateway_settings(folder, sink.address, port=port, status_port=status, more=more)
        with Gateway(folder, settings=settings, port=port, status_port=status) as made:
            yield made


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize(
    "octets", [b"", b"x" * 50, b"\x16\x03\x01\x02\x00", b"\x15\x03\x01\x00\x02\x02\x28", HELLO + MAIL]
)
def test_a_handshake_that_fails_leaves_no_connection_behind(secure: Gateway, octets: bytes, *, reset: bool) -> None:
    for _ in range(5):
        with Dialogue(secure.port) as dialogue:
            dialogue.hello()
            assert dialogue.say("STARTTLS").code == 220
            dialogue.send(octets)
            if reset:
                dialogue.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    none_open(secure)


def test_a_stalled_handshake_ends(secure: Gateway) -> None:
    with Dialogue(secure.port, timeout_s=5) as dialogue:
        dialogue.hello()
        dialogue.say("STARTTLS")
        assert dialogue.closed()
    none_open(secure)


OK = b"250 2.0.0 ok\r\n"
# label, what the next hop says, our last word on the message, bodies that it got to the end
HOP: list[tuple[str, dict[str, bytes | None], int, int]] = [
    ("greets with 554", {"": b"554 go away\r\n"}, 451, 0),
    ("greets with 199", {"": b"199 x\r\n"}, 451, 0),
    ("greets with 600", {"": b"600 x\r\n"}, 451, 0),
    ("greets with noise", {"": b"\0\xff\x80\r\n"}, 451, 0),
    ("greets with a line of 1 MiB", {"": b"220 " + b"x" * (1 << 20) + b"\r\n"}, 451, 0),
    ("greets without end", {"": b"220-x\r\n" * 100_000}, 451, 0),
    ("greets twice", {"": b"220 a\r\n220 b\r\n"}, 451, 0),
    ("answers before it is asked", {"": b"220 a\r\n" + OK * 4 + b"354 go\r\n" + OK}, 451, 0),
    ("closes instead of a greeting", {"": None}, 451, 0),
    ("refuses EHLO and HELO", {"EHLO": b"500 no\r\n", "HELO": b"500 no\r\n"}, 451, 0),
    ("knows only HELO", {"EHLO": b"500 no\r\n"}, 250, 1),
    ("changes its mind within a reply", {"EHLO": b"250-x\r\n550 y\r\n"}, 451, 0),
    ("offers STARTTLS and answers noise", {"EHLO": b"250-x\r\n250 STARTTLS\r\n", "STARTTLS": b"220 go\r\nnoise"}, 451, 0),
    ("354 to MAIL", {"MAIL": b"354 go\r\n"}, 451, 0),
    ("421 to MAIL", {"MAIL": b"421 later\r\n"}, 451, 0),
    ("two replies to MAIL", {"MAIL": OK + OK}, 451, 0),
    ("521 to MAIL", {"MAIL": b"521 no mail here\r\n"}, 550, 0),
    ("521 to RCPT", {"RCPT": b"521 no mail here\r\n"}, 550, 0),
    ("421 to RCPT", {"RCPT": b"421 later\r\n"}, 451, 0),
    ("354 to RCPT", {"RCPT": b"354 go\r\n"}, 451, 0),
    ("four digits to RCPT", {"RCPT": b"5500 x\r\n"}, 451, 0),
    ("550 with controls", {"RCPT": b"550 5.1.1 a\x1b[31m\x00\r\x07\x85\xff b\r\n"}, 550, 0),
    ("550 with a CR and a 250", {"RCPT": b"550 5.1.1 a\r250 ok\r\n"}, 550, 0),
    ("550 of 4,000 octets", {"RCPT": b"550 " + b"x" * 4000 + b"\r\n"}, 550, 0),
    ("550 of 5,000 octets", {"RCPT": b"550 " + b"x" * 5000 + b"\r\n"}, 451, 0),
    ("550 of another class", {"RCPT": b"550 2.0.0 ok\r\n"}, 550, 0),
    ("550 without text", {"RCPT": b"550\r\n"}, 550, 0),
    ("closes at RCPT", {"RCPT": None}, 451, 0),
    ("250 to DATA", {"DATA": OK}, 451, 0),
    ("355 to DATA", {"DATA": b"355 go\r\n"}, 451, 0),
    ("521 to DATA", {"DATA": b"521 no\r\n"}, 550, 0),
    ("354 twice", {"DATA": b"354 go\r\n354 go\r\n"}, 451, 0),
    ("354 and 250 at once", {"DATA": b"354 go\r\n250 queued\r\n"}, 451, 0),
    ("closes at DATA", {"DATA": None}, 451, 0),
    ("354 after the dot", {".": b"354 x\r\n"}, 451, 1),
    ("421 after the dot", {".": b"421 x\r\n"}, 451, 1),
    ("521 after the dot", {".": b"521 x\r\n"}, 550, 1),
    ("600 after the dot", {".": b"600 x\r\n"}, 451, 1),
    ("noise after the dot", {".": b"yes!\r\n"}, 451, 1),
    ("closes after the dot", {".": None}, 451, 1),
    ("221 after the dot", {".": b"221 x\r\n"}, 250, 1),
    ("250 and noise after the dot", {".": OK + b"noise\r\n"}, 250, 1),
    ("250 and 421 after the dot", {".": OK + b"421 bye\r\n"}, 250, 1),
    ("250 with controls after the dot", {".": b"250 2.0.0 queued\x1b[2J\r\n"}, 250, 1),
    ("250- and 550 after the dot", {".": b"250-ok\r\n550 no\r\n"}, 451, 1),
    ("half a line after the dot", {".": b"250 ok"}, 451, 1),
    ("noise after QUIT", {"QUIT": b"noise\r\n" * 1000}, 250, 1),
    ("250 in the middle of the body", {"body": OK}, 451, 0),
    ("550 in the middle of the body", {"body": b"550 5.7.1 no\r\n"}, 550, 0),
    ("451 in the middle of the body", {"body": b"451 later\r\n"}, 451, 0),
    ("noise in the middle of the body", {"body": b"noise\r\n"}, 451, 0),
    ("closes in the middle of the body", {"body": None}, 451, 0),
]  # fmt: skip


def test_next_hops(tmp_path: Path) -> None:
    """All of them behind one gateway, a domain each; each is well again afterwards, and mail goes through."""
    port = ports(1)[0]
    with contextlib.ExitStack() as stack:
        liars = [stack.enter_context(Liar(script)) for _, script, _, _ in HOP]
        routes = [
            {"domains": [f"d{number}.example.org"], "hosts": [liar.address], "ask": False, "timeout": 3.0, "connect_timeout": 3.0}
            for number, liar in enumerate(liars)
        ]  # fmt: skip
        more = {"routes": routes, "limits": {"errors_by_host": 1_000_000, "connections_by_host": 1000}}
        settings = gateway_settings(tmp_path, "", port=port, more=more)
        made = stack.enter_context(Gateway(tmp_path, settings=settings, port=port))

        def one(number: int) -> list[str]:
            label, script, code, count = HOP[number]
            rcpt = RCPT.replace(b"example.org", b"d%d.example.org" % number)
            filler = b"y" * 70 + b"\r\n"
            content = b"Subject: x\r\n\r\n" + filler * (150_000 if "body" in script else 1) + b".\r\n"
            heard, raw = converse(port, MAIL + rcpt + b"DATA\r\n" + content)
            wrong = []
            if heard != f"250 250 354 {code} 221":
                wrong.append(f"{label}: {heard}")
            if "body" not in script and len(liars[number].bodies) != count:
                wrong.append(f"{label}: {len(liars[number].bodies)} bodies")
            if re.search(rb"[^\r\n -~]", raw) or max(map(len, raw.split(b"\r\n"))) > 510:
                wrong.append(f"{label}: {raw!r}")
            liars[number].script.clear()
            deadline = time.monotonic() + 2.5
            while converse(port, MAIL + rcpt + b"DATA\r\n" + BODY)[0] != "250 250 354 250 221":
                if time.monotonic() > deadline:
                    return [*wrong, f"{label}: not found back"]
                time.sleep(0.2)
            return wrong

        with ThreadPoolExecutor(8) as pool:
            assert list(itertools.chain.from_iterable(pool.map(one, range(len(HOP))))) == []
        assert [line for line in made.lines if "event=fault" in line or "\x1b" in line] == []


@pytest.mark.parametrize("ask", [True, False], ids=["asked", "not asked"])
def test_a_route_to_our_own_listener_is_a_temporary_fault(tmp_path: Path, *, ask: bool) -> None:
    port = ports(1)[0]
    more = {"routes": [{"domains": ["example.org"], "hosts": [f"127.0.0.1:{port}"], "ask": ask}]}
    with Gateway(tmp_path, settings=gateway_settings(tmp_path, "", port=port, more=more), port=port) as made:
        heard, _ = converse(port, MESSAGE, timeout_s=5)
        assert heard.startswith("250 451" if ask else "250 250 354 451")
        assert sum("event=message" in line for line in made.lines) <= 1


def spamd(spam: bytes = b"False ; 1.0 / 5.0", body: bytes = b"RULE", length: int | None = None) -> bytes:
    return b"SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: %b\r\n\r\n%b" % (
        len(body) if length is None else length,
        spam,
        body,
    )


# label, kind, what the scanner says, our last word: a spamd that fails lets mail pass, a clamd that fails holds it up
SCANNERS: list[tuple[str, str, bytes, int]] = [
    ("no number", "spamd", spamd(b"True ; nan / 5.0"), 250),
    ("fields among the rules", "spamd", spamd(b"True ; 6.0 / 5.0", b"A\r\nX-Evil: yes\r\n\r\nbody,B\x1b[2J\0\xff"), 250),
    ("a length of 10 GB", "spamd", spamd(length=9_999_999_999), 250),
    ("a header without end", "spamd", b"SPAMD/1.1 0 EX_OK\r\n" + b"X: y\r\n" * 200_000, 250),
    ("a virus with controls in its name", "clamd", b"1: stream: A\r\nX-Evil: y\x1b[2J FOUND\0", 554),
    ("a virus without a name", "clamd", b"1: stream:  FOUND\0", 451),
    ("another number", "clamd", b"7: stream: OK\0", 451),
    ("an answer without end", "clamd", b"1: " + b"x" * 100_000, 451),
]  # fmt: skip


def test_scanners(tmp_path: Path) -> None:
    """A gateway each, since one that fails is put aside for a while."""

    def one(number: int) -> list[str]:
        label, kind, octets, code = SCANNERS[number]
        folder, port = tmp_path / str(number), ports(1)[0]
        folder.mkdir()

        def complete(request: bytes) -> bool:
            return request.endswith(b"hi\r\n" if kind == "spamd" else b"\0\0\0\0")

        with Sink() as sink, Answering(complete, octets) as scanner:
            settings = gateway_settings(folder, sink.address, port=port, scanners=[f"{kind}:{scanner.address}"])
            with Gateway(folder, settings=settings, port=port) as made:
                heard, raw = converse(port, MESSAGE)
                found = raw + b"".join(message.data for message in sink.messages) + made.stderr.encode()
            wrong = [f"{label}: {heard}"] if heard != f"250 250 354 {code} 221" else []
            if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]|\nX-Evil|event=fault", found):
                wrong.append(f"{label}: {found!r}")
            return wrong

    with ThreadPoolExecutor(4) as pool:
        assert list(itertools.chain.from_iterable(pool.map(one, range(len(SCANNERS))))) == []
