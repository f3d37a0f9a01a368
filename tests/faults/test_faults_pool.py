"""Pools of scanners through the whole gateway: servers that die, hang, flap and come back, workers killed with places in hand."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.certificates import Certificates
from servers.dialogue import ClosedError, Dialogue
from servers.gateway import Gateway, MakeGateway, ports
from servers.sink import Sink
from servers.warm import run

ROOT = Path(__file__).resolve().parents[2]


class Spamds:
    """bench.spamds as a process of its own."""

    def __init__(self, count: int, work: float, **server: Any) -> None:
        self.addresses = [f"127.0.0.1:{port}" for port in ports(count)]
        servers = [{"host": "127.0.0.1", "port": int(each.rpartition(":")[2]), **server} for each in self.addresses]
        config = json.dumps({"times": [work], "servers": servers})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.spamds", config],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._heard()

    def _heard(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def do(self, command: str) -> Any:
        assert self._process.stdin
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._heard()

    def seen(self) -> list[int]:
        """Return how many requests each server has seen."""
        return [len(each["seen"]) for each in self.do("stats")]

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def spamds() -> Iterator[Callable[..., Spamds]]:
    made: list[Spamds] = []

    def make(count: int, work: float = 0.02, **server: Any) -> Spamds:
        made.append(Spamds(count, work, **server))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def pool(servers: list[str], **keys: object) -> dict[str, Any]:
    usual = {"name": "sa", "kind": "spamd", "servers": servers, "on_failure": "defer", "timeout": "10s"}
    return {"scanners": [usual | keys], "limits": {"connections_by_host": 500}}


class Flow:
    """Mail from several clients until `stop`; `codes` are the replies to the data."""

    def __init__(self, port: int, clients: int = 6) -> None:
        self.codes: list[int] = []
        self.slowest = 0.0
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(port,)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _send(self, port: int) -> None:
        while not self._ending.is_set():
            began = time.monotonic()
            self.codes.append(attempt(port))
            self.slowest = max(self.slowest, time.monotonic() - began)

    def more(self, count: int) -> None:
        """Wait until so many more mails were answered."""
        wanted = len(self.codes) + count
        until = time.monotonic() + 30
        while len(self.codes) < wanted:
            assert time.monotonic() < until, "mail stands still"
            time.sleep(0.005)

    def stop(self) -> list[int]:
        self._ending.set()
        for thread in self._threads:
            thread.join(60)
        return self.codes


def attempt(port: int) -> int:
    with Dialogue(port, timeout_s=30) as dialogue:
        dialogue.hello()
        dialogue.envelope()
        return dialogue.data(b"Subject: one\r\nX-Bench-Number: 1\r\n\r\ntext\r\n.\r\n").code


def scanners(made: Gateway, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return run("scanners", *arguments, "--settings", str(made.file))


def states(made: Gateway) -> dict[str, dict[str, Any]]:
    listed = scanners(made, "status", "--json").stdout.splitlines()
    return {each["server"]: each for each in map(json.loads, listed)}


def test_a_killed_server_loses_nothing_and_is_used_again(gateway: MakeGateway, sink: Sink, spamds) -> None:
    servers = spamds(3)
    made = gateway(sink, workers=2, more=pool(servers.addresses, connections=2))
    flow = Flow(made.port)
    for _ in range(3):  # it flaps
        flow.more(20)
        told = len(made.lines)
        servers.do("kill 2")
        made.wait_for(f"event=scanner.down .*{servers.addresses[2]}", since=told)
        flow.more(20)
        servers.do("start 2")
        began, before = time.monotonic(), servers.seen()[2]
        while servers.seen()[2] == before:
            assert time.monotonic() < began + 5
        assert time.monotonic() - began < 1.5  # the target is 1 s; the rest is a busy machine's
    assert set(flow.stop()) == {250}


def test_all_dead_is_known_at_once_and_is_no_verdict(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more=pool([f"127.0.0.1:{port}" for port in ports(3)]))
    assert attempt(made.port) == 451
    began = time.monotonic()
    assert [attempt(made.port) for _ in range(10)] == [451] * 10
    assert time.monotonic() - began < 5
    made.wait_for("event=scanner.down .*cause=.*refused")
    assert not sink.accepted


def test_a_server_that_hangs_holds_up_nobody_for_long(gateway: MakeGateway, sink: Sink, spamds) -> None:
    servers = spamds(3)
    made = gateway(sink, more=pool(servers.addresses, connections=2))
    flow = Flow(made.port)
    flow.more(60)
    servers.do("hang 0")
    flow.more(80)
    assert set(flow.stop()) == {250}
    assert flow.slowest < 5  # and not the ten seconds that an answer may take
    assert servers.seen()[0] < servers.seen()[1]


def test_drained_by_the_operator_and_back_again(gateway: MakeGateway, sink: Sink, spamds) -> None:
    servers = spamds(2)
    made = gateway(sink, workers=2, more=pool(servers.addresses, connections=2))
    first = servers.addresses[0]
    assert scanners(made, "drain", "sa", first).stdout.decode() == f"sa: {first} is drained\n"
    assert states(made)[first]["state"] == "drained"
    made.wait_for(f"event=scanner.drained scanner=sa server={first}")
    flow = Flow(made.port)
    flow.more(40)
    assert servers.seen()[0] == 0
    scanners(made, "undrain", "sa", first)
    flow.more(60)
    assert set(flow.stop()) == {250}
    assert servers.seen()[0] > 0
    refused = scanners(made, "drain", "sa", "elsewhere:1")
    assert refused.returncode == 1
    assert b"sa has no server elsewhere:1" in refused.stderr


def test_status_without_a_gateway_says_what_to_do(tmp_path: Path) -> None:
    ended = run("scanners", "status", "--data", str(tmp_path))
    assert ended.returncode == 1
    assert b"no gateway answers there" in ended.stderr


def test_a_worker_killed_with_places_in_hand_gives_them_back(gateway: MakeGateway, sink: Sink, spamds) -> None:
    servers = spamds(1, children=8)
    made = gateway(sink, workers=2, more=pool(servers.addresses, connections=2))
    servers.do("hang 0")
    waiting = [threading.Thread(target=suppressed, args=(made.port,)) for _ in range(6)]
    for thread in waiting:
        thread.start()
    until = time.monotonic() + 20
    while states(made)[servers.addresses[0]]["in_use"] < 2:
        assert time.monotonic() < until
    for _ in made.worker_pids():
        made.kill_worker(0)
    servers.do("start 0")
    for thread in waiting:
        thread.join(60)
    while (code := suppressed(made.port)) != 250:
        assert code == 0, "the places of the dead are still taken"
        assert time.monotonic() < until + 20
    assert states(made)[servers.addresses[0]]["in_use"] == 0


def suppressed(port: int) -> int:
    """Send a mail to a worker that may die of another's hand."""
    try:
        return attempt(port)
    except (OSError, ClosedError):
        return 0


