"""Workers killed, stopped and reloaded under load, through the whole gateway: what got 250 is at the next hop, and once."""

import asyncio
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.dialogue import Dialogue
from servers.gateway import Gateway, MakeGateway
from servers.sender import Sender, account, deliveries
from servers.sink import Sink

SERVE = str(Path(__file__).parent / "supervised" / "serve.py")
MANY = {"limits": {"connections_by_host": 5000, "connections": 5000, "commands": 100_000}, "log": {"level": "debug"}}
ONE = b"Subject: one\r\n\r\ntext\r\n.\r\n"


def kill_at_random(made: Gateway, rounds: int, seed: int) -> None:
    """Kill a random worker, again and again, at random moments; the dead one is back before the next is chosen."""
    chance = random.Random(seed)
    threading.Event().wait(0.3)
    for _ in range(rounds):
        seen = len(made.lines)
        threading.Event().wait(chance.uniform(0, 0.8))
        os.kill(chance.choice(made.worker_pids()), signal.SIGKILL)
        made.wait_for("process.started", since=seen)


@pytest.fixture
def rounds(soak: bool, request: pytest.FixtureRequest) -> int:
    if soak:
        request.node.add_marker(pytest.mark.timeout(1800))
    return 100 if soak else 10


@pytest.mark.parametrize("kind", ["smtp", "lmtp"])
def test_what_got_250_is_at_the_next_hop_once(
    gateway: MakeGateway, make_sink: Callable[..., Sink], rounds: int, kind: str
) -> None:
    """In LMTP one of two recipients is put off now and then: 451, and a memo, on which the retry depends."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    hop = make_sink(lmtp=kind == "lmtp")
    hop.delays["."] = 0.003  # so that many a kill comes between the dot and its answer
    if kind == "lmtp":
        chance = random.Random(seed)
        hop.script[". carol@example.org"] = [chance.choice(["451 4.2.1 later", "250 2.0.0 ok"]) for _ in range(100_000)]
    made = gateway(hop, workers=2, more=MANY)
    recipients = ("bob@example.org",) if kind == "smtp" else ("bob@example.org", "carol@example.org")
    senders = [Sender(made.port, recipients) for _ in range(6)]
    kill_at_random(made, rounds, seed)
    assert [line for line in made.lines if "event=fault" in line] == []
    sent = [message for sender in senders for message in sender.finish()]
    assert made.stop() == 0
    unanswered = sum(message.unanswered for message in sent)
    taken = [[reply for reply in replies if reply[:1] in ("", "2")] for replies in deliveries(hop).values()]
    copies = sum(max(len(replies) - 1, 0) for replies in taken)
    print(f"{len(sent)} messages, {sum(m.attempts for m in sent)} attempts, {unanswered} unanswered, {copies} copies")
    assert account(sent, hop) == [], f"seed {seed}"
    assert len(sent) > 5 * rounds
    assert {message.code for message in sent} == {250}
    assert [lost for sender in senders for lost in sender.before_greeting] == []


def test_a_killed_worker_is_back_within_a_second(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, workers=1, more=MANY)
    made.kill_worker()
    before = time.monotonic()
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        dialogue.envelope()
        assert dialogue.data(ONE).code == 250
    assert time.monotonic() - before < 1.0


async def greeted(port: int) -> str:
    """Connect, wait for the greeting, leave; return the greeting, or what came instead of it."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            line = await asyncio.wait_for(reader.readline(), 20)
            writer.write(b"QUIT\r\n")
            return line.decode()
        finally:
            writer.close()
    except (OSError, TimeoutError) as error:
        return repr(error)


@pytest.mark.parametrize("way", ["kill", "hang", "reload"])
async def test_none_of_500_connections_is_reset_before_its_greeting(gateway: MakeGateway, sink: Sink, way: str) -> None:
    made = gateway(sink, workers=2, more=MANY, script=SERVE, environment={"MPP_TEST_SILENCE_S": "1.0"})
    waiting = []
    for number in range(500):
        waiting.append(asyncio.create_task(greeted(made.port)))
        if number % 100 == 50:
            match way:
                case "kill":
                    made.kill_worker()
                case "hang" if number == 50:
                    os.kill(made.worker_pids()[0], signal.SIGSTOP)
                case "reload":
                    made.reload()
        if number % 10 == 0:
            await asyncio.sleep(0.01)  # they come over a second or so, and meet every state of the workers
    said = await asyncio.gather(*waiting)
    # A worker takes a connection and greets it before it takes the next, so a kill in that instant closes one, and no more.
    allowed = 5 if way == "kill" else 0
    assert sorted(said)[allowed:] == ["220 mpp.example ESMTP MPP\r\n"] * (500 - allowed)
    assert set(said) <= {"220 mpp.example ESMTP MPP\r\n", *([""] if allowed else [])}
    if way == "hang":
        made.wait_for("event=worker.silent")


