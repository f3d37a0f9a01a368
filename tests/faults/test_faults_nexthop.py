"""Next hops that are down, slow, full, poor or hostile, through the whole gateway: no fault of theirs is made permanent."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mpp.cli.programs import free_port
from servers.certificates import Certificates
from servers.dialogue import Dialogue, Reply
from servers.gateway import Gateway, MakeGateway, gateway_settings, ports
from servers.sink import USUAL, Sink

MakeSink = Callable[..., Sink]
Shared = Callable[[bool], tuple[int, Sink]]
ONE = b"Subject: one\r\n\r\ntext\r\n.\r\n"
BOB, CAROL, DAN = "bob@example.org", "carol@example.org", "dan@example.org"


def send(port: int, *recipients: str, wire: bytes = ONE, parameters: str = "", sender: str = "a@example.net") -> Reply:
    """Send one message on a connection of its own; the last reply, of the first refused recipient if none was accepted."""
    with Dialogue(port) as dialogue:
        dialogue.hello()
        answers = dialogue.envelope(sender, *(recipients or (BOB,)), parameters=parameters)
        return dialogue.data(wire) if any(answer.code == 250 for answer in answers[1:]) else answers[1]


def found_back(port: int) -> None:
    """Try until a message is taken, which is within 2 s."""
    begun = time.monotonic()
    while (answer := send(port)).code != 250:
        assert (answer.code, time.monotonic() - begun < 2.0) == (451, True)
        threading.Event().wait(0.02)


def route(*hosts: str, **keys: object) -> dict:
    return {"routes": [{"domains": ["example.org"], "hosts": list(hosts), **keys}]}


@pytest.fixture(scope="module")
def two_gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, tuple[Gateway, Sink]]]:
    """One gateway that asks at RCPT and one that does not, each with a next hop of its own."""
    made: dict[bool, tuple[Gateway, Sink]] = {}
    for asks in (False, True):
        folder, (port, status), hop = tmp_path_factory.mktemp("hop"), ports(2), Sink()
        more = {**route(hop.address, ask=asks), "limits": {"errors_by_host": 10_000}}
        text = gateway_settings(folder, hop.address, port=port, status_port=status, more=more)
        made[asks] = Gateway(folder, settings=text, port=port, status_port=status), hop
    yield made
    for server, hop in made.values():
        server.stop()
        hop.stop()


@pytest.fixture
def shared_gateway(two_gateways: dict[bool, tuple[Gateway, Sink]]) -> Shared:
    def choose(asks: bool) -> tuple[int, Sink]:
        server, hop = two_gateways[asks]
        hop.refuse()  # no connection is kept from the test before
        hop.listen()
        hop.script.clear()
        hop.extensions = USUAL
        hop.clear()
        return server.port, hop

    return choose


def test_a_host_that_is_down_is_answered_soon_and_found_back_soon(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink)
    assert send(made.port).code == 250
    sink.refuse()
    for recipient in (BOB, CAROL):  # known, and never asked for
        before = time.monotonic()
        assert send(made.port, recipient).code == 451
        assert time.monotonic() - before < 5.0
    sink.listen()
    found_back(made.port)
    sink.wait_for(lambda: len(sink.accepted) == 2)


def test_a_host_that_takes_no_connection_is_given_up_in_time(gateway: MakeGateway, make_sink: MakeSink) -> None:
    silent, good = make_sink(script={"": "silence"}), make_sink()
    made = gateway(silent, more=route(silent.address, connect_timeout="1s"))
    before = time.monotonic()
    assert send(made.port).code == 451
    assert time.monotonic() - before < 5.0
    other = gateway(silent, more=route(silent.address, good.address, connect_timeout="1s"))
    assert send(other.port).code == 250


@pytest.mark.parametrize("fate", ["refuse", "close", "554 5.3.2 not here"])
def test_the_second_host_takes_over(gateway: MakeGateway, make_sink: MakeSink, fate: str) -> None:
    first, second = make_sink(script={} if fate == "refuse" else {"": fate}), make_sink()
    if fate == "refuse":
        first.refuse()
    made = gateway(first, more=route(first.address, second.address))
    assert send(made.port).code == 250
    assert (len(second.wait()), len(first.accepted)) == (1, 0)


STAGES = ["", "EHLO", "MAIL", "RCPT", "DATA", ".", "RSET"]


@pytest.mark.parametrize("fate", ["close", "421 4.3.2 going down", "garbage"])
@pytest.mark.parametrize("stage", STAGES, ids=[stage or "greeting" for stage in STAGES])
@pytest.mark.parametrize("asks", [False, True], ids=["known", "asked"])
def test_a_fault_at_any_stage_is_never_permanent(shared_gateway: Shared, stage: str, fate: str, asks: bool) -> None:
    port, hop = shared_gateway(asks)
    hop.script[stage] = fate
    answer = send(port, f"{stage.lower().strip('.')}-{fate[:3]}-{asks}@example.org")
    if stage != "RSET":
        assert answer.code == 451
    taken = int(answer.code == 250)
    hop.script.clear()
    found_back(port)
    hop.wait_for(lambda: len(hop.accepted) == taken + 1)


def test_dead_after_the_dot_is_unknown_and_deferred(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more=route(sink.address, timeout="1s"))
    for fate in ("close", "silence"):
        sink.script["."] = fate
        assert send(made.port).code == 451
        made.wait_for("event=message .*outcome=unknown")
    del sink.script["."]
    assert send(made.port).code == 250


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "."])
def test_full_and_refused_are_passed_on(shared_gateway: Shared, stage: str) -> None:
    port, hop = shared_gateway(False)
    for reply in ("452 4.3.1 Insufficient system storage", "552 5.2.2 Mailbox full"):
        hop.script[stage] = reply
        answer = send(port)
        assert answer.wire.decode().startswith(reply)


def test_a_slow_host_is_waited_for(gateway: MakeGateway, sink: Sink) -> None:
    sink.delays, sink.read_pause = {"MAIL": 0.3, "DATA": 0.3, ".": 0.5}, 0.01
    made = gateway(sink)
    assert send(made.port, wire=b"Subject: x\r\n\r\n" + b"slow" * 500_000 + b"\r\n.\r\n").code == 250
    assert sink.wait()[0].size > 2_000_000


@pytest.mark.parametrize("left_out", USUAL, ids=[each.partition(" ")[0] for each in USUAL])
def test_a_poor_host_gets_its_mail(shared_gateway: Shared, left_out: str) -> None:
    port, hop = shared_gateway(False)
    hop.extensions = tuple(each for each in USUAL if each != left_out)
    hop.script[f"RCPT {CAROL}"] = "550 5.1.1 unknown"
    body = "Subject: x\r\n\r\nä\r\n.\r\n".encode()
    assert send(port, BOB, wire=body, parameters="BODY=8BITMIME SMTPUTF8 SIZE=100").code == 250
    assert "ä".encode() in hop.wait()[0].data
    assert ("BODY=8BITMIME" in hop.messages[0].parameters) == (left_out != "8BITMIME")
    assert (hop.pipelined > 0) == (left_out != "PIPELINING")
    assert send(port, CAROL).code == 550
    assert len(hop.messages) == 1


def test_a_host_that_knows_only_helo_gets_its_mail(shared_gateway: Shared) -> None:
    port, hop = shared_gateway(True)
    hop.script["EHLO"] = "502 5.5.1 what"
    assert send(port).code == 250
    assert hop.commands("HELO")


def test_8_bit_may_be_refused_for_a_host_without_8bitmime(gateway: MakeGateway, make_sink: MakeSink) -> None:
    hop = make_sink(extensions=("PIPELINING",))
    made = gateway(hop, more=route(hop.address, eight_bit="refuse"))
    answer = send(made.port, wire=b"Subject: x\r\n\r\n\xe4\r\n.\r\n", parameters="BODY=8BITMIME")
    assert answer.wire.startswith(b"554 5.6.3 ")
    assert send(made.port).code == 250


def test_a_host_without_smtputf8(shared_gateway: Shared) -> None:
    port, hop = shared_gateway(True)
    hop.extensions = ("PIPELINING", "8BITMIME")
    assert send(port, "jürgen@example.org", parameters="SMTPUTF8").wire.startswith(b"550 5.6.7 ")
    answer = send(port, wire="Subject: ä\r\n\r\nx\r\n.\r\n".encode(), parameters="SMTPUTF8")
    assert answer.wire.startswith(b"554 5.6.9 ")
    assert send(port, wire=b"Subject: x\r\n\r\nx\r\n.\r\n", parameters="SMTPUTF8").code == 250
    assert send(port, wire=b"Subject: \xe4\r\n\r\nx\r\n.\r\n").code == 250
    assert b"Subject: \xe4\r\n" in hop.wait(2)[1].data


TLS = [
    ("server", "verify", "mx.example.org", 250), ("server", "must", "", 250), ("server", "may", "", 250), ("", "may", "", 250),
    ("", "must", "", 451), ("", "verify", "", 451), ("expired", "verify", "", 451), ("wrong_name", "verify", "", 451),
    ("self_signed", "verify", "", 451), ("expired", "must", "", 250), ("self_signed", "may", "", 250), ("wrong_name", "must", "", 250),
]  # fmt: skip


def test_certificates_and_policies(gateway: MakeGateway, make_sink: MakeSink, certificates: Certificates) -> None:
    hops, routes = [], []
    for number, (pair, policy, _, _) in enumerate(TLS):
        hop = make_sink(tls=getattr(certificates, pair).server_context() if pair else None, port=free_port("127.0.0.1"))
        hops.append(hop)
        domain = f"d{number}.example.org"
        routes.append({"domains": [domain], "hosts": [f"localhost:{hop.port}"], "tls": policy})
    made = gateway(more={"routes": routes, "tls": {"ca": str(certificates.ca)}})
    heard = [send(made.port, f"bob@d{number}.example.org").code for number in range(len(TLS))]
    assert heard == [code for *_, code in TLS]
    assert [hop.accepted[0].tls for hop in hops if hop.accepted] == [True, True, True, False, True, True, True]


HOSTILE = [
    ("escape", "550 5.7.1 \x1b[31mred\x07\x9b\u202e", b"\x1b"),
    ("long", "550 5.7.1 " + "x" * 5000, b"x" * 600),
    ("lines", "550 5.7.1 " + "\n".join(f"5.7.1 line {number}" for number in range(100)), b"\n.\n"),
]


@pytest.mark.parametrize(("label", "reply", "never"), HOSTILE, ids=[label for label, *_ in HOSTILE])
@pytest.mark.parametrize("stage", ["RCPT", "."])
def test_hostile_replies_reach_the_client_clean(
    shared_gateway: Shared, stage: str, label: str, reply: str, never: bytes
) -> None:
    port, hop = shared_gateway(stage == "RCPT")
    hop.script[stage] = reply
    wire = send(port, f"{label}@example.org").wire
    assert wire.startswith((b"550 5.7.1 ", b"550-5.7.1 ", b"451 4."))
    assert never not in wire
    lines = wire.split(b"\r\n")
    assert lines.pop() == b""
    assert max(map(len, lines)) <= 510
    assert all(octet in range(32, 127) for line in lines for octet in line)
