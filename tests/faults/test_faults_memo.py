"""Recipients of one message that fare differently, retries, and asking at RCPT, through the whole gateway: nothing twice."""

import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from mpp.store.schema import memo_accepted, memo_refused
from servers.dialogue import Dialogue
from servers.gateway import Gateway, MakeGateway
from servers.postfix import Postfix
from servers.sink import Sink
from servers.stored import held, rows

MakeSink = Callable[..., Sink]
TEXT = b"Subject: one\r\n\r\ntext\r\n"
BOB, CAROL, DAN = "bob@example.org", "carol@example.org", "dan@example.org"
REFUSED, LATER = "550 5.7.1 not this one", "451 4.2.1 later"


def attempt(port: int, *recipients: str, text: bytes = TEXT, timeout_s: float = 20.0) -> list[int]:
    """The codes of RCPT for each recipient, and that of the end of data."""
    with Dialogue(port, timeout_s=timeout_s) as dialogue:
        dialogue.hello()
        codes = [reply.code for reply in dialogue.envelope("a@example.net", *recipients)[1:]]
        return [*codes, dialogue.data(text + b".\r\n").code] if 250 in codes else codes


def memo(made: Gateway) -> tuple[int, int]:
    """How many acceptances and refusals the memo holds."""
    return len(rows(made.folder / "data", memo_accepted)), len(rows(made.folder / "data", memo_refused))


def taken(hop: Sink) -> list[tuple[str, ...]]:
    """Who got each message that was accepted, in order; in LMTP for each recipient."""
    return [
        tuple(who for number, who in enumerate(message.recipients) if message.replies[number * hop.lmtp][0] == "2")
        for message in list(hop.messages)
        if message.replies
    ]


RETRIES = ["same", "received", "killed", "other worker"]


@pytest.mark.parametrize("how", RETRIES)
def test_a_retry_after_a_partial_acceptance(gateway: MakeGateway, make_sink: MakeSink, how: str) -> None:
    """bob is accepted, carol put off, dan refused after the dot (LMTP) and held; the retry gives carol hers, and nothing twice."""
    hop = make_sink(lmtp=True, script={f". {CAROL}": [LATER, "250 2.0.0 ok"], f". {DAN}": REFUSED})
    made = gateway(hop, workers=2 if how == "other worker" else 1)
    assert attempt(made.port, BOB, CAROL, DAN) == [250, 250, 250, 451]
    assert memo(made) == (2, 0)
    text = TEXT
    match how:
        case "received":
            text = b"Received: from a\r\n\tby b; Thu, 1 Jan 1970 00:00:00 +0000\r\n" + TEXT
        case "killed":
            made.kill_worker()
        case "other worker":
            os.kill(worker_that_logged(made, "451 4.3.0"), signal.SIGSTOP)
    try:
        assert retried(made, text) == [250, 250, 250, 250]
    finally:
        for pid in made.worker_pids():
            os.kill(pid, signal.SIGCONT)
    hop.wait_for(lambda: len(taken(hop)) == 2)
    assert taken(hop) == [(BOB,), (CAROL,)]
    assert held(made.folder / "data") == {DAN: ["undeliverable"]}
    assert memo(made) == (0, 0)


def worker_that_logged(made: Gateway, what: str) -> int:
    number = int(made.wait_for(rf" worker=(\d+).*{what}|{what}.* worker=(\d+)")[1])
    return made.worker_pids()[number]


def retried(made: Gateway, text: bytes) -> list[int]:
    """Send to all three again; a connection that waits at a stopped worker is given up, as by an impatient client."""
    while True:
        try:
            return attempt(made.port, BOB, CAROL, DAN, text=text, timeout_s=1.0)
        except TimeoutError:
            continue


NO_ROOM = {"store": {"min_free": 1 << 60}}  # nothing can be held


def test_the_refusal_of_one_is_told_to_that_one_alone_and_once(gateway: MakeGateway, make_sink: MakeSink) -> None:
    """Where it cannot be held, that is."""
    hop = make_sink(lmtp=True, script={f". {DAN}": REFUSED})
    made = gateway(hop, more=NO_ROOM)
    assert attempt(made.port, BOB, DAN) == [250, 250, 451]
    assert attempt(made.port, DAN) == [550]
    assert attempt(made.port, BOB) == [250, 250]
    hop.wait_for(lambda: len(taken(hop)) == 1)
    assert taken(hop) == [(BOB,)]
    assert memo(made) == (0, 0)