@pytest.mark.parametrize(("balance", "at_once"), [("round-robin", 1), ("expected", 2)])
def test_places_are_shared_by_all_workers(gateway: MakeGateway, sink: Sink, spamds, balance: str, at_once: int) -> None:
    """The stand-in has eight children and is given one message at a time by both workers together, and at most one ahead."""
    servers = spamds(1, work=0.05, children=8)
    made = gateway(sink, workers=2, more=pool(servers.addresses, connections=1, balance=balance))
    flow = Flow(made.port, clients=8)
    flow.more(30)
    assert set(flow.stop()) == {250}
    begun = sorted(when for when, _ in servers.do("stats")[0]["seen"])
    assert min(later - earlier for earlier, later in zip(begun, begun[at_once:], strict=False)) > 0.045


def test_metrics_for_each_server(gateway: MakeGateway, sink: Sink, spamds) -> None:
    servers = spamds(2)
    made = gateway(
        sink,
        more=pool([*servers.addresses, f"127.0.0.1:{ports(1)[0]}"], connections=2, balance="round-robin"),
    )
    assert [attempt(made.port) for _ in range(4)] == [250] * 4
    made.wait_for("event=scanner.down")
    labels = [f'{{pool="sa",server="{address}"}}' for address in servers.addresses]
    until = time.monotonic() + 20
    while sum((metrics := made.metrics())[f"mpp_scanner_server_answers_total{each}"] for each in labels) != 4:
        assert time.monotonic() < until  # a worker tells of its answers four times a second
    assert [metrics[f"mpp_scanner_server_up{each}"] for each in labels] == [1, 1]
    assert sorted(value for name, value in metrics.items() if name.startswith("mpp_scanner_server_up")) == [0, 1, 1]
    assert metrics['mpp_scanner_waiting{pool="sa"}'] == 0


@pytest.mark.parametrize("wrong", ["expired", "wrong_name", "self_signed"])
def test_a_certificate_that_does_not_fit_is_a_server_that_is_down(
    gateway: MakeGateway, sink: Sink, certificates: Certificates, tls_spamd: Callable[..., str], wrong: str
) -> None:
    bad = tls_spamd(getattr(certificates, wrong))
    tls = {"tls": {"ca": str(certificates.ca)}}
    made = gateway(sink, more={**pool([f"tls:{bad}"]), **tls})
    assert attempt(made.port) == 451
    made.wait_for("event=scanner.down .*cause=.*CERTIFICATE_VERIFY_FAILED")
    good = tls_spamd(certificates.server)
    made.reload(made.file.read_text().replace(f"tls:{bad}", f"tls:{good}"))
    made.wait_for("settings.taken")
    assert attempt(made.port) == 250


@pytest.fixture
def tls_spamd() -> Iterator[Callable[..., str]]:
    """A spamd behind TLS with a given certificate; returns its address."""
    ends: list[socket.socket] = []

    def make(pair) -> str:
        context = pair.server_context()
        listening = socket.create_server(("127.0.0.1", 0))
        ends.append(listening)

        def serve() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(plain, server_side=True) as peer:
                        while b"text\r\n" not in peer.recv(65536):
                            pass
                        peer.sendall(b"SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: False ; 0.1 / 5.0\r\n\r\n")
                except OSError:
                    pass

        threading.Thread(target=serve, daemon=True).start()
        return f"127.0.0.1:{listening.getsockname()[1]}"

    yield make
    for each in ends:
        each.close()


def test_dns_that_fails_is_a_server_that_is_down_until_it_answers(gateway: MakeGateway, sink: Sink, spamds) -> None:
    """A name of the machine's own table is found without DNS; another is asked of a resolver that does not answer."""
    servers = spamds(1)
    named = servers.addresses[0].replace("127.0.0.1", "localhost")
    more = {**pool(["sa.example.org:783"], timeout="3s"), "node": {"resolvers": [f"127.0.0.1:{ports(1)[0]}"]}}
    made = gateway(sink, more=more)
    assert attempt(made.port) == 451
    made.wait_for("event=message .*scanner-failed")
    made.reload(made.file.read_text().replace("sa.example.org:783", named))
    made.wait_for("settings.taken")
    assert attempt(made.port) == 250
    assert any(name.startswith(named) for name in states(made))
