"""A whole Postfix before and behind the gateway: as before-queue filter, as after-queue filter, as client, as next hop."""

import re
import smtplib
from collections.abc import Callable, Iterator

import pytest

from mpp.cli.programs import free_port
from servers import postfix
from servers.dialogue import Dialogue
from servers.gateway import Gateway, MakeGateway, ports
from servers.sink import USUAL, Sink
from servers.tools import smtp_source

HEADER = b"From: ann@example.net\r\nDate: Mon, 04 May 2026 09:12:31 +0200\r\nMessage-ID: <1@example.net>\r\nSubject: Lunch\r\n"
MAIL = HEADER + b"\r\nAt noon.\r\n.hidden\r\n"
OUTSIDE = "127.0.0.9"  # the address that the client comes from
LOOPBACK = {"trusted": ["127.0.0.0/8"], "proxies": ["127.0.0.0/8"]}
# Behind a queue a refusal would bounce.
AFTER_QUEUE = {"default": {"virus": "discard", "banned": "discard", "reject_above": "off"}}
INNER = """\
127.0.0.1:{port} inet n - n - - smtpd
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8 -o content_filter=
  -o smtpd_client_restrictions= -o smtpd_helo_restrictions= -o smtpd_sender_restrictions=
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o mynetworks=127.0.0.0/8 -o receive_override_options=no_unknown_recipient_checks"""


class Around:
    """One Postfix with three doors: before-queue through MPP, after-queue through MPP, and the one behind MPP."""

    def __init__(self, gateway: MakeGateway, sink: Sink) -> None:
        self.proxied, self.queued, self.inner, proxy, after = ports(5)
        self.sink = sink
        listeners = [
            {"name": stage, "address": f"127.0.0.1:{port}", "stage": stage}
            for stage, port in (("proxy", proxy), ("after-queue", after))
        ]
        services = (
            f"127.0.0.1:{self.proxied} inet n - n - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:{proxy}",
            f"127.0.0.1:{self.queued} inet n - n - - smtpd\n  -o content_filter=smtp:[127.0.0.1]:{after}",
            INNER.format(port=self.inner),
        )
        parameters = {"default_transport": f"smtp:[127.0.0.1]:{sink.port}", "smtp_send_xforward_command": "yes"}
        self.postfix = postfix.Postfix(free_port(), parameters, services)
        try:
            more = {"listeners": listeners, "networks": LOOPBACK, "policies": AFTER_QUEUE}
            self.gateway: Gateway = gateway(f"127.0.0.1:{self.inner}", port=proxy, more=more)
        except BaseException:
            self.postfix.stop()
            raise


@pytest.fixture
def around(gateway: MakeGateway, sink: Sink) -> Iterator[Around]:
    made = Around(gateway, sink)
    yield made
    made.postfix.stop()


def send(port: int, *recipients: str, mail: bytes = MAIL, source: str = OUTSIDE, options: tuple[str, ...] = ()) -> None:
    with smtplib.SMTP("127.0.0.1", port, "mail.outside.example", timeout=60, source_address=(source, 0)) as client:
        refused = client.sendmail("ann@example.net", recipients or ("bob@example.org",), mail, options)
        assert refused == {}


@pytest.mark.parametrize("door", ["proxied", "queued"])
def test_the_inner_smtpd_knows_the_client_by_xforward(around: Around, door: str) -> None:
    send(getattr(around, door))
    (arrived,) = around.sink.wait(1, timeout_s=30)
    assert arrived.data.endswith(MAIL)
    assert b"by mpp.example" in arrived.data
    logged = around.gateway.wait_for(r"event=message .*").group()
    assert f"client={OUTSIDE} helo=mail.outside.example" in logged
    told = re.findall(r"client=unknown\[127.0.0.1\], .*orig_client=(\S+)", around.postfix.log())
    assert told == [f"unknown[{OUTSIDE}]"]


