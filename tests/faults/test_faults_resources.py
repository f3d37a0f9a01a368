"""Memory, disk, log and time running short, through the whole gateway: it says no for now, and never loses or stops."""

import fcntl
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers.dialogue import ClosedError, Dialogue
from servers.gateway import Gateway, MakeGateway, gateway_settings, ports
from servers.sender import Sender, account
from servers.sink import Sink

MakeSink = Callable[..., Sink]
TEXT = b"Subject: one\r\n\r\ntext\r\n"
MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
BUDGET = 32 * MIB


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Peak:
    """The most memory that a process took while this was open, above what it had at its beginning."""

    def __init__(self, pid: int) -> None:
        self._pid, self.first = pid, resident(pid)
        self.most, self._end = self.first, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.01):
            self.most = max(self.most, resident(self._pid))


def deliver(port: int, wire: bytes, recipient: str = "bob@example.org", source: str = "") -> int:
    with Dialogue(port, timeout_s=60, source=source) as dialogue:
        dialogue.hello()
        dialogue.envelope("a@example.net", recipient)
        return dialogue.data(wire + b".\r\n").code


def slowest_loop(made: Gateway) -> float:
    """The bound of the highest bucket of the loop's lag that something fell into."""
    buckets = {}
    for name, count in made.metrics().items():
        if match := re.fullmatch(r'mpp_loop_lag_seconds_bucket\{le="(.+)"\}', name):
            buckets[float(match[1])] = count
    return min(bound for bound, count in buckets.items() if count == buckets[float("inf")])


