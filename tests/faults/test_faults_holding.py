"""Quarantine and archive through the whole gateway: every copy that is promised is there, and nobody is told twice."""

import base64
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mpp.store.check import Counts, check
from mpp.store.opening import open_store_catalog
from mpp.store.reader import Reader
from mpp.store.schema import messages, nodes, segments
from mpp.store.settings import Store
from servers.attachments import PROGRAM
from servers.dialogue import Dialogue
from servers.gateway import Gateway, MakeGateway
from servers.sink import Sink
from servers.stored import held, opened, rows

MakeSink = Callable[..., Sink]
TEXT = b"Subject: one\r\n\r\ntext\r\n"
BOB, CAROL, DAN = "bob@example.org", "carol@example.org", "dan@example.org"
HOLD = {"tag_above": "off", "mark_above": "off", "quarantine_above": 0, "reject_above": "off"}
ARCHIVE = {"policies": {"default": {"archive": True}}}


def attempt(port: int, *recipients: str, text: bytes = TEXT) -> list[int]:
    with Dialogue(port) as dialogue:
        dialogue.hello()
        codes = [reply.code for reply in dialogue.envelope("a@example.net", *recipients)[1:]]
        return [*codes, dialogue.data(text + b".\r\n").code] if 250 in codes else codes


def data_of(made: Gateway) -> Path:
    return made.folder / "data"


def test_what_is_held_is_there_octet_for_octet(gateway: MakeGateway, sink: Sink, catalog_setting: str) -> None:
    made = gateway(sink, more={"policies": {"default": HOLD}, "store": {"catalog": catalog_setting}})
    settings = Store(catalog=catalog_setting)
    assert attempt(made.port, BOB, CAROL) == [250, 250, 250]
    assert held(data_of(made), settings) == {BOB: ["spam"], CAROL: ["spam"]}
    (message,) = opened(data_of(made), settings)
    assert message.raw == TEXT
    assert message.envelope.reverse_path == "a@example.net"
    assert message.described["about"]["why"]
    assert sink.messages == []
    assert made.metrics()['mpp_messages_total{disposition="quarantine"}'] == 1


def test_a_segment_is_of_the_node_that_the_background_process_names(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more={"policies": {"default": HOLD}})
    made.wait_for("event=background.ready")
    assert attempt(made.port, BOB) == [250, 250]
    deadline = time.monotonic() + 20
    while not (told := rows(data_of(made), nodes)):
        assert time.monotonic() < deadline
    assert [row["node"] for row in rows(data_of(made), segments)] == [row["name"] for row in told] == ["mpp.example"]


def two_policies(**more: object) -> dict:
    return {
        "policies": {"default": {}, "held": HOLD, "never": {**HOLD, "quarantine_above": "off", "reject_above": 0}},
        "policy_rules": [{"policy": "held", "recipients": [CAROL]}, {"policy": "never", "recipients": [DAN]}],
        **more,
    }


def test_each_recipient_has_what_the_policy_says(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more=two_policies())
    assert attempt(made.port, BOB, CAROL, DAN) == [250, 250, 250, 250]
    assert [message.recipients for message in sink.accepted] == [(BOB,)]
    assert held(data_of(made)) == {CAROL: ["spam"], DAN: ["spam"]}
    assert attempt(made.port, DAN) == [250, 554]  # alone, so it is refused
    assert held(data_of(made)) == {CAROL: ["spam"], DAN: ["spam"]}


def test_split_has_each_policy_come_alone(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more=two_policies(recipients={"mixed": "split"}))
    assert attempt(made.port, BOB, CAROL) == [250, 452, 250]


def test_a_late_refusal_is_held_and_told_to_the_operator(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink)
    assert attempt(made.port, BOB, CAROL) == [250, 250, 250]
    sink.script[f"RCPT {CAROL}"] = "550 5.1.1 gone"
    assert attempt(made.port, BOB, CAROL) == [250, 250, 250]
    assert held(data_of(made)) == {CAROL: ["undeliverable"]}
    made.wait_for(r'level=error event=undeliverable .*carol@example.org .*reply="550 5.1.1 gone"')


