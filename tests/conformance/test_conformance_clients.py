"""Clients of other projects speak to the gateway: swaks, aiosmtplib, openssl s_client, over TLS and LMTP."""

import subprocess

import aiosmtplib
import pytest

from mpp.cli.programs import free_port
from servers.certificates import Certificates
from servers.gateway import Gateway, MakeGateway
from servers.installed import installed
from servers.sink import USUAL, Sink
from servers.tools import swaks

MAIL = b"From: ann@example.net\r\nSubject: Lunch\r\n\r\nAt noon.\r\n.hidden\r\n"
ENVELOPE = ["--from", "ann@example.net", "--to", "bob@example.org"]


@pytest.fixture
def secure(gateway: MakeGateway, sink: Sink, certificates: Certificates) -> Gateway:
    """A gateway that offers STARTTLS."""
    pair = certificates.server
    options = ["--domain", "example.org", "--tls-cert", str(pair.certificate), "--tls-key", str(pair.key)]
    return gateway(sink, options=options)


@pytest.mark.parametrize("options", [["--pipeline"], ["--tls"], ["--helo", "client.example", "--tls", "--pipeline"]])
def test_swaks(secure: Gateway, sink: Sink, options: list[str]) -> None:
    done = swaks(secure.port, *ENVELOPE, *options)
    assert done.returncode == 0, done.stdout
    (arrived,) = sink.wait(1)
    top = arrived.data.partition(b"\r\n\r\n")[0]
    assert (b"TLS" in top) is ("--tls" in options)


def test_swaks_by_lmtp(gateway: MakeGateway, sink: Sink) -> None:
    port = free_port()
    gateway(sink, port=port, more={"listeners": [{"name": "lmtp", "address": f"lmtp:127.0.0.1:{port}"}]})
    done = swaks(port, *ENVELOPE, "--protocol", "LMTP")
    assert done.returncode == 0, done.stdout
    assert b"with LMTP" in sink.wait(1)[0].data


async def test_aiosmtplib_over_starttls(secure: Gateway, sink: Sink, certificates: Certificates) -> None:
    client = aiosmtplib.SMTP(
        hostname="localhost", port=secure.port, start_tls=True, tls_context=certificates.client_context()
    )
    async with client:
        for _ in range(3):
            refused, said = await client.sendmail("ann@example.net", ["bob@example.org", "carol@example.org"], MAIL)
            assert refused == {}
            assert "2.0.0" in said
    assert [each.recipients for each in sink.wait(3)] == [("bob@example.org", "carol@example.org")] * 3
    assert all(each.data.endswith(MAIL) for each in sink.messages)


def test_openssl_s_client(secure: Gateway, sink: Sink) -> None:
    command = [installed("openssl"), "s_client", "-starttls", "smtp", "-quiet", "-connect", secure.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        assert client.stdin
        assert client.stdout
        client.stdin.write(
            b"EHLO client.example\r\nMAIL FROM:<ann@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
        )
        client.stdin.flush()
        said: list[bytes] = []
        for line in client.stdout:
            said.append(line)
            if line.startswith(b"354"):
                break
        client.stdin.write(MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\nQUIT\r\n")
        client.stdin.flush()
        said += list(client.stdout)
    assert said[-1].startswith(b"221")
    assert not any(b"STARTTLS" in line for line in said[1:])
    assert sink.wait(1)[0].data.endswith(MAIL)


@pytest.mark.parametrize("offers", [True, False])
async def test_dsn_is_offered_where_the_next_hop_has_it(gateway: MakeGateway, sink: Sink, offers: bool) -> None:
    sink.extensions = (*USUAL, "DSN") if offers else USUAL
    port = free_port()
    mpp = gateway(sink, port=port, more={"listeners": [{"name": "e", "address": f"127.0.0.1:{port}", "dsn": True}]})
    # What a next hop offers is known at the latest from the first mail that went there.
    assert swaks(mpp.port, *ENVELOPE).returncode == 0
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=mpp.port, start_tls=False) as client:
        await client.ehlo()
        assert client.supports_extension("dsn") is offers
