"""What hostile and clumsy clients do at the door, through a whole gateway: what the next hop gets, what the client hears."""

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from mpp.cli.programs import free_port
from servers.dialogue import ClosedError, Dialogue
from servers.gateway import Gateway, MakeGateway, gateway_settings, ports
from servers.sink import USUAL, Sink

MAIL = b"From: a@example.net\r\nSubject: one\r\n\r\ntext\r\n"
SECOND = (
    b"MAIL FROM:<evil@example.net>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: two\r\n\r\nsmuggled\r\n.\r\n"
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Sink]]:
    """One gateway with usual settings for all that need no others."""
    folder, (port, status) = tmp_path_factory.mktemp("door"), ports(2)
    with Sink() as sink:
        usual = gateway_settings(
            folder, sink.address, port=port, status_port=status, more={"limits": {"errors_by_host": 100_000}}
        )
        with Gateway(folder, settings=usual, port=port, status_port=status) as made:
            yield made, sink


@pytest.fixture
def inner(shared: tuple[Gateway, Sink]) -> Sink:
    """The next hop of `door`, as if nothing had come yet."""
    shared[1].script.clear()
    shared[1].clear()
    return shared[1]


@pytest.fixture
def door(shared: tuple[Gateway, Sink], inner: Sink) -> Iterator[Dialogue]:
    with Dialogue(shared[0].port) as dialogue:
        dialogue.hello()
        yield dialogue


def below_received(data: bytes) -> bytes:
    """The message without our Received field, which is the first one."""
    assert data.startswith(b"Received: from ")
    end = data.index(b"\r\n")
    while data[end + 2 : end + 3] in (b"\t", b" "):
        end = data.index(b"\r\n", end + 2)
    return data[end + 2 :]


ENDS = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\r\n.\r\x00\n",
    b"\r\r\n.\r\r\n", b"\r\n.\r\r\n", b"\n\n.\r\n", b"\r\n..\r\n", b"\x85.\x85", b"\r\n.\x0b\r\n",
]  # fmt: skip


@pytest.mark.parametrize("end", ENDS, ids=[repr(end) for end in ENDS])
def test_only_crlf_dot_crlf_ends_data(door: Dialogue, inner: Sink, end: bytes) -> None:
    door.envelope()
    answer = door.data(MAIL + b"x" + end + SECOND)
    inner.wait_for(lambda: len(inner.messages) >= (answer.code == 250))
    assert len(inner.messages) <= 1
    for message in inner.messages:
        assert b"smuggled" in message.data
        assert message.data.replace(b"\r\n", b"").count(b"\n") == 0
        assert message.data.replace(b"\r\n", b"").count(b"\r") == 0
    if b"\r" in end.replace(b"\r\n", b"") or b"\n" in end.replace(b"\r\n", b""):
        assert (answer.code, inner.messages) == (550, [])
    assert not any("victim" in line or "evil" in line for line in inner.commands())


def test_line_ends_of_trusted_clients_are_normalised_once(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more={"networks": {"trusted": ["127.0.0.0/8"]}})
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        dialogue.envelope()
        assert dialogue.data(b"Subject: x\n\nbare\n.\nmore\rand\r\n.\r\n").code == 250
    assert below_received(sink.wait()[0].data).endswith(b"Subject: x\r\n\r\nbare\r\n.\r\nmore\r\nand\r\n")


@pytest.mark.parametrize(
    ("label", "wire"),
    [
        ("bare LF", b"NOOP\nNOOP\r\n"),
        ("bare CR", b"NOOP\rNOOP\r\n"),
        ("LF in MAIL", b"MAIL FROM:<a@example.net>\nRCPT TO:<x@example.org>\r\n"),
    ],
)
def test_only_crlf_ends_a_command(door: Dialogue, inner: Sink, label: str, wire: bytes) -> None:
    door.send(wire)
    assert door.reply().code >= 500
    assert door.closed()
    assert inner.commands("MAIL") == []


