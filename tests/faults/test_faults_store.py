"""Held mail under faults, through the whole gateway: what got 250 is in the store and can be read, and no row points nowhere."""

import os
import random
import signal
import threading

import pytest

from mpp.store.check import Counts, check
from mpp.store.opening import open_store_catalog
from mpp.store.reader import Reader
from mpp.store.settings import Store
from servers.gateway import Gateway, MakeGateway
from servers.postgresql import Postgresql
from servers.sender import Sender, Sent, account
from servers.sink import Sink
from servers.stored import opened

BOB, CAROL = "bob@example.org", "carol@example.org"
HOLD = {"tag_above": "off", "mark_above": "off", "quarantine_above": 0, "reject_above": "off"}
MANY = {"limits": {"connections_by_host": 5000, "connections": 5000, "commands": 100_000}, "log": {"level": "debug"}}


def holding(catalog: str) -> dict:
    """Carol's mail is held, everybody else's goes on."""
    return {
        **MANY,
        "policies": {"default": {}, "held": HOLD},
        "policy_rules": [{"policy": "held", "recipients": [CAROL]}],
        "store": {"catalog": catalog, "min_free": 0},
    }


def lost(sent: list[Sent], made: Gateway, settings: Store) -> list[str]:
    """What got 250 and is not in the store, and what a check finds wrong."""
    data = made.folder / "data"
    there = {message.raw for message in opened(data, settings)}
    missing = [message.last for message in sent if message.code == 250 and message.wire[:-3] not in there]
    catalog, reader = open_store_catalog(data, settings), Reader.open(data, "")
    try:
        faults = [fault.text for fault in check(catalog, data, reader, Counts(), "node") if not fault.note]
    finally:
        reader.close()
        catalog.close()
    return missing + faults


def test_workers_killed_under_load_lose_no_held_mail(
    gateway: MakeGateway, sink: Sink, catalog_setting: str, soak: bool, request: pytest.FixtureRequest
) -> None:
    """The writer thread dies with its worker, at any moment between the segment's first octet and the reply."""
    rounds = 100 if soak else 10
    request.node.add_marker(pytest.mark.timeout(1800))
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    made = gateway(sink, workers=2, more=holding(catalog_setting))
    senders = [Sender(made.port, (CAROL,)) for _ in range(6)]
    for _ in range(rounds):
        seen = len(made.lines)
        threading.Event().wait(chance.uniform(0, 0.5))
        os.kill(chance.choice(made.worker_pids()), signal.SIGKILL)
        made.wait_for("process.started", since=seen)
    sent = [message for sender in senders for message in sender.finish(60)]
    assert made.stop() == 0
    assert {message.code for message in sent} == {250}
    assert len(sent) > 5 * rounds
    assert lost(sent, made, Store(catalog=catalog_setting)) == [], f"seed {seed}"


def test_postgresql_restarted_in_mid_load(gateway: MakeGateway, sink: Sink, own_postgresql: Postgresql) -> None:
    url = own_postgresql.database()
    made = gateway(sink, workers=2, more=holding(url))
    held = [Sender(made.port, (CAROL,)) for _ in range(3)]
    clean = [Sender(made.port, (BOB,)) for _ in range(2)]
    for mode in ("fast", "immediate"):
        sink.wait(len(sink.messages) + 20)
        own_postgresql.stop(mode)
        made.wait_for("event=hold-failed")
        sink.wait(len(sink.messages) + 50)  # clean mail goes on meanwhile
        own_postgresql.start()
        before = len(held[0].sent)
        while len(held[0].sent) < before + 3:
            threading.Event().wait(0.05)
    passed = [message for sender in clean for message in sender.finish()]
    sent = [message for sender in held for message in sender.finish(60)]
    assert made.stop() == 0
    assert account(passed, sink) == []
    assert {message.attempts for message in passed} == {1}
    assert {message.code for message in sent} == {250}
    assert lost(sent, made, Store(catalog=url)) == []


def test_a_slow_postgresql_holds_up_no_clean_mail(gateway: MakeGateway, sink: Sink, own_postgresql: Postgresql) -> None:
    url = own_postgresql.database()
    made = gateway(sink, more=holding(url))
    held = Sender(made.port, (CAROL,))
    while not (held.sent and held.sent[0].code):
        threading.Event().wait(0.01)
    with own_postgresql.locked(url, "messages"):
        waiting = len(held.sent)
        clean = Sender(made.port, (BOB,))
        sink.wait(50)
        passed = clean.finish()
        assert len(held.sent) <= waiting + 1
    sent = held.finish(60)
    assert made.stop() == 0
    assert account(passed, sink) == []
    assert lost(sent, made, Store(catalog=url)) == []
