"""The servers that the other tests lean on do what they say, without MPP between."""

import smtplib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from mpp.cli.programs import clamd_answers, free_port, spamd_answers
from servers import postfix
from servers.certificates import Certificates
from servers.dialogue import ClosedError, Dialogue
from servers.sink import Sink
from servers.tools import smtp_sink, smtp_source, swaks

MAIL = b"Subject: Lunch\r\n\r\nAt noon.\r\n.hidden\r\n"


def send(
    port: int, *recipients: str, sender: str = "ann@example.net", lmtp: bool = False
) -> dict[str, tuple[int, bytes]]:
    with (smtplib.LMTP if lmtp else smtplib.SMTP)("127.0.0.1", port, timeout=10) as client:
        return client.sendmail(sender, recipients or ("bob@example.org",), MAIL)


def test_the_sink_keeps_message_and_envelope(sink: Sink) -> None:
    send(sink.port, "bob@example.org", "carol@example.org")
    (arrived,) = sink.wait(1)
    assert (arrived.reverse_path, arrived.recipients) == ("ann@example.net", ("bob@example.org", "carol@example.org"))
    assert arrived.data == MAIL
    assert arrived.accepted


def test_the_sink_refuses_one_recipient_of_two(sink: Sink) -> None:
    sink.script["RCPT carol@example.org"] = "550 5.1.1 Unknown"
    assert send(sink.port, "bob@example.org", "carol@example.org") == {"carol@example.org": (550, b"5.1.1 Unknown")}
    assert sink.wait(1)[0].recipients == ("bob@example.org",)


def test_lmtp_has_a_reply_for_each_recipient(make_sink: Callable[..., Sink]) -> None:
    sink = make_sink(lmtp=True, script={". carol@example.org": "452 4.2.2 Full"})
    with Dialogue(sink.port) as client:
        client.say("LHLO client.example")
        client.envelope("", "bob@example.org", "carol@example.org")
        assert client.data(MAIL + b".\r\n").code == 250
        assert client.reply().code == 452
    assert sink.wait(1)[0].replies == ("250 2.0.0 Ok: queued as 1", "452 4.2.2 Full")


@pytest.mark.parametrize("fate", ["close", "reset"])
def test_the_sink_dies_after_the_dot(sink: Sink, fate: str) -> None:
    sink.script["."] = fate
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(sink.port)
    assert not sink.wait(1)[0].accepted


def test_the_sink_accepts_and_closes(sink: Sink) -> None:
    sink.script["."] = "after"
    send(sink.port)
    assert sink.wait(1)[0].accepted


def test_answers_in_a_list_are_used_in_turn(sink: Sink) -> None:
    sink.script["MAIL"] = ["451 4.3.0 Later", "250 2.1.0 Ok"]
    with pytest.raises(smtplib.SMTPSenderRefused):
        send(sink.port)
    send(sink.port)
    send(sink.port)
    assert len(sink.wait(2)) == 2


def test_only_crlf_dot_crlf_ends_data(sink: Sink) -> None:
    with Dialogue(sink.port) as client:
        client.hello()
        client.envelope()
        assert client.data(b"a\n.\nMAIL FROM:<x@y>\r.\r\n\r\n.\r\n").code == 250
        client.envelope()
        assert client.data(b".\r\n").code == 250
    assert [arrived.data for arrived in sink.wait(2)] == [b"a\n.\nMAIL FROM:<x@y>\r.\r\n\r\n", b""]


def test_the_sink_goes_down_and_comes_back(sink: Sink) -> None:
    with Dialogue(sink.port) as client:
        sink.refuse()
        assert client.closed()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", sink.port), 5)
    sink.listen()
    send(sink.port)
    sink.wait(1)


def test_a_dialogue_notices_the_close(sink: Sink) -> None:
    sink.script["EHLO"] = "close"
    with Dialogue(sink.port) as client, pytest.raises(ClosedError):
        client.hello()


def test_certificates_are_right_and_wrong_in_one_way_each(
    make_sink: Callable[..., Sink], certificates: Certificates
) -> None:
    context = certificates.client_context()
    with Dialogue(make_sink(tls=certificates.server.server_context()).port) as client:
        assert "STARTTLS" in client.hello().lines
        client.starttls(context)
        assert "STARTTLS" not in client.hello().lines
    for wrong, reason in (
        (certificates.wrong_name, "mismatch"),
        (certificates.expired, "expired"),
        (certificates.self_signed, "self"),
    ):
        with Dialogue(make_sink(tls=wrong.server_context()).port) as client:
            client.hello()
            with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                client.starttls(context)


def test_spamd_and_clamd_answer(spamd: str, clamd: str, clamd_socket: Path) -> None:
    host, _, port = spamd.partition(":")
    assert spamd_answers((host, int(port)))
    host, _, port = clamd.partition(":")
    assert clamd_answers((host, int(port)))
    assert clamd_answers(str(clamd_socket))


def test_postfix_delivers_to_whom_it_knows(postfix_nexthop: postfix.Postfix, postfix_mailbox: Sink) -> None:
    refused = send(postfix_nexthop.port, "bob@example.org", "nobody@example.org")
    assert refused["nobody@example.org"][0] == 550
    (arrived,) = postfix_mailbox.wait(1)
    assert arrived.recipients == ("bob@example.org",)
    assert arrived.data.endswith(MAIL.partition(b"\r\n\r\n")[2])  # a Date and a From are added


def test_postfix_as_client_relays_and_tries_again(sink: Sink) -> None:
    sink.script["MAIL"] = ["451 4.3.0 Later", "250 2.1.0 Ok"]
    with postfix.client(free_port(), sink.address) as client:
        send(client.port)
        assert sink.wait(1, timeout_s=20)[0].reverse_path == "ann@example.net"
        assert "status=deferred" in client.log()


def test_smtp_source_sends_to_smtp_sink(tmp_path: Path) -> None:
    program, port = smtp_sink(tmp_path)
    with program:
        assert smtp_source(port, "-m", "20", "-s", "2", "-l", "2000").returncode == 0


def test_swaks_sends(sink: Sink) -> None:
    done = swaks(sink.port, "--from", "ann@example.net", "--to", "bob@example.org")
    assert done.returncode == 0, done.stdout
    sink.wait(1)