@pytest.mark.parametrize("character", [b"\x00", b"\x01", b"\x08", b"\x0b", b"\x1b", b"\x7f", b"\x85", b"\x9b"])
@pytest.mark.parametrize("command", [b"EHLO a%bb", b"MAIL FROM:<a%b@example.net>", b"RCPT TO:<a%b@example.org>"])
def test_a_control_character_stops_at_the_door(door: Dialogue, inner: Sink, command: bytes, character: bytes) -> None:
    if command.startswith(b"RCPT"):
        door.say("MAIL FROM:<a@example.net>")
    assert 500 <= door.say(command.replace(b"%", character)).code < 560
    assert not any("MAIL" in line and character.decode("latin-1") in line for line in inner.commands())


RELAY = [
    ("another domain", "x@example.com", 550),
    ("percent hack", "x%example.com@example.org", 550),
    ("bang path", "example.com!x@example.org", 550),
    ("quoted at", '"x@example.com"@example.org', 550),
    ("quoted percent", '"x%example.com"@example.org', 550),
    ("literal", "x@[127.0.0.1]", 550),
    ("IPv6 literal", "x@[IPv6:::1]", 550),
    ("subdomain of ours", "x@sub.example.org", 550),
    ("longer than ours", "x@example.org.example.com", 550),
    ("ends like ours", "x@badexample.org", 550),
    ("no domain", "x", 501),
    ("source route to us", "@example.com:bob@example.org", 250),
    ("source route away", "@example.org:x@example.com", 550),
    ("our domain in capitals", "bob@EXAMPLE.ORG", 250),
    ("trailing dot", "x@example.org.", 501),
    ("two at signs", "x@example.com@example.org", 501),
    ("postmaster", "postmaster", 250),
    ("postmaster of ours", "Postmaster@example.org", 250),
    ("postmaster elsewhere", "postmaster@example.com", 550),
    ("quoted plain", '"bob"@example.org', 250),
]


def test_relay_control(door: Dialogue, inner: Sink) -> None:
    door.say("MAIL FROM:<a@example.net>")
    heard = {label: door.say(f"RCPT TO:<{address}>").code for label, address, _ in RELAY}
    assert heard == {label: code for label, _, code in RELAY}


def test_a_trusted_client_relays_anywhere(gateway: MakeGateway, sink: Sink) -> None:
    routes = [
        {"domains": ["example.org"], "hosts": [sink.address]},
        {"domains": ["*"], "hosts": [sink.address], "ours": False},
    ]
    made = gateway(sink, more={"networks": {"trusted": ["127.0.0.2/32"]}, "routes": routes})
    for source, code in (("127.0.0.1", 550), ("127.0.0.2", 250)):
        with Dialogue(made.port, source=source) as dialogue:
            dialogue.hello()
            assert dialogue.envelope("a@example.org", "x@example.com")[1].code == code


@pytest.mark.parametrize(
    ("label", "data"),
    [
        ("8-bit header", b"Subject: \xfc\xe4\r\n\r\nx\r\n"),
        ("field of 100 KiB", b"Subject: x\r\nX-Long: " + b"a" * 102400 + b"\r\n\r\nx\r\n"),
        ("line over 998", b"Subject: x\r\n\r\n" + b"b" * 5000 + b"\r\n"),
        ("blank fold", b"Subject: x\r\n \r\n y\r\n\r\nx\r\n"),
        ("NUL in the body", b"Subject: x\r\n\r\na\x00b\r\n"),
        ("no header at all", b"\r\nonly a body\r\n"),
        ("dots", b"Subject: x\r\n\r\n.\x00\r\n..a\r\n...\r\n"),
        ("empty", b""),
    ],
)
def test_what_is_odd_leaves_as_it_came(door: Dialogue, inner: Sink, label: str, data: bytes) -> None:
    door.envelope()
    stuffed = (b"\r\n" + data).replace(b"\r\n.", b"\r\n..")[2:]
    assert door.data(stuffed + b".\r\n").code == 250
    assert below_received(inner.wait()[0].data) == data


@pytest.fixture
def at(gateway: MakeGateway, sink: Sink):
    """Make a gateway whose one listener has these keys; `more` is merged over the rest."""

    def make(more: dict | None = None, **listener) -> Gateway:
        port = free_port()
        listeners = [{"name": "edge", "address": f"127.0.0.1:{port}", **listener}]
        return gateway(sink, port=port, more={"listeners": listeners, **(more or {})})

    return make


