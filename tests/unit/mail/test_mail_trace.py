from dataclasses import replace

import pytest

from mpp.mail.envelope import Client
from mpp.mail.message import Message
from mpp.mail.trace import count_hops, digest, received_field

CLIENT = Client("192.0.2.7", 25, "mx.example.org", "mail.example.org", "ESMTPS", "TLSv1.3 TLS_AES_256_GCM_SHA384")


def field(client=CLIENT, **more):
    arguments = {"hostname": "gw.example.com", "instance": "a1", "identifier": "4bXyz", "now": 1_000_000_000.5} | more
    return received_field(client, **arguments)


def test_received_field():
    assert field(recipient="anna@example.com") == (
        b"Received: from mail.example.org\r\n"
        b"\t(mx.example.org [192.0.2.7])\r\n"
        b"\tby gw.example.com (MPP a1) with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tid 4bXyz\r\n"
        b"\tfor <anna@example.com>;\r\n"
        b"\tSun, 9 Sep 2001 01:46:40 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("client", "text"),
    [
        pytest.param(replace(CLIENT, address="2001:db8::1"), b"[IPv6:2001:db8::1]", id="IPv6"),
        pytest.param(replace(CLIENT, name=""), b"(unknown [192.0.2.7])", id="no name"),
        pytest.param(replace(CLIENT, address=""), b"from mail.example.org (local socket)", id="unix socket"),
        pytest.param(replace(CLIENT, helo=""), b"from unknown\r\n", id="no HELO"),
        pytest.param(replace(CLIENT, helo="a b)\r\nX: y\x1b\u202e("), b"from a?b???X:?y???\r\n", id="hostile HELO"),
        pytest.param(replace(CLIENT, tls=""), b"with ESMTPS\r\n", id="no TLS known"),
    ],
)
def test_client_as_it_is_told(client, text):
    assert text in field(client)


def test_smtputf8_has_its_own_protocol_names():
    assert b" with UTF8SMTPS (" in field(smtputf8=True)
    assert b" with UTF8LMTP\r\n" in field(replace(CLIENT, protocol="LMTP", tls=""), smtputf8=True)


def test_recipient_is_named_only_where_it_can_be():
    assert "for <ü@example.com>".encode() in field(recipient="ü@example.com", smtputf8=True)
    for recipient in ("ü@example.com", "a@b>\r\nX: y", "<a@b>", "a" * 1000 + "@b"):
        assert b"for <" not in field(recipient=recipient)


def test_lines_stay_short_and_fields_stay_one():
    client = Client("x" * 999, 1, "n" * 999, "h" * 9999, "ESMTPSA", "t" * 999, "l")
    written = field(client, hostname="h" * 999, identifier="i" * 500, recipient="r" * 800 + "@example.com")
    assert max(map(len, written.split(b"\r\n"))) <= 998
    assert [f.key for f in Message(written + b"\r\n").fields] == [b"received"]


def test_hops():
    raw = field() + field(instance="b2") + b"Received: from x by gw.example.com; date\r\n" + field() + b"\r\n"
    message = Message(raw)
    assert count_hops(message, "gw.example.com", "a1") == (4, 2)
    assert count_hops(message, "gw.example.com", "a") == (4, 0)


BARE = b"Subject: x\r\nReceived: deep\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    ("raw", "same"),
    [
        pytest.param(field() + BARE, True, id="ours on top"),
        pytest.param(field() + b"RECEIVED : x\r\n\ty\r\n" + BARE, True, id="several, folded, any case"),
        pytest.param(b"Received:\r\n x\r\n" + BARE, True, id="begins with a fold"),
        pytest.param(b"X: y\r\n" + field() + BARE, False, id="another field first"),
        pytest.param(BARE.replace(b"deep", b"other"), False, id="a later one counts"),
        pytest.param(BARE + b".", False, id="another body"),
        pytest.param(b"Received-SPF: x\r\n" + BARE, False, id="a field that only begins alike"),
    ],
)
def test_digest_is_blind_to_the_leading_run_only(raw, same):
    assert len(digest(raw)) == 16
    assert (digest(raw) == digest(BARE)) is same


def test_digest_of_nothing_else():
    assert digest(field()) == digest(b"") == digest(b"Received: x")
