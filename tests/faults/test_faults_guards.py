"""Through the gateway: a message that kills an engine, a rule that goes wild, a wave of spam, and an attempt to poison the memory."""

import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app
from servers.dialogue import Dialogue
from servers.gateway import Gateway, MakeGateway
from servers.sink import Sink

SERVE = str(Path(__file__).parent / "supervised" / "serve.py")
WORDS = [f"{one}{other}" for one in "bdfgklmnprst" for other in ("ade", "ilo", "uva", "emir", "osta", "ankel", "ubri", "ordan")]  # fmt: skip


class Spamd:
    """A spamd that gives 20 points by the rule WILD to a text with `wild` in it, and closes over one with `deadly`."""

    def __init__(self) -> None:
        self.wild, self.deadly = b"no such text", b"no such text"
        self.asked = 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as octets:
            head = b"".join(iter(octets.readline, b"\r\n"))
            length = re.search(rb"Content-length: (\d+)", head)
            if length is None:
                peer.sendall(b"SPAMD/1.5 0 PONG\r\n")
                return
            data = octets.read(int(length[1]))
            self.asked += head.startswith(b"REPORT")  # and no question of its version
            if self.deadly in data:
                return
            points = 20.0 if self.wild in data else 0.5
            rows = b"---- ---------------------- %b\r\n%4.1f %b a rule\r\n" % (
                b"-" * 50,
                points,
                b"WILD" if points > 1 else b"TAME",
            )
            peer.sendall(
                b"SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: False ; %.1f / 5.0\r\n\r\n%b"
                % (len(rows), points, rows)
            )


@pytest.fixture
def spamd_by_text() -> Iterator[Spamd]:
    spamd = Spamd()
    yield spamd
    spamd.stop()


@pytest.fixture
def made(gateway: MakeGateway, sink: Sink, spamd_by_text: Spamd) -> Gateway:
    scanner = {"name": "spamd", "kind": "spamd", "servers": [spamd_by_text.address], "timeout": "20s"}
    return gateway(sink, more={"scanners": [scanner], "campaigns": {"envelopes": 3}}, workers=2)


class Senders:
    """Sends texts, each from a sender of its own, over one connection."""

    def __init__(self, port: int) -> None:
        self._dialogue = Dialogue(port)
        self._dialogue.hello()
        self.sent = 0

    def __call__(self, text: str) -> int:
        self.sent += 1
        self._dialogue.envelope(f"sender{self.sent}@example.net")
        return self._dialogue.data(f"Subject: {self.sent}\r\n\r\n{text}\r\n.\r\n".encode()).code

    def __enter__(self) -> "Senders":
        return self

    def __exit__(self, *_: object) -> None:
        self._dialogue.__exit__()


