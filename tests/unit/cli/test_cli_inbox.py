"""The demo's inbox, spoken to by smtplib."""

import smtplib
from collections.abc import Iterator

import pytest

from mpp.cli.inbox import Inbox


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as inbox:
        yield inbox


def test_it_keeps_what_arrives(inbox: Inbox) -> None:
    with smtplib.SMTP("127.0.0.1", inbox.port, timeout=10) as client:
        for subject in ("one", "two"):
            client.sendmail("", ["bob@example.org", "carol@example.org"], f"Subject: {subject}\n\n.dot\n")
    first, second = inbox.arrivals.get_nowait(), inbox.arrivals.get_nowait()
    assert first.reverse_path == ""
    assert first.recipients == second.recipients == ("bob@example.org", "carol@example.org")
    assert second.raw == b"Subject: two\r\n\r\n.dot\r\n"


@pytest.mark.parametrize(("recipient", "code"), [("nobody@example.org", 550), ("full@example.org", 452)])
def test_it_refuses_for_good_and_for_now(inbox: Inbox, recipient: str, code: int) -> None:
    with smtplib.SMTP("127.0.0.1", inbox.port, timeout=10) as client:
        client.helo("client.example")
        client.mail("ann@example.net")
        assert client.rcpt(recipient)[0] == code
        assert client.rcpt("bob@example.org")[0] == 250


def test_a_transaction_begins_anew(inbox: Inbox) -> None:
    with smtplib.SMTP("127.0.0.1", inbox.port, timeout=10) as client:
        client.helo("client.example")
        client.mail("ann@example.net")
        client.rcpt("carol@example.org")
        client.rset()
        client.sendmail("ann@example.net", "bob@example.org", "Subject: x\n\n")
    assert inbox.arrivals.get_nowait().recipients == ("bob@example.org",)


def test_unknown_commands_are_told_so(inbox: Inbox) -> None:
    with smtplib.SMTP("127.0.0.1", inbox.port, timeout=10) as client:
        assert client.docmd("NONSENSE")[0] >= 500
        assert client.docmd("VRFY bob")[0] >= 500
        assert client.noop()[0] < 600