def test_a_reload_holds_from_the_next_transaction_on_and_loses_no_connection(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, workers=2, more=MANY)
    senders = [Sender(made.port, ("bob@example.org",)) for _ in range(4)]
    usual = made.file.read_text()
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        dialogue.envelope()
        seen = len(made.lines)
        made.reload(usual.replace("connections = 5000", "connections = 5000, recipients = 1", 1))
        made.wait_for("settings.taken", since=seen)
        assert dialogue.say("RCPT TO:<carol@example.org>").code == 250, "a transaction keeps the settings it began with"
        assert dialogue.data(ONE).code == 250
        assert [answer.code for answer in dialogue.envelope("a@example.net", "bob@example.org", "carol@example.org")] == [
            250, 250, 452,
        ]  # fmt: skip
        dialogue.say("RSET")
        for wrong in ("recipients = 0", 'recipients = "many"', "recipient = 5", "recipients = "):
            seen = len(made.lines)
            made.reload(usual.replace("connections = 5000", f"connections = 5000, {wrong}", 1))
            assert "mpp.toml:" in made.wait_for("settings.refused.*", since=seen)[0]
            assert dialogue.envelope("a@example.net", "bob@example.org", "carol@example.org")[2].code == 452
            dialogue.say("RSET")
    sent = [message for sender in senders for message in sender.finish()]
    assert account(sent, sink) == []
    assert [(sender.connections, len(sender.before_greeting)) for sender in senders] == [(1, 0)] * 4
    assert {message.attempts for message in sent} == {1}


def test_reloads_without_end_under_load_lose_nothing(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, workers=2, more=MANY)
    senders = [Sender(made.port, ("bob@example.org",)) for _ in range(4)]
    for _ in range(20):
        seen = len(made.lines)
        made.reload()
        made.wait_for("settings.taken", since=seen)
    sent = [message for sender in senders for message in sender.finish()]
    assert account(sent, sink) == []
    assert {sender.connections for sender in senders} == {1}
    assert "event=fault" not in made.stderr


@pytest.fixture
def held(gateway: MakeGateway, sink: Sink) -> Iterator[tuple[Gateway, list[Dialogue]]]:
    """A gateway with 20 messages whose next hop has not answered yet."""
    sink.delays["."] = 1.0
    made = gateway(sink, workers=2, more=MANY)
    dialogues = [Dialogue(made.port) for _ in range(20)]
    for dialogue in dialogues:
        dialogue.hello()
        dialogue.envelope()
        assert dialogue.say("DATA").code == 354
        dialogue.send(ONE)
    sink.wait_for(lambda: len(sink.commands("DATA")) == 20, "20 messages on their way")
    yield made, dialogues
    for dialogue in dialogues:
        dialogue.socket.close()


def test_sigterm_lets_what_is_in_flight_have_its_reply(held: tuple[Gateway, list[Dialogue]], sink: Sink) -> None:
    made, dialogues = held
    with Dialogue(made.port) as idle, Dialogue(made.port) as sending:
        sending.hello()
        sending.envelope()
        assert sending.say("DATA").code == 354
        sending.send(b"Subject: half")
        made.process.terminate()
        assert idle.reply().code == 421
        assert idle.closed()
        sending.send(b" and half\r\n\r\ntext\r\n.\r\n")
        assert [dialogue.reply().code for dialogue in (*dialogues, sending)] == [250] * 21
    assert made.process.wait(10) == 0
    assert len(sink.accepted) == 21


def test_sigterm_under_load_loses_nothing(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, workers=2, more=MANY)
    senders = [Sender(made.port, ("bob@example.org",)) for _ in range(6)]
    sink.wait(100)
    assert made.stop() == 0
    sent = [message for sender in senders for message in sender.give_up()]
    assert account(sent, sink) == []
    assert sum(message.unanswered for message in sent) == 0


def test_workers_end_with_a_killed_supervisor(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, workers=2, more=MANY)
    with Dialogue(made.port) as dialogue:
        os.kill(made.process.pid, signal.SIGKILL)
        assert dialogue.reply().code == 421
    deadline = time.monotonic() + 5
    while taken(made.port):
        assert time.monotonic() < deadline


def taken(port: int) -> bool:
    """True while somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionError:
        return False
    return True