def prose(draw: random.Random, words: int = 120) -> str:
    return "\r\n".join(" ".join(draw.choices(WORDS, k=10)) for _ in range(words // 10))


def test_a_message_that_kills_its_scanner_twice_is_held_and_not_given_to_it_again(
    made: Gateway, sink: Sink, spamd_by_text: Spamd
) -> None:
    spamd_by_text.deadly = b"DEADLY"
    with Senders(made.port) as send:
        until = time.monotonic() + 60
        while "scanner-spared" not in made.stderr:  # a crash counts while the scanner is there and known to work
            assert time.monotonic() < until
            assert send("harmless") == 250
            assert attempt(made, "DEADLY") == 250  # on_failure = continue: it goes on, or it is held
        asked, delivered = spamd_by_text.asked, deadly_ones(sink)
        assert {attempt(made, "DEADLY") for _ in range(5)} == {250}
        assert spamd_by_text.asked == asked  # no storm
        assert send("harmless") == 250
    assert deadly_ones(sink) == delivered  # all five are in the quarantine
    assert "outcome=held causes=guards.troubles" in made.wait_for("event=message .*scanner-spared.*").group()


def deadly_ones(sink: Sink) -> int:
    return sum(b"DEADLY" in message.data for message in sink.accepted)


def attempt(made: Gateway, text: str) -> int:
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        dialogue.envelope()
        return dialogue.data(f"Subject: x\r\n\r\n{text}\r\n.\r\n".encode()).code


def test_the_victims_of_a_rule_are_found_by_one_command(
    made: Gateway, sink: Sink, spamd_by_text: Spamd, tmp_path: Path
) -> None:
    """Too early to know what is usual, so that nothing is demoted: the rule refuses all that it hits."""
    draw = random.Random(1)
    with Senders(made.port) as send:
        assert {send(prose(draw)) for _ in range(30)} == {250}
        spamd_by_text.wild = b"e"  # in every text
        assert {send(prose(draw)) for _ in range(20)} == {554}
    made.wait_for("event=message id=.*WILD.*sender=sender50@|sender=sender50@.*WILD")
    log = tmp_path / "log"
    log.write_text("\n".join(made.lines))
    victims = CliRunner().invoke(app, ["scanners", "victims", "spamd/WILD", str(log)]).output.splitlines()
    assert len(victims) == 20
    assert len(sink.accepted) == 30


def test_a_rule_that_goes_wild_only_marks_from_its_jump_on_and_counts_again_when_it_has_settled(
    gateway: MakeGateway, sink: Sink, spamd_by_text: Spamd
) -> None:
    scanner = {"name": "spamd", "kind": "spamd", "servers": [spamd_by_text.address], "timeout": "20s"}
    more = {"scanners": [scanner], "campaigns": {"on": False}, "guards": {"jump_after": 50, "jump_hits": 10}}
    made = gateway(sink, more=more, workers=1, script=SERVE, environment={"MPP_TEST_WINDOW_S": "0.5"})
    draw = random.Random(4)
    with Senders(made.port) as send:
        tame = time.monotonic() + 2  # four windows: the first two are what is usual
        while time.monotonic() < tame:
            assert send(prose(draw)) == 250
        spamd_by_text.wild = b"e"
        codes = [send(prose(draw)) for _ in range(60)]
        refused = codes.index(250)
        assert 10 <= refused < 50
        assert set(codes[:refused]) == {554}
        assert set(codes[refused:]) == {250}
        made.wait_for("guard-jumped .*name=spamd/WILD ")
        assert b"\r\nX-Spam-Flag: YES" in sink.accepted[-1].data
        spamd_by_text.wild = b"no such text"
        until = time.monotonic() + 20
        while "guard-settled" not in made.stderr:
            assert time.monotonic() < until
            assert send(prose(draw)) == 250


def test_a_wave_of_spam_is_decided_without_the_scanner(made: Gateway, spamd_by_text: Spamd) -> None:
    draw = random.Random(2)
    text = prose(draw, 300)
    spamd_by_text.wild = text[:20].encode()
    codes = []
    for number in range(40):  # each its own connection, so that both workers get some
        with Senders(made.port) as send:
            send.sent = number
            codes.append(send(f"{text}\r\nDear {draw.choice(WORDS)}, {draw.random()}"))
    assert set(codes) == {554}
    assert spamd_by_text.asked <= 11  # some four that teach both, and each tenth of a worker
    until = time.monotonic() + 10  # the last ones are told a moment after their replies
    while len([line for line in made.lines if "CAMPAIGN" in line]) != 40 - spamd_by_text.asked:
        assert time.monotonic() < until


def test_a_poisoned_text_is_given_up_at_the_first_look_of_the_scanner(made: Gateway, spamd_by_text: Spamd) -> None:
    """An attacker sends a newsletter's words with something that the scanner knows as spam; then the newsletter comes."""
    draw = random.Random(3)
    letter = prose(draw, 300)
    spamd_by_text.wild = b"BAIT"
    with Senders(made.port) as send:
        assert {send(f"{letter}\r\nBAIT") for _ in range(30)} == {554}
        codes = [send(letter) for _ in range(60)]
    wrong = codes.count(554)
    assert wrong <= 2 * 9  # recheck - 1 for each of two workers
    assert set(codes[-20:]) == {250}