def test_a_refusal_of_the_inner_smtpd_reaches_the_client_before_the_queue(around: Around) -> None:
    with Dialogue(around.proxied, source=OUTSIDE) as client:
        client.hello()
        codes = [each.code for each in client.envelope("ann@example.net", "bob@example.org", "x@elsewhere.example")]
        assert codes[:2] == [250, 250]
        assert codes[2] in {250, 550, 551, 554}  # the one behind would relay, the gateway has no route for it
        assert client.data(MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n").code == 250
    (arrived,) = around.sink.wait(1, timeout_s=30)
    assert arrived.recipients == ("bob@example.org",)


def test_many_mails_go_through_both_doors(around: Around) -> None:
    for port in (around.proxied, around.queued):
        done = smtp_source(port, "-m", "40", "-s", "4", "-l", "6000", "-f", "ann@example.net", "-t", "bob@example.org")
        assert done.returncode == 0, done.stderr
    around.sink.wait(80, timeout_s=40)
    assert len(around.sink.accepted) == 80


@pytest.fixture
def front(gateway: MakeGateway, make_sink: Callable[..., Sink]) -> Iterator[tuple[postfix.Postfix, Sink, Gateway]]:
    """Postfix as client, the gateway, a sink that offers DSN too."""
    sink = make_sink(extensions=(*USUAL, "DSN"))
    port = free_port()
    listener = {"name": "edge", "address": f"127.0.0.1:{port}", "dsn": True}
    more = {"listeners": [listener], "networks": LOOPBACK, "limits": {"message_size": 100_000}}
    mpp = gateway(sink, port=port, domains=("example.org", "example.net"), more=more)
    with postfix.client(free_port(), mpp.address) as client:
        yield client, sink, mpp


def test_8bit_smtputf8_and_dsn_go_through_to_the_next_hop(front: tuple[postfix.Postfix, Sink, Gateway]) -> None:
    client, sink, _ = front
    body = MAIL + "Grüße\r\n".encode()
    with Dialogue(client.port) as dialogue:
        dialogue.hello()
        assert dialogue.say("MAIL FROM:<änn@example.net> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e+3D1").code == 250
        assert dialogue.say("RCPT TO:<bøb@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@example.org").code == 250
        assert dialogue.data(body.replace(b"\r\n.", b"\r\n..") + b".\r\n").code == 250
    (arrived,) = sink.wait(1, timeout_s=30)
    assert (arrived.reverse_path, arrived.recipients) == ("änn@example.net", ("bøb@example.org",))
    assert {"BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=e+3D1"} <= set(arrived.parameters.split())
    (rcpt,) = [line for line in sink.commands("RCPT") if "NOTIFY" in line][-1:]
    assert "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@example.org" in rcpt
    assert arrived.data.endswith(body)
    assert b"with UTF8SMTP" in arrived.data


def test_what_is_larger_than_size_postfix_does_not_send(front: tuple[postfix.Postfix, Sink, Gateway]) -> None:
    client, sink, _ = front
    send(client.port, mail=MAIL + b"x" * 70 + b"\r\n" * 60_000)
    (bounce,) = sink.wait(1, timeout_s=30)
    assert (bounce.reverse_path, bounce.recipients) == ("", ("ann@example.net",))
    assert b"message size" in bounce.data.replace(b"\r\n   ", b"")
    send(client.port)
    assert sink.wait(2, timeout_s=30)[1].recipients == ("bob@example.org",)


def test_lmtp_in_and_out_with_a_fate_for_each_recipient(gateway: MakeGateway, make_sink: Callable[..., Sink]) -> None:
    sink = make_sink(lmtp=True, script={". carol@example.org": "552 5.2.2 Full"})
    port = free_port()
    listener = {"name": "lmtp", "address": f"lmtp:127.0.0.1:{port}", "stage": "after-queue"}
    more = {"listeners": [listener], "networks": LOOPBACK, "policies": AFTER_QUEUE}
    gateway(sink, port=port, domains=("example.org", "example.net"), more=more)
    parameters = {"default_transport": f"lmtp:inet:127.0.0.1:{port}", "default_destination_recipient_limit": "50"}
    with postfix.Postfix(free_port(), parameters) as client:
        send(client.port, "bob@example.org", "carol@example.org")
        arrived, bounce = sink.wait(2, timeout_s=30)
    assert set(arrived.recipients) == {"bob@example.org", "carol@example.org"}
    assert (bounce.reverse_path, bounce.recipients) == ("", ("ann@example.net",))
    assert re.findall(rb"Final-Recipient: (.*)\r\n", bounce.data) == [b"rfc822; carol@example.org"]
    assert b"\r\nStatus: 5.2.2\r\n" in bounce.data


def test_postfix_behind_takes_pipelined_mails_and_chunks(
    gateway: MakeGateway, postfix_nexthop: postfix.Postfix, postfix_mailbox: Sink
) -> None:
    mpp = gateway(postfix_nexthop)
    done = smtp_source(
        mpp.port, "-m", "60", "-s", "6", "-l", "5000", "-r", "2", "-f", "ann@example.net", "-t", "bob@example.org"
    )
    assert "fatal" not in done.stderr or "bob" in done.stderr
    with Dialogue(mpp.port) as client:
        client.hello()
        size = len(MAIL) // 2
        first = b"BDAT %d\r\n" % size + MAIL[:size]
        last = b"BDAT %d LAST\r\n" % (len(MAIL) - size) + MAIL[size:]
        client.send(b"MAIL FROM:<ann@example.net> BODY=8BITMIME\r\nRCPT TO:<carol@example.org>\r\n" + first + last)
        assert [client.reply().code for _ in range(4)] == [250] * 4
    postfix_mailbox.wait_for(lambda: any("carol@example.org" in each.recipients for each in postfix_mailbox.messages))
    chunked = next(each for each in postfix_mailbox.messages if "carol@example.org" in each.recipients)
    assert chunked.data.endswith(MAIL)