@pytest.fixture
def tls(certificates) -> dict:
    return {"tls": {"certificate": str(certificates.server.certificate), "key": str(certificates.server.key)}}


def test_nothing_pipelined_before_starttls_survives_it(at, tls, certificates, sink: Sink) -> None:
    with Dialogue(at(tls, tls="starttls").port) as dialogue:
        assert "STARTTLS" in dialogue.hello().lines
        dialogue.send(b"STARTTLS\r\nMAIL FROM:<evil@example.net>\r\nRCPT TO:<bob@example.org>\r\n")
        assert dialogue.reply().code == 220
        try:
            dialogue.socket = certificates.client_context().wrap_socket(dialogue.socket, server_hostname="localhost")
        except OSError:
            return  # the octets were taken for the handshake: the connection is over, which is as good
        assert dialogue.say("RCPT TO:<bob@example.org>").code == 503
        assert "STARTTLS" not in dialogue.hello().lines
        assert dialogue.envelope()[1].code == 250
        assert dialogue.data(MAIL + b".\r\n").code == 250
    assert sink.wait()[0].reverse_path == "sender@example.net"
    assert b"with ESMTPS (TLSv1.3" in sink.messages[0].data


def test_tls_may_be_required(at, tls, certificates) -> None:
    with Dialogue(at(tls, tls="required").port) as dialogue:
        dialogue.hello()
        assert dialogue.say("MAIL FROM:<a@example.net>").code == 530
        dialogue.starttls(certificates.client_context())
        dialogue.hello()
        assert dialogue.say("MAIL FROM:<a@example.net>").code == 250


def test_wrapped_tls(at, tls, certificates, sink: Sink) -> None:
    with Dialogue(at(tls, tls="wrapped").port, tls=certificates.client_context()) as dialogue:
        assert dialogue.greeting.code == 220
        dialogue.hello()
        dialogue.envelope()
        assert dialogue.data(MAIL + b".\r\n").code == 250
    assert b"with ESMTPS" in sink.wait()[0].data


PROXIES = {"networks": {"proxies": ["127.0.0.0/8"]}}


def test_xclient_names_the_client_and_starts_again(at, sink: Sink) -> None:
    with Dialogue(at(PROXIES).port) as dialogue:
        assert any(line.startswith("XCLIENT ") for line in dialogue.hello().lines)
        assert dialogue.say("XCLIENT NAME=mail.example.com ADDR=203.0.113.9 PORT=4321 HELO=told.example").code == 220
        assert dialogue.say("MAIL FROM:<a@example.net>").code == 503
        dialogue.hello("heard.example")
        dialogue.envelope()
        assert dialogue.data(MAIL + b".\r\n").code == 250
    received = sink.wait()[0].data.split(b"\r\nFrom:")[0]
    assert b"from heard.example" in received
    assert b"mail.example.com [203.0.113.9]" in received


def test_xclient_takes_the_trust_of_the_address_it_names(at) -> None:
    more = {"networks": {"proxies": ["127.0.0.0/8"], "trusted": ["127.0.0.0/8"]}}
    with Dialogue(at(more).port) as dialogue:
        dialogue.hello()
        dialogue.say("XCLIENT ADDR=203.0.113.9")
        dialogue.hello()
        assert dialogue.envelope("a@example.net", "x@example.com")[1].code == 550


@pytest.mark.parametrize("command", ["XCLIENT ADDR=10.0.0.1", "XFORWARD ADDR=10.0.0.1"])
def test_only_proxies_may_speak_for_others(door: Dialogue, command: str) -> None:
    assert 500 <= door.say(command).code < 560


def test_xforward_informs_and_decides_nothing(at, sink: Sink) -> None:
    more = {"networks": {"proxies": ["127.0.0.0/8"], "trusted": ["10.0.0.0/8"]}}
    with Dialogue(at(more).port) as dialogue:
        dialogue.hello()
        assert dialogue.say("XFORWARD NAME=mail.example.com ADDR=10.0.0.1 HELO=told.example").code == 250
        assert dialogue.envelope("a@example.net", "x@example.com")[1].code == 550
        assert dialogue.say("RCPT TO:<bob@example.org>").code == 250
        assert dialogue.data(MAIL + b".\r\n").code == 250
    assert b"[10.0.0.1]" in sink.wait()[0].data