def test_the_archive_has_a_copy_of_what_was_accepted_only(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more=ARCHIVE)
    sink.script["."] = ["451 4.0.0 later", "250 2.0.0 ok"]
    assert attempt(made.port, BOB) == [250, 451]
    assert rows(data_of(made), messages) == []
    assert attempt(made.port, BOB) == [250, 250]
    (row,) = rows(data_of(made), messages)
    assert row["archived_until"]
    assert held(data_of(made)) == {}
    assert opened(data_of(made))[0].raw == TEXT


def full(more: dict) -> dict:
    return {**more, "store": {"min_free": 1 << 60}}


def test_without_room_held_mail_waits_and_clean_mail_goes_on(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more=full(two_policies()))
    assert attempt(made.port, CAROL) == [250, 452]
    assert attempt(made.port, BOB) == [250, 250]
    assert attempt(made.port, BOB, CAROL) == [250, 250, 451]  # bob has it, and the retry is for carol
    made.wait_for("level=error event=hold-failed .*store.min_free")
    made.reload(made.file.read_text().replace(str(1 << 60), "0"))
    made.wait_for("settings.taken")
    assert attempt(made.port, BOB, CAROL) == [250, 250, 250]
    assert [message.recipients for message in sink.accepted] == [(BOB,), (BOB,)]
    assert held(data_of(made)) == {CAROL: ["spam"]}


def test_what_could_not_be_archived_is_not_delivered_again(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more=full(ARCHIVE))
    assert attempt(made.port, BOB) == [250, 452]
    assert attempt(made.port, BOB) == [250, 452]
    made.reload(made.file.read_text().replace(str(1 << 60), "0"))
    made.wait_for("settings.taken")
    assert attempt(made.port, BOB) == [250, 250]
    assert len(sink.accepted) == 1
    assert len(rows(data_of(made), messages)) == 1


WITH_PROGRAM = (
    b"""Subject: one
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b

text
--b
Content-Type: application/octet-stream; name=run.exe
Content-Transfer-Encoding: base64

%b
--b--
""".replace(b"\n", b"\r\n")
    % base64.encodebytes(PROGRAM).strip().replace(b"\n", b"\r\n")
)
STRIP = {"name": "programs", "flags": ["executable"], "action": "strip"}


@pytest.mark.parametrize("later", ["strip", "quarantine", "reject", "note"])
def test_an_original_that_could_not_be_held_is_held_later_whatever_is_thought_of_it_then(
    gateway: MakeGateway, sink: Sink, later: str
) -> None:
    made = gateway(sink, more=full({"attachments": [STRIP]}))
    assert attempt(made.port, BOB, text=WITH_PROGRAM) == [250, 452]
    assert attempt(made.port, BOB, text=WITH_PROGRAM) == [250, 452]
    assert held(data_of(made)) == {}
    made.reload(made.file.read_text().replace(str(1 << 60), "0").replace('"strip"', f'"{later}"'))
    made.wait_for("settings.taken")
    assert attempt(made.port, BOB, text=WITH_PROGRAM) == [250, 250]
    (message,) = sink.accepted
    assert b"name=run.exe" not in message.data
    assert held(data_of(made)) == {BOB: ["stripped"]}
    assert [message.raw for message in opened(data_of(made))] == [WITH_PROGRAM]


def test_an_original_of_redirected_mail_that_could_not_be_held_is_held_later(gateway: MakeGateway, sink: Sink) -> None:
    away = {"name": "away", "where": "subject", "match": ["one"], "action": "redirect", "to": [DAN]}
    made = gateway(sink, more=full({"attachments": [STRIP], "filters": [away]}))
    assert attempt(made.port, BOB, text=WITH_PROGRAM) == [250, 452]
    made.reload(made.file.read_text().replace(str(1 << 60), "0"))
    made.wait_for("settings.taken")
    assert attempt(made.port, BOB, text=WITH_PROGRAM) == [250, 250]
    assert [message.recipients for message in sink.accepted] == [(DAN,)]
    assert held(data_of(made)) == {BOB: ["stripped"]}


