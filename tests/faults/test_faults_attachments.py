"""The attachment policy when something breaks: the confined process is killed, its worker is killed, the original cannot be kept."""

import os
import signal
import threading
import time
from pathlib import Path

from servers.attachments import PROGRAM, mail, zipped
from servers.dialogue import Dialogue
from servers.gateway import Gateway, MakeGateway
from servers.sink import Sink
from servers.stored import held, opened

BOB = "bob@example.org"
STRIP = {"attachments": [{"name": "programs", "flags": ["executable"], "action": "strip"}]}
HOLD = {**STRIP, "policies": {"default": {"unchecked": "quarantine"}}}
WITH_PROGRAM = mail("a.zip", zipped({"run.exe": PROGRAM}))
LONG = mail("a.zip", zipped({f"{number}.txt": b"%d" % number for number in range(9000)}))


def attempt(port: int, data: bytes) -> int:
    with Dialogue(port) as dialogue:
        dialogue.hello()
        dialogue.envelope("a@example.net", BOB)
        return dialogue.data(data + b".\r\n").code


def children(pid: int) -> list[int]:
    """Of all of its threads: the one that inspects has a thread of its own."""
    listed = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(each) for each in " ".join(listed).split()]


def processes(made: Gateway) -> tuple[int, int]:
    """The warm process of the one worker, and the one that inspects."""
    (worker,) = made.worker_pids()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        inspecting = [(warm, each) for warm in children(worker) for each in children(warm)]
        if inspecting:
            return inspecting[0]
        time.sleep(0.02)
    raise AssertionError("no confined process")


def used(pid: int) -> int:
    """Clock ticks of CPU that a process has used."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_process_killed_in_the_midst_of_a_mail_leaves_it_unchecked(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more=HOLD)
    assert attempt(made.port, WITH_PROGRAM) == 250
    _, inspecting = processes(made)
    before, codes = used(inspecting), list[int]()
    sending = threading.Thread(target=lambda: codes.append(attempt(made.port, LONG)))
    sending.start()
    while used(inspecting) < before + 5:
        assert sending.is_alive()
    os.kill(inspecting, signal.SIGKILL)
    sending.join(30)
    assert codes == [250]
    assert held(made.folder / "data") == {BOB: ["stripped", "unchecked"]}
    assert attempt(made.port, WITH_PROGRAM) == 250
    assert processes(made)[1] != inspecting
    assert len(sink.accepted) == 2


def test_both_processes_killed_between_two_mails_cost_nothing(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more=HOLD)
    for pid in processes(made):
        os.kill(pid, signal.SIGKILL)
    assert [attempt(made.port, WITH_PROGRAM) for _ in range(2)] == [250, 250]
    assert [PROGRAM in each.data for each in sink.accepted] == [False, False]
    assert held(made.folder / "data")[BOB] == ["stripped", "stripped"]


def test_a_worker_that_is_killed_takes_its_processes_with_it(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more=HOLD)
    gone = processes(made)
    made.kill_worker()
    until = time.monotonic() + 20
    while not all(map(ended, gone)):
        assert time.monotonic() < until
    assert attempt(made.port, WITH_PROGRAM) == 250
    assert held(made.folder / "data") == {BOB: ["stripped"]}


def test_what_was_taken_out_and_cannot_be_kept_is_kept_by_the_retry_and_not_delivered_again(
    gateway: MakeGateway, sink: Sink
) -> None:
    made = gateway(sink, more={**STRIP, "store": {"min_free": 1 << 60}})
    assert [attempt(made.port, WITH_PROGRAM) for _ in range(2)] == [452, 452]
    assert held(made.folder / "data") == {}
    made.reload(made.file.read_text().replace(str(1 << 60), "0"))
    made.wait_for("settings.taken")
    assert attempt(made.port, WITH_PROGRAM) == 250
    assert len(sink.accepted) == 1
    assert held(made.folder / "data") == {BOB: ["stripped"]}
    assert [each.raw for each in opened(made.folder / "data")] == [WITH_PROGRAM]