V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\x7f\0\0\x01\x10\xe1\0\x19"


@pytest.mark.parametrize("header", [b"PROXY TCP4 203.0.113.9 127.0.0.1 4321 25\r\n", V2], ids=["v1", "v2"])
def test_the_proxy_header_names_the_client(at, sink: Sink, header: bytes) -> None:
    with Dialogue(at(PROXIES, proxy_protocol=True).port, greeted=False) as dialogue:
        dialogue.send(header)
        assert dialogue.reply().code == 220
        dialogue.hello()
        dialogue.envelope()
        assert dialogue.data(MAIL + b".\r\n").code == 250
    assert b"[203.0.113.9]" in sink.wait()[0].data


@pytest.mark.parametrize(
    ("label", "octets"),
    [("a command", b"EHLO x\r\n"), ("a broken header", b"PROXY TCP4 a b c d\r\n"), ("garbage", b"\0" * 64)],
)
def test_a_missing_proxy_header_ends_the_connection(at, label: str, octets: bytes) -> None:
    with Dialogue(at(PROXIES, proxy_protocol=True).port, greeted=False) as dialogue:
        dialogue.send(octets)
        assert dialogue.closed()


def test_a_proxy_header_where_none_belongs_is_no_header(door: Dialogue) -> None:
    assert door.say("PROXY TCP4 203.0.113.9 127.0.0.1 4321 25").code >= 500


def test_lmtp_answers_for_each_recipient(gateway: MakeGateway, sink: Sink) -> None:
    port = free_port()
    sink.script["RCPT carol@example.org"] = "550 5.1.1 unknown"
    made = gateway(sink, port=port, more={"listeners": [{"name": "lmtp", "address": f"lmtp:127.0.0.1:{port}"}]})
    with Dialogue(made.port) as dialogue:
        assert dialogue.hello().code == 500
        assert dialogue.say("LHLO client.example").code == 250
        assert [reply.code for reply in dialogue.envelope("a@example.net", "bob@example.org", "carol@example.org", "dan@example.org")] == [
            250, 250, 550, 250,
        ]  # fmt: skip
        assert dialogue.data(MAIL + b".\r\n").code == 250
        assert dialogue.reply().code == 250
        assert dialogue.say("NOOP").code == 250
    assert b"with LMTP" in sink.wait()[0].data


def test_floods_end(at) -> None:
    made = at({"limits": {"commands": 20, "errors": 5}})
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        codes = [dialogue.say("NOOP").code for _ in range(20)]
        assert (codes[-1], dialogue.closed()) == (421, True)
    with Dialogue(made.port) as dialogue:
        codes = [dialogue.say("FOO").code for _ in range(6)]
        assert (codes[:5], codes[5], dialogue.closed()) == ([500] * 5, 421, True)


def test_connections_are_limited_alike_by_all_workers(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, workers=2, more={"limits": {"connections_by_host": 3, "connections": 5}})
    kept = [Dialogue(made.port) for _ in range(3)]
    with Dialogue(made.port) as fourth:
        assert (fourth.greeting.code, fourth.closed()) == (421, True)
    others = [Dialogue(made.port, source=f"127.0.0.{number}") for number in (2, 3)]
    with Dialogue(made.port, source="127.0.0.9") as beyond:
        assert beyond.greeting.code == 421
    kept.pop().socket.close()
    deadline = time.monotonic() + 5
    while (again := Dialogue(made.port)).greeting.code != 220:
        assert time.monotonic() < deadline
    for dialogue in (*kept, *others, again):
        dialogue.socket.close()


def test_a_host_with_many_errors_is_turned_away_for_a_while(at) -> None:
    made = at({"limits": {"errors_by_host": 10, "errors": 100}})
    with Dialogue(made.port) as dialogue:
        for _ in range(10):
            dialogue.say("FOO")
    with Dialogue(made.port) as dialogue:
        assert dialogue.greeting.code == 421
    with Dialogue(made.port, source="127.0.0.2") as dialogue:
        assert dialogue.greeting.code == 220