def test_a_lost_key_stops_the_start_and_changes_nothing(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more={"policies": {"default": HOLD}})
    assert attempt(made.port, BOB) == [250, 250]
    assert made.stop() == 0
    key = made.folder / "data.master.key"
    kept, tenants = key.read_text(), (data_of(made) / "keys/tenants.keys").read_bytes()
    key.write_text("0" * 64)
    again = Gateway(made.folder, settings=made.file.read_text(), port=made.port, status_port=made.status_port)
    assert attempt(again.port, BOB) == [250, 250]  # sealing needs no master key
    assert again.stop() == 0
    key.write_text(kept)
    assert (data_of(made) / "keys/tenants.keys").read_bytes() == tenants
    assert len(opened(data_of(made))) == 2


def test_many_clients_at_once(gateway: MakeGateway, sink: Sink) -> None:
    made = gateway(sink, more={"policies": {"default": HOLD}}, workers=2)

    def send(number: int) -> None:
        for each in range(10):
            assert attempt(made.port, BOB, text=b"Subject: %d-%d\r\n\r\n" % (number, each)) == [250, 250]

    threads = [threading.Thread(target=send, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {message.raw for message in opened(data_of(made))} == {
        b"Subject: %d-%d\r\n\r\n" % (number, each) for number in range(16) for each in range(10)
    }


@pytest.mark.parametrize("room", ["nothing", "some kilobytes"])
def test_a_disk_that_fills_up_promises_nothing(gateway: MakeGateway, sink: Sink, tmp_path: Path, room: str) -> None:
    """Segment, catalog and its log on a tmpfs of 2 MiB that nobody else sees: held mail waits, clean mail goes on."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("unshare -m needs root")
    folder = tmp_path / "gateway-1" / "data"
    mount = f'mkdir -p "{folder}" && mount -t tmpfs -o size=2m none "{folder}" && exec "$@"'
    more = two_policies(store={"min_free": 0})
    made = gateway(sink, more=more, command=("unshare", "-m", "--propagation", "private", "sh", "-c", mount, "sh"))
    disk = Path(f"/proc/{made.process.pid}/root{folder}")
    promised = [text_of(0)]
    assert attempt(made.port, CAROL, text=promised[0]) == [250, 250]
    filler = disk / "filler"
    fill(filler, 0 if room == "nothing" else 48 << 10)
    codes = []
    for number in range(1, 30):
        codes.append(attempt(made.port, CAROL, text=text_of(number))[-1])
        promised += [text_of(number)] if codes[-1] == 250 else []
    assert 452 in codes
    assert attempt(made.port, BOB) == [250, 250]
    filler.unlink()
    for number in range(30, 33):
        assert attempt(made.port, CAROL, text=text_of(number)) == [250, 250]
        promised.append(text_of(number))
    os.killpg(made.process.pid, signal.SIGSTOP)  # nothing changes while it is copied
    seen = tmp_path / "seen" / "data"  # SQLite would follow the link of /proc out of the mount
    shutil.copytree(disk, seen, ignore=shutil.ignore_patterns("control"))
    os.killpg(made.process.pid, signal.SIGCONT)
    shutil.copy(folder.parent / "data.master.key", seen.parent)
    assert {message.raw for message in opened(seen)} == set(promised)
    catalog, reader = open_store_catalog(seen, Store()), Reader.open(seen, "")
    assert [fault.text for fault in check(catalog, seen, reader, Counts(), "node") if not fault.note] == []
    reader.close()
    catalog.close()


def text_of(number: int) -> bytes:
    return b"Subject: %d\r\n\r\n" % number + random.Random(number).randbytes(3000).hex().encode() + b"\r\n"


def fill(path: Path, leave: int) -> None:
    """Write to the file until its disk has no more than `leave` octets."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.fstatvfs(file).f_bavail * os.fstatvfs(file).f_frsize > leave:
            os.write(file, b"x" * 4096)
    except OSError:  # no space left
        pass
    os.close(file)
