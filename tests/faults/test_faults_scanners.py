"""Scanners that hang, die in mid-answer, answer garbage or late, and a check that takes its worker down, through the gateway."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.dialogue import ClosedError, Dialogue
from servers.gateway import MakeGateway
from servers.sink import Sink
from servers.stored import opened

SERVE = str(Path(__file__).parent / "supervised" / "serve.py")
TEXT = b"Subject: one\r\n\r\ntext\r\n"


class Fake:
    """A scanner that answers every connection in its way: octets at once, after the message, or none."""

    def __init__(self) -> None:
        self.way = "hang"
        self.answer = b""
        self.met = 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._ending = threading.Event()
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._ending.set()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            self.met += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            try:
                if self.way == "close":
                    return
                peer.recv(1 << 16)
                match self.way:
                    case "hang":
                        self._ending.wait(30)
                    case "half":
                        peer.sendall(self.answer[: len(self.answer) // 2])
                    case "half and hang":
                        peer.sendall(self.answer[: len(self.answer) // 2])
                        self._ending.wait(30)
                    case "garbage":
                        peer.sendall(b"\x00\xff<html>\r\n\r\n550 5.0.0 ? \x1b[31m" * 100)
                    case "endless":
                        while not self._ending.is_set():
                            peer.sendall(b"x" * 4096)
                    case "for another":
                        peer.sendall(OF_ANOTHER)
                    case "twice":
                        peer.sendall(self.answer * 2)
                    case "late":
                        self._ending.wait(1)
                        peer.sendall(self.answer)
            except OSError:
                return


@pytest.fixture
def make_fake() -> Iterator[Callable[[], Fake]]:
    made: list[Fake] = []

    def make() -> Fake:
        made.append(Fake())
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def fake(make_fake: Callable[[], Fake]) -> Fake:
    return make_fake()


ANSWERS = {
    "spamd": b"SPAMD/1.1 0 EX_OK\r\nContent-length: 20\r\nSpam: False ; 0.1 / 5.0\r\n\r\n" + b"BAYES_50            ",
    "clamd": b"1: stream: OK\0",
}
OF_ANOTHER = b"7: stream: OK\0"
USUAL_WAYS = ["hang", "close", "half", "half and hang", "garbage", "endless", "late"]
WAYS = {"spamd": USUAL_WAYS, "clamd": [*USUAL_WAYS, "for another", "twice"]}  # spamd's connections carry one request


def attempt(port: int, text: bytes = TEXT, *, timeout_s: float = 20.0) -> int:
    with Dialogue(port, timeout_s=timeout_s) as dialogue:
        dialogue.hello()
        dialogue.envelope()
        return dialogue.data(text + b".\r\n").code


def scanner(kind: str, address: str, **keys: object) -> dict:
    usual = {"name": kind, "kind": kind, "servers": [address], "timeout": "500ms", "connect_timeout": "500ms"}
    return {"scanners": [usual | keys]}


@pytest.mark.parametrize("kind", ["spamd", "clamd"])
@pytest.mark.parametrize(("wish", "code"), [("defer", 451), ("continue", 250)])
def test_a_scanner_that_gives_no_answer_is_no_verdict(
    gateway: MakeGateway, sink: Sink, make_fake: Callable[[], Fake], kind: str, wish: str, code: int
) -> None:
    """Each way has a server of its own, since one that failed is left alone for a while."""
    first = make_fake()
    made = gateway(sink, more=scanner(kind, first.address, on_failure=wish))
    usual, heard, met = made.file.read_text(), {}, {}
    for way in WAYS[kind]:
        fake, seen = make_fake(), len(made.lines)
        fake.way, fake.answer = way, ANSWERS[kind]
        made.reload(usual.replace(first.address, fake.address))
        made.wait_for("settings.taken", since=seen)
        heard[way] = attempt(made.port, f"Subject: {way}\r\n\r\ntext\r\n".encode())
        met[way] = fake.met > 0
        made.wait_for("scanner-failed", since=seen)
    assert heard == dict.fromkeys(WAYS[kind], code)
    assert met == dict.fromkeys(WAYS[kind], True)
    if code == 250:
        sink.wait_for(lambda: len(sink.accepted) == len(WAYS[kind]))
    assert len(sink.accepted) == (len(WAYS[kind]) if code == 250 else 0)
    assert not any(b"X-Virus-Scanned" in message.data or b"X-Spam-Score" in message.data for message in sink.accepted)
    assert len([line for line in made.lines if "scanner-failed" in line]) == len(WAYS[kind])
    assert "event=fault" not in made.stderr


@pytest.mark.parametrize("kind", ["spamd", "clamd"])
def test_a_second_server_answers_for_the_first(
    gateway: MakeGateway, sink: Sink, fake: Fake, kind: str, request
) -> None:
    real = request.getfixturevalue(kind)
    fake.way = "close"
    servers = {"servers": [fake.address, real], "on_failure": "defer", "timeout": "20s"}
    made = gateway(sink, more=scanner(kind, fake.address, **servers))
    assert [attempt(made.port, timeout_s=60) for _ in range(4)] == [250] * 4
    assert fake.met > 0


@pytest.mark.parametrize(
    ("kind", "wish", "code"),
    [("spamd", None, 250), ("clamd", None, 552), ("clamd", "continue", 250), ("spamd", "defer", 452), ("spamd", "reject", 552)],
)  # fmt: skip
def test_a_message_too_large_for_the_scanner(
    gateway: MakeGateway, sink: Sink, fake: Fake, kind: str, wish: str | None, code: int
) -> None:
    keys = {"on_oversize": wish} if wish else {}
    made = gateway(sink, more=scanner(kind, fake.address, max_size=1024, **keys))
    assert attempt(made.port, TEXT + b"x" * 1100 + b"\r\n") == code
    assert fake.met == 0


def test_many_at_a_hanging_scanner_hold_up_nobody_but_themselves(gateway: MakeGateway, sink: Sink, fake: Fake) -> None:
    more = {**scanner("clamd", fake.address, connections=2), "limits": {"connections_by_host": 200}}
    made = gateway(sink, more=more)
    waiting = [Dialogue(made.port) for _ in range(50)]
    for dialogue in waiting:
        dialogue.hello()
        dialogue.envelope()
        assert dialogue.say("DATA").code == 354
        dialogue.send(TEXT + b".\r\n")
    with Dialogue(made.port, timeout_s=1.0) as other:
        assert other.hello().code == 250
        assert other.envelope()[1].code == 250
    assert {dialogue.reply().code for dialogue in waiting} == {451}
    for dialogue in waiting:
        dialogue.socket.close()


def crash(port: int, text: bytes) -> None:
    """Send a message that takes the worker down."""
    with pytest.raises((ClosedError, ConnectionError)):
        attempt(port, text)


@pytest.mark.parametrize("way", [b"ABORT", b"HANG"])
def test_a_message_in_hand_at_two_crashes_is_held_unread(gateway: MakeGateway, sink: Sink, way: bytes) -> None:
    made = gateway(sink, workers=1, script=SERVE, environment={"MPP_TEST_CHECK": "abort", "MPP_TEST_SILENCE_S": "0.8"})
    deadly = TEXT + way + b"\r\n"
    assert attempt(made.port) == 250
    crash(made.port, deadly)
    made.wait_for(r"level=error event=message.in_hand .*digest=\w+ crashes=1")
    assert attempt(made.port) == 250
    crash(made.port, b"Received: from elsewhere\r\n\tby here; now\r\n" + deadly)
    made.wait_for(r"event=message.in_hand .*crashes=2")
    assert attempt(made.port, deadly) == 250
    made.wait_for("level=error event=message.unread .*two crashes")
    assert [message.raw for message in opened(made.folder / "data")] == [deadly]
    assert attempt(made.port) == 250
    crash(made.port, b"X: another\r\n" + TEXT + b"ABORT\r\n")
    crash(made.port, b"X: a third\r\n" + TEXT + b"ABORT\r\n")
    assert attempt(made.port, b"X: harmless\r\n" + TEXT) == 250
    assert [message.data.count(way) for message in sink.wait(4)] == [0] * 4


def test_what_was_beside_a_deadly_message_is_taken(gateway: MakeGateway, fake: Fake, sink: Sink) -> None:
    """Others that are received or delivered when a message takes their worker down are not blamed for it."""
    sink.delays["."] = 0.5
    made = gateway(sink, workers=1, script=SERVE, environment={"MPP_TEST_CHECK": "abort"})
    for number in range(2):
        with Dialogue(made.port) as beside:
            beside.hello()
            beside.envelope()
            assert beside.say("DATA").code == 354
            beside.send(TEXT + b".\r\n")
            sink.wait_for(lambda count=number + 1: len(sink.commands("DATA")) == count)
            crash(made.port, TEXT + b"ABORT %d\r\n" % number)
            with pytest.raises((ClosedError, ConnectionError)):
                beside.reply()
    sink.delays.clear()
    assert attempt(made.port) == 250