def test_one_of_three_refused_at_rcpt_leaves_two(gateway: MakeGateway, sink: Sink) -> None:
    """Known recipients: the next hop changes its mind only when the mail comes, and nothing can be held."""
    made = gateway(sink, more=NO_ROOM)
    assert attempt(made.port, BOB, CAROL, DAN) == [250, 250, 250, 250]
    sink.script[f"RCPT {CAROL}"] = "550 5.1.1 gone"
    assert attempt(made.port, BOB, CAROL, DAN, text=b"X: y\r\n" + TEXT) == [250, 250, 250, 451]
    assert attempt(made.port, BOB, CAROL, DAN, text=b"X: y\r\n" + TEXT) == [250, 550, 250, 250]
    sink.wait_for(lambda: len(taken(sink)) == 2)
    assert taken(sink) == [(BOB, CAROL, DAN), (BOB, DAN)]
    assert memo(made) == (0, 0)


@pytest.mark.parametrize("way", ["closed", "reset", "half closed"])
def test_a_client_gone_before_our_250_gets_nothing_twice(gateway: MakeGateway, sink: Sink, way: str) -> None:
    sink.delays["."] = 0.5
    made = gateway(sink)
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        dialogue.envelope("a@example.net", BOB)
        assert dialogue.say("DATA").code == 354
        dialogue.send(TEXT + b".\r\n")
        sink.wait_for(lambda: bool(sink.commands("DATA")))
        threading.Event().wait(0.15)  # the body follows the next hop's 354 at once: it has left
        if way == "reset":
            dialogue.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if way == "half closed":
            dialogue.socket.shutdown(socket.SHUT_WR)
        else:
            dialogue.socket.close()
        made.wait_for("event=message ")
    assert memo(made) == (1, 0)
    assert attempt(made.port, BOB) == [250, 250]
    assert len(sink.accepted) == 1
    assert memo(made) == (0, 0)


# asking at RCPT


def test_what_the_next_hop_knows_is_asked_once(gateway: MakeGateway, sink: Sink) -> None:
    sink.script = {f"RCPT {CAROL}": "550 5.1.1 no such user", f"RCPT {DAN}": "450 4.2.1 busy"}
    made = gateway(sink)
    for _ in range(3):
        assert attempt(made.port, CAROL) == [550]
        assert attempt(made.port, DAN) == [450]
        assert attempt(made.port, BOB) == [250, 250]
    asked = sink.commands("RCPT")
    assert len([line for line in asked if CAROL in line]) == 1
    assert len([line for line in asked if DAN in line]) == 3
    assert len([line for line in asked if BOB in line]) == 1 + 3  # asked once, delivered to each time
    sink.refuse()
    assert attempt(made.port, CAROL) == [550]
    assert attempt(made.port, BOB) == [250, 451]
    assert attempt(made.port, "nobody-knows@example.org") == [451]


def test_500_unknown_recipients_at_a_postfix(
    gateway: MakeGateway, postfix_nexthop: Postfix, postfix_mailbox: Sink
) -> None:
    made = gateway(postfix_nexthop, more={"limits": {"errors": 1000, "errors_by_host": 10_000}})

    def unknown(number: int) -> set[int]:
        with Dialogue(made.port) as dialogue:
            dialogue.hello()
            dialogue.say("MAIL FROM:<a@example.net>")
            return {dialogue.say(f"RCPT TO:<nobody-{number}-{each}@example.org>").code for each in range(50)}

    with ThreadPoolExecutor(10) as pool:
        asking = [pool.submit(unknown, number) for number in range(10)]
        assert attempt(made.port, "bob@example.org") == [250, 250]
        assert set().union(*(each.result() for each in asking)) == {550}
    assert postfix_mailbox.wait(1)[0].recipients == ("bob@example.org",)


def test_200_slow_clients_before_a_postfix(
    gateway: MakeGateway, postfix_nexthop: Postfix, postfix_mailbox: Sink
) -> None:
    """They hold none of its connections while they dawdle: others are served, and in the end they are too."""
    made = gateway(postfix_nexthop, more={"limits": {"connections_by_host": 500}})
    slow = [Dialogue(made.port) for _ in range(200)]
    for dialogue in slow:
        dialogue.hello()
        assert [reply.code for reply in dialogue.envelope("a@example.net", "alice@example.org")] == [250, 250]
        assert dialogue.say("DATA").code == 354
        dialogue.send(b"Subject: slow\r\n\r\n")
    assert attempt(made.port, "bob@example.org") == [250, 250]
    for dialogue in slow:
        dialogue.send(b"text\r\n.\r\n")
    assert {dialogue.reply().code for dialogue in slow} == {250}
    for dialogue in slow:
        dialogue.socket.close()
    postfix_mailbox.wait(201, 30)
    assert "too many" not in postfix_nexthop.log()