def test_a_client_that_sends_an_octet_now_and_then_is_ended_and_others_are_served(at) -> None:
    made = at({"limits": {"command_timeout": 2.0, "data_timeout": 2.0}})
    with Dialogue(made.port) as slow:
        began = time.monotonic()
        for octet in b"EHLO client.example":
            slow.send(bytes([octet]))
        with Dialogue(made.port) as other:
            assert other.hello().code == 250
        assert slow.reply().code == 421
        assert time.monotonic() - began < 5


def test_an_announced_size_over_the_limit_is_refused_at_mail(at) -> None:
    with Dialogue(at({"limits": {"message_size": 100_000}}).port) as dialogue:
        assert "SIZE 100000" in dialogue.hello().lines
        assert dialogue.say("MAIL FROM:<a@example.net> SIZE=100001").code == 552
        dialogue.envelope("a@example.net")
        assert dialogue.data(b"Subject: x\r\n\r\n" + b"a\r\n" * 40_000 + b".\r\n").code == 552
        assert dialogue.say("NOOP").code == 250


def test_nothing_is_delivered_for_a_client_that_leaves_before_the_body_goes_out(at, sink: Sink) -> None:
    sink.delays["DATA"] = 1.0
    dialogue = Dialogue(at().port)
    dialogue.hello()
    dialogue.envelope()
    dialogue.say("DATA")
    dialogue.send(MAIL + b".\r\n")
    sink.wait_for(lambda: bool(sink.commands("DATA")))
    dialogue.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    dialogue.socket.close()
    sink.wait_for(lambda: sink.open <= 1, timeout_s=5)
    with Dialogue(at().port) as other:
        other.hello()
        other.envelope()
        sink.delays.clear()
        assert other.data(MAIL + b".\r\n").code == 250
    assert len(sink.accepted) == 1


def test_a_half_closed_client_is_answered_and_its_message_is_there_once_or_not(door: Dialogue, inner: Sink) -> None:
    door.envelope()
    door.say("DATA")
    door.send(MAIL + b".\r\n")
    door.socket.shutdown(socket.SHUT_WR)
    try:
        code = door.reply().code
    except ClosedError:
        code = 0
    inner.wait_for(lambda: len(inner.accepted) >= (code == 250))
    assert (code == 250) == (len(inner.accepted) == 1)


def test_bdat(door: Dialogue, inner: Sink) -> None:
    door.envelope()
    door.send(b"BDAT 12\r\nSubject: x\r\n")
    assert door.reply().code == 250
    door.send(b"BDAT 8 LAST\r\n\r\n.\r\nend")
    assert door.reply().code == 250
    assert below_received(inner.wait()[0].data) == b"Subject: x\r\n\r\n.\r\nend\r\n"


def test_bdat_and_data_do_not_mix(door: Dialogue, inner: Sink) -> None:
    door.envelope()
    door.send(b"BDAT 3\r\nabc")
    assert door.reply().code == 250
    assert door.say("DATA").code == 503
    assert door.say("RSET").code == 250
    door.send(b"BDAT 10 LAST\r\nDATA\r\nNOOP")
    assert door.reply().code >= 500
    assert door.say("NOOP").code == 250
    assert inner.messages == []


def test_verify_expand_and_unknown_commands(door: Dialogue) -> None:
    said = {
        command: door.say(command).code for command in ("VRFY bob", "EXPN staff", "ETRN x", "AUTH PLAIN", "FOO", "HELP")
    }
    assert said == {"VRFY bob": 252, "EXPN staff": 502, "ETRN x": 502, "AUTH PLAIN": 502, "FOO": 500, "HELP": 214}


def test_dsn_is_offered_only_where_the_next_hop_has_it(at, sink: Sink) -> None:
    sink.extensions = (*USUAL, "DSN")
    with Dialogue(at(dsn=True).port) as dialogue:
        assert "DSN" in dialogue.hello().lines  # to the first client after `ready`
        replies = [
            dialogue.say("MAIL FROM:<a@example.net> RET=HDRS ENVID=QQ314159"),
            dialogue.say("RCPT TO:<bob@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.org"),
        ]
        assert [reply.code for reply in replies] == [250, 250]
        assert dialogue.data(MAIL + b".\r\n").code == 250
    assert "RET=HDRS ENVID=QQ314159" in sink.messages[0].parameters
    assert "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.org" in sink.commands("RCPT")[-1]