def test_200_clients_with_more_than_the_memory_holds(gateway: MakeGateway, make_sink: MakeSink) -> None:
    hop = make_sink(keep_data=False)
    made = gateway(
        hop, more={"memory": {"in_flight": BUDGET}, "limits": {"connections_by_host": 500, "message_size": 4 * MIB}}
    )
    wire = TEXT + (b"x" * 76 + b"\r\n") * (2 * MIB // 78)
    said: list[int] = []
    (pid,) = made.worker_pids()

    def insist(number: int) -> None:
        name, pause = f"recipient-{number}@example.org", 0.1
        while (code := deliver(made.port, wire, name, source=f"127.0.{number}.1")) != 250:
            assert code == 452
            said.append(code)
            threading.Event().wait(pause)
            pause *= 1.5

    with Peak(pid) as peak, ThreadPoolExecutor(200) as pool:
        for each in [pool.submit(insist, number) for number in range(200)]:
            each.result()
    hop.wait_for(lambda: len(hop.accepted) >= 200)
    assert sorted(each.recipients[0] for each in hop.accepted) == sorted(
        f"recipient-{n}@example.org" for n in range(200)
    )
    assert said, "nobody met the limit"
    assert peak.most < BUDGET + 100 * MIB
    assert slowest_loop(made) <= 0.5


def nested(levels: int) -> bytes:
    opened = (b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(levels))
    return b"Subject: x\r\n" + b"".join(opened) + b"\r\ndeep\r\n"


def parts(count: int) -> bytes:
    part = b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
    return b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + part * count + b"--b--\r\n"


def encoded(encoding: bytes, piece: bytes) -> bytes:
    header = b"Subject: x\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    return header + piece * (8 * MIB // len(piece)) + b"\r\n"


BOMBS = {
    "nesting 10,000": (lambda: nested(10_000), {250}),
    "100,000 parts": (lambda: parts(100_000), {250}),
    "header of 10 MiB in fields": (lambda: b"X-Field: some text\r\n" * (10 * MIB // 20) + b"\r\nx\r\n", {250, 554}),
    "header of 10 MiB in one field": (lambda: b"X-Field: a\r\n" + b" folded\r\n" * (10 * MIB // 9) + b"\r\n\r\n", {250, 554}),
    "50 MiB of CR": (lambda: TEXT + b"\r" * (49 * MIB) + b"\r\n", {552}),
    "24 MiB of CR": (lambda: TEXT + b"\r" * (24 * MIB) + b"\r\n", {250}),
    "8 MiB of broken escapes": (lambda: encoded(b"quoted-printable", b"=\r\n=G"), {250}),
    "8 MiB of broken base64": (lambda: encoded(b"base64", b"Q-U!J\r\nD =="), {250}),
    "line of 20 MiB": (lambda: TEXT + b"x" * (20 * MIB) + b"\r\n", {250}),
}  # fmt: skip


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Sink]]:
    folder, (port, status) = tmp_path_factory.mktemp("trusting"), ports(2)
    more = {"networks": {"trusted": ["127.0.0.0/8"]}, "limits": {"errors_by_host": 100_000}}
    with Sink(keep_data=False) as hop:
        text = gateway_settings(folder, hop.address, port=port, status_port=status, more=more)
        with Gateway(folder, settings=text, port=port, status_port=status) as made:
            yield made, hop


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_cheap_and_others_are_served(trusting: tuple[Gateway, Sink], bomb: str) -> None:
    made, _ = trusting
    make, expected = BOMBS[bomb]
    wire = make()
    (pid,) = made.worker_pids()
    deliver(made.port, TEXT)
    before, waits = processor_s(pid), []
    with Peak(pid) as peak, ThreadPoolExecutor(1) as pool:
        thrown = pool.submit(deliver, made.port, wire)
        while not thrown.done():
            begun = time.monotonic()
            assert deliver(made.port, TEXT, "carol@example.org") == 250
            waits.append(time.monotonic() - begun)
        assert thrown.result() in expected
    assert max(waits, default=0) < 1.0
    assert processor_s(pid) - before - 0.002 * len(waits) < 5.0
    assert peak.most - peak.first < 100 * MIB + 2 * len(wire)
    assert slowest_loop(made) <= 0.5


def test_500_idle_connections_cost_little(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more={"limits": {"connections_by_host": 1000}})
    deliver(made.port, TEXT)
    (pid,) = made.worker_pids()
    before = resident(pid)
    idle = [Dialogue(made.port) for _ in range(500)]
    for dialogue in idle:
        dialogue.hello()
    assert resident(pid) - before < 20 * MIB
    assert deliver(made.port, TEXT) == 250
    for dialogue in idle:
        dialogue.socket.close()


@pytest.fixture
def small_disk(gateway: MakeGateway, tmp_path: Path) -> Callable[[Sink], tuple[Gateway, Path]]:
    """Start a gateway whose data folder is a tmpfs of 4 MiB that nobody else sees; its place from outside."""

    def start(hop: Sink) -> tuple[Gateway, Path]:
        if os.geteuid() != 0 or not shutil.which("unshare"):
            pytest.skip("unshare -m needs root")
        folder = tmp_path / "gateway-1" / "data"
        mount = f'mkdir -p "{folder}" && mount -t tmpfs -o size=4m none "{folder}" && exec "$@"'
        made = gateway(hop, command=("unshare", "-m", "--propagation", "private", "sh", "-c", mount, "sh"))
        return made, Path(f"/proc/{made.process.pid}/root{folder}")

    return start


def fill(path: Path) -> None:
    """Write to the file until its disk is full."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(file, b"x" * 4096):
            pass
    except OSError:  # no space left
        os.close(file)


def test_a_full_disk_acknowledges_nothing_that_is_not_safe(
    small_disk: Callable[[Sink], tuple[Gateway, Path]], make_sink: MakeSink
) -> None:
    hop = make_sink(lmtp=True, script={". carol@example.org": "451 4.2.1 later"})
    made, disk = small_disk(hop)
    filler = disk / "filler"
    fill(filler)
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        dialogue.envelope("a@example.net", "bob@example.org", "carol@example.org")
        assert 400 <= dialogue.data(TEXT + b".\r\n").code < 500
        dialogue.envelope("a@example.net", "bob@example.org")  # nothing to remember: it passes
        assert dialogue.data(b"X: y\r\n" + TEXT + b".\r\n").code == 250
    made.wait_for("level=error.*full")
    made.reload()
    made.wait_for("settings.refused|settings.taken|level=error.*settings")
    filler.unlink()
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        for _ in range(2):
            dialogue.envelope("a@example.net", "bob@example.org", "carol@example.org")
            assert dialogue.data(b"X: z\r\n" + TEXT + b".\r\n").code == 451
        hop.script.clear()
        dialogue.envelope("a@example.net", "bob@example.org", "carol@example.org")
        assert dialogue.data(b"X: z\r\n" + TEXT + b".\r\n").code == 250
    arrived = [message for message in hop.messages if b"\r\nX: z\r\n" in message.data]
    assert [message.recipients for message in arrived] == [
        ("bob@example.org", "carol@example.org"), ("carol@example.org",), ("carol@example.org",),
    ]  # fmt: skip


def test_a_reader_of_the_log_that_reads_no_more_stops_no_mail(gateway: MakeGateway, sink: Sink, tmp_path: Path) -> None:
    """stderr is a full pipe, and later one that nobody has open at its other end."""
    pipe = tmp_path / "stderr"
    os.mkfifo(pipe)
    made = gateway(sink, workers=2, ready=False, command=("sh", "-c", f'exec "$@" 2>"{pipe}"', "sh"))
    with pipe.open("rb") as reader:
        while reader.readline() != b"ready\n":
            pass
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        senders = [Sender(made.port, ("bob@example.org",)) for _ in range(4)]
        sink.wait(500)
    sink.wait(1000)
    sent = [message for sender in senders for message in sender.finish()]
    assert account(sent, sink) == []
    assert {sender.connections for sender in senders} == {1}
    assert made.metrics()["mpp_log_lines_dropped_total"] > 500
    assert made.stop() == 0


FORGED = "x\r\nlevel=error event=forged \x1b[31m\u202e\u2028\x85 x"


def test_no_field_forges_a_line_of_the_log(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more={"networks": {"proxies": ["127.0.0.0/8"]}})
    sink.script["."] = "250 2.0.0 ok \x1b[31m\x85 event=forged\u202e"
    forged = FORGED.replace("\r\n", "\n").replace(" ", "\t").encode()
    quoted = FORGED.replace("\r\n", "").replace(" ", "=")
    with Dialogue(made.port) as dialogue:
        for line in (b"EHLO " + forged, b"MAIL FROM:<" + forged + b"@example.net>", b"EVENT=forged", b"\x1b[31m"):
            with Dialogue(made.port) as other:
                other.send(line + b"\r\n")
                try:
                    assert other.reply().code >= 500
                except ClosedError:
                    continue
        dialogue.hello("[event=forged]")
        dialogue.say(b"XFORWARD NAME=event+3Dforged+0D+0Aevent=forged HELO=+1B[31m+E2+80+AE SOURCE=REMOTE")
        dialogue.say(f'MAIL FROM:<"event=forged {quoted.encode("ascii", "ignore").decode()}"@example.net>')
        dialogue.say('MAIL FROM:<"event=forged level=error"@example.net>')
        dialogue.say('RCPT TO:<"level=error event=forged"@example.org>')
        dialogue.say("RCPT TO:<bob@example.org>")
        message = b"Subject: " + FORGED.encode() + b"\r\nMessage-ID: <\x1b[31m event=forged>\r\n\r\n"
        answer = dialogue.data(message + b".\r\n")
    made.wait_for("event=message ")
    assert answer.code == 250
    for line in made.lines[1:]:
        assert line.isprintable(), line
        assert line == "ready" or re.match(r"time=\S+ level=\w+ event=[\w.-]+( |$)", line), line
        assert not re.search(r"(?<!\S)event=forged(?=\s|$)", re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)), line


def test_no_process_is_left(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, workers=2)
    group = made.process.pid
    assert made.stop() == 0
    listed = subprocess.run(["ps", "-o", "pid=", "-g", str(group)], capture_output=True, text=True, check=False)
    assert listed.stdout.split() == []
