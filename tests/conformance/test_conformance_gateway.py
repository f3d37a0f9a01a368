"""The gateway as a process between real clients, scanners and next hops: the way of one message, end to end."""

import re
import smtplib
from pathlib import Path

import pytest

from mpp.cli.programs import free_port
from servers import postfix
from servers.certificates import Certificates
from servers.dialogue import Dialogue
from servers.gateway import MakeGateway
from servers.sink import Sink
from servers.tools import smtp_sink, smtp_source, swaks

HEADER = b"From: ann@example.net\r\nDate: Mon, 04 May 2026 09:12:31 +0200\r\nMessage-ID: <1@example.net>\r\nSubject: Lunch\r\n"
MAIL = HEADER + b"\r\nAt noon.\r\n.hidden\r\n"


def send(port: int, *recipients: str, mail: bytes = MAIL) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        return client.sendmail("ann@example.net", recipients or ("bob@example.org",), mail)


def test_by_options_a_message_goes_through(gateway: MakeGateway, sink: Sink) -> None:
    mpp = gateway(sink, options=["--workers", "1", "--domain", "example.org"])
    send(mpp.port)
    (arrived,) = sink.wait(1)
    assert arrived.data.startswith(b"Received: from ")
    assert arrived.data.endswith(MAIL)
    assert mpp.stop() == 0


def test_by_settings_it_tells_its_health_and_numbers(gateway: MakeGateway, sink: Sink) -> None:
    mpp = gateway(sink, own_interpreter=True, workers=2, more={"limits": {"recipients": 5}})
    assert len(mpp.worker_pids()) == 2
    send(mpp.port)
    assert mpp.status("/healthz") == "ok\n"
    assert any(value >= 1 for name, value in mpp.metrics().items() if "message" in name)


def test_real_scanners_mark_and_refuse(gateway: MakeGateway, sink: Sink, spamd: str, clamd: str) -> None:
    mpp = gateway(sink, scanners=[f"spamd:{spamd}", f"clamd:{clamd}"], more={"marks": {"always": True}})
    send(mpp.port)
    assert b"\r\nX-Spam-Status: No, " in sink.wait(1)[0].data
    gtube = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
    with pytest.raises(smtplib.SMTPDataError, match="spam"):
        send(mpp.port, mail=MAIL + gtube)
    assert len(sink.messages) == 1


def test_postfix_behind_is_asked_and_delivers(
    gateway: MakeGateway, postfix_nexthop: postfix.Postfix, postfix_mailbox: Sink
) -> None:
    mpp = gateway(postfix_nexthop)
    refused = send(mpp.port, "bob@example.org", "stranger@example.org")
    assert refused["stranger@example.org"][0] == 550
    (arrived,) = postfix_mailbox.wait(1)
    assert arrived.recipients == ("bob@example.org",)
    assert arrived.data.endswith(MAIL)


def test_postfix_in_front_keeps_what_is_deferred(gateway: MakeGateway, sink: Sink) -> None:
    sink.script["."] = ["451 4.3.0 Not now", "250 2.0.0 Ok"]
    mpp = gateway(sink)
    with postfix.client(free_port(), mpp.address) as front:
        send(front.port)
        first, second = sink.wait(2, timeout_s=30)
    assert not first.accepted
    assert second.accepted
    assert second.data.endswith(MAIL)


def test_starttls_with_a_certificate_that_fits(gateway: MakeGateway, sink: Sink, certificates: Certificates) -> None:
    pair = certificates.server
    mpp = gateway(
        sink, options=["--domain", "example.org", "--tls-cert", str(pair.certificate), "--tls-key", str(pair.key)]
    )
    with Dialogue(mpp.port) as client:
        assert "STARTTLS" in client.hello().lines
        client.starttls(certificates.client_context())
        client.hello()
        client.envelope()
        assert client.data(MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n").code == 250
    assert b"TLS" in sink.wait(1)[0].data.partition(b"\r\nFrom:")[0]


def test_swaks_and_smtp_source_are_served(gateway: MakeGateway, tmp_path: Path) -> None:
    program, port = smtp_sink(tmp_path, "-c")
    with program:
        mpp = gateway(port, workers=2)
        assert swaks(mpp.port, "--from", "ann@example.net", "--to", "bob@example.org").returncode == 0
        done = smtp_source(
            mpp.port, "-m", "200", "-s", "8", "-l", "4000", "-f", "ann@example.net", "-t", "bob@example.org"
        )
        assert done.returncode == 0, done.stderr
    counts = re.findall(r"mesg=(\d+)", program.log.read_text())
    assert max(map(int, counts)) == 201