def test_dsn_is_not_offered_elsewhere(at, sink: Sink) -> None:
    with Dialogue(at(dsn=True).port) as dialogue:
        sink.wait_for(lambda: sink.connections > 0)
        assert "DSN" not in dialogue.hello().lines
        assert dialogue.say("MAIL FROM:<a@example.net> RET=HDRS").code == 555


def test_a_harvest_of_unknown_recipients_ends(at, sink: Sink) -> None:
    sink.script["RCPT"] = "550 5.1.1 unknown"
    with Dialogue(at({"limits": {"errors": 5}}).port) as dialogue:
        dialogue.hello()
        dialogue.say("MAIL FROM:<a@example.net>")
        codes = [dialogue.say(f"RCPT TO:<u{number}@example.org>").code for number in range(6)]
        assert (codes, dialogue.closed()) == ([550] * 5 + [421], True)


def test_chunks_count_against_the_memory(at, sink: Sink) -> None:
    made = at({"limits": {"message_size": "8M"}, "memory": {"in_flight": "16M"}})
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        dialogue.envelope()
        codes = []
        for _ in range(5):  # a network may hold a quarter
            dialogue.send(b"BDAT 1048576\r\n" + b"x" * 1_048_574 + b"\r\n")
            codes.append(dialogue.reply().code)
        assert codes[:3] == [250, 250, 250]
        assert 452 in codes


def test_limits_by_host_hold_for_whom_xclient_names(at) -> None:
    more = {"networks": {"proxies": ["127.0.0.0/8"]}, "limits": {"connections_by_host": 2}}
    made = at(more)
    kept = []
    for expected in (220, 220, 421):
        dialogue = Dialogue(made.port)
        dialogue.hello()
        assert dialogue.say("XCLIENT ADDR=203.0.113.9").code == expected
        kept.append(dialogue)
    assert kept[-1].closed()
    with Dialogue(made.port) as other:
        other.hello()
        assert other.say("XCLIENT ADDR=203.0.113.10").code == 220
    for dialogue in kept:
        dialogue.socket.close()


def test_starttls_keeps_whom_xclient_named(at, tls, certificates, sink: Sink) -> None:
    with Dialogue(at({**PROXIES, **tls}, tls="starttls").port) as dialogue:
        dialogue.hello()
        dialogue.say("XCLIENT NAME=mail.example.com ADDR=203.0.113.9")
        dialogue.hello()
        dialogue.starttls(certificates.client_context())
        dialogue.hello()
        dialogue.envelope()
        assert dialogue.data(MAIL + b".\r\n").code == 250
    assert b"[203.0.113.9]" in sink.wait()[0].data


def test_the_log_speaks_to_tools_made_for_amavisd(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more={"log": {"amavis": True}})
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        dialogue.envelope()
        assert dialogue.data(MAIL + b".\r\n").code == 250
    made.wait_for(
        r"^\(\w+\) Passed CLEAN \{RelayedInbound\}, \[127\.0\.0\.1\]:\d+ <sender@example\.net> -> <bob@example\.org>, .*size: 43"
    )


@pytest.mark.parametrize("first", [b" folded", b"\tfolded"])
def test_a_first_line_that_is_folded_does_not_continue_our_received_field(
    door: Dialogue, inner: Sink, first: bytes
) -> None:
    mail = first + b" line\r\nX-Spam-Flag: NO\r\n\r\ntext\r\n"
    door.hello()
    door.envelope()
    assert door.data(mail + b".\r\n").code == 250
    header, body = inner.wait()[-1].data.split(b"\r\n\r\n", 1)
    assert header.startswith(b"Received: ")
    assert b"folded" not in header
    assert body == mail


def test_at_sigterm_a_client_that_waits_for_a_recipient_gets_its_reply_and_421(at, sink: Sink) -> None:
    sink.delays["RCPT"] = 1.0
    gateway = at()
    with Dialogue(gateway.port) as dialogue:
        dialogue.hello()
        dialogue.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n")
        assert dialogue.reply().code == 250
        sink.wait_for(lambda: bool(sink.commands("RCPT")))
        gateway.process.terminate()
        assert [dialogue.reply().code, dialogue.reply().code, dialogue.closed()] == [250, 421, True]
    assert sink.messages == []
