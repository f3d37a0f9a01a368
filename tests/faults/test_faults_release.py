"""Release under faults: never said to be done without the next hop's 250, and never done twice unless an answer was lost."""

import asyncio
import json
import time

import pytest

from mpp.gateway.release import Order, Releaser
from mpp.gateway.settings import Settings
from mpp.settings.write import write
from mpp.store.events import about
from mpp.store.opening import open_store_catalog, prepare_store
from mpp.store.quarantine_query import Filter, Key, copies_of, page
from mpp.store.reader import Reader
from servers.held import fill, held
from servers.sink import Sink
from servers.warm import Command

BOB, EVE = "bob@example.org", "eve@example.org"
RAW = b"Subject: one\r\nX: \xe4\r\n\r\n.text\r\nwithout end"
ORDER = Order("default", "command:test")


class Box:
    """A quarantine and the next hop that it releases to."""

    def __init__(self, folder, sink, catalog, letters):
        self.sink = sink
        self.settings = Settings.model_validate(
            {
                "node": {"data": str(folder / "data"), "hostname": "mpp.example.org"},
                "store": {"catalog": catalog, "min_free": 0},
                "routes": [{"domains": ["example.org"], "hosts": [f"127.0.0.1:{sink.port}"], "timeout": "2s"}],
                "release": {"mark": "X-Released: yes"},
            }
        )
        self.file = folder / "mpp.toml"
        self.file.write_text(write(self.settings), "utf-8")
        prepare_store(self.settings.node.data, self.settings.store)
        asyncio.run(fill(self.settings.node.data, self.settings.store, letters))

    def catalog(self):
        return open_store_catalog(self.settings.node.data, self.settings.store)

    def release(self, *keys, order=ORDER):
        async def run():
            releaser = Releaser(self.settings, catalog, reader)
            try:
                return await releaser.release(keys, order)
            finally:
                await releaser.close()

        catalog = self.catalog()
        reader = Reader.open(self.settings.node.data, self.settings.store.master_key)
        try:
            return asyncio.run(run())
        finally:
            reader.close()
            catalog.close()

    def states(self, message="a1"):
        catalog = self.catalog()
        try:
            with catalog.read() as connection:
                return {row.key.recipient: row.state for row in copies_of(connection, "default", message)}
        finally:
            catalog.close()

    def events(self, message="a1"):
        catalog = self.catalog()
        try:
            with catalog.read() as connection:
                return [(each.action, each.detail.get("reply", "")) for each in about(connection, "default", message)]
        finally:
            catalog.close()

    def command(self, *arguments):
        return Command(["quarantine", *arguments, "--settings", str(self.file)])


def until(is_so):
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def make_box(tmp_path, catalog_setting):
    with Sink() as sink:
        yield lambda *letters: Box(tmp_path, sink, catalog_setting, letters or [held("a1", BOB, EVE, raw=RAW)])


def test_only_the_copy_of_the_one_who_asks(make_box):
    box = make_box()
    (result,) = box.release(Key("a1", BOB))
    assert (result.state, result.reply[:3], result.host) == ("released", "250", f"127.0.0.1:{box.sink.port}")
    (mail,) = box.sink.messages
    assert (mail.reverse_path, mail.recipients) == ("alice@example.net", (BOB,))
    top, _, rest = mail.data.partition(b"Received: from client")
    assert top.startswith(b"X-MPP-Released: mpp.example.org; id=a1;\r\n\t")
    assert top.endswith(b"\r\nX-Released: yes\r\n")
    assert rest.endswith(b"+0000\r\n" + RAW + (b"" if mail.data.endswith(RAW) else b"\r\n"))
    assert box.states() == {BOB: "released", EVE: "held"}
    assert box.release(Key("a1", BOB)) == [], "a second time there is nothing to be had"
    assert len(box.sink.messages) == 1
    assert box.events() == [("released", result.reply)]


@pytest.mark.parametrize(
    ("script", "state", "said"),
    [
        ({"RCPT": "550 5.1.1 Unknown"}, "held", "550 5.1.1 Unknown"),
        ({".": "554 5.7.1 Spam"}, "held", "554 5.7.1 Spam"),
        ({".": "451 4.7.1 Later"}, "held", "451 4.7.1 Later"),
        ({"": "close"}, "held", "closed"),
        ({".": "close"}, "unknown", "it may have been taken"),
        ({".": "silence"}, "unknown", "it may have been taken"),
    ],
    ids=lambda value: str(value),
)
def test_what_the_next_hop_does(make_box, script, state, said):
    box = make_box()
    box.sink.script = script
    (result,) = box.release(Key("a1", BOB))
    assert result.state == state
    assert said in result.reply
    assert box.states()[BOB] == state
    box.sink.script = {}
    again = box.release(Key("a1", BOB))
    assert [each.state for each in again] == (["released"] if state == "held" else []), "unknown is not tried by itself"
    if state == "unknown":
        (result,) = box.release(Key("a1", BOB), order=Order("default", "command:test", again=True))
        assert result.state == "released"


def test_a_next_hop_that_is_down(make_box):
    box = make_box()
    box.sink.stop()
    (result,) = box.release(Key("a1", BOB))
    assert result.state == "held"
    assert box.states()[BOB] == "held"


def test_two_at_once_release_once(make_box):
    box = make_box(*(held(f"m{n}", BOB) for n in range(40)))
    both = [box.command("release", "--all", "--json") for _ in range(2)]
    told = [[json.loads(line) for line in process.communicate(timeout=100)[0].splitlines()] for process in both]
    released = [each["id"] for lines in told for each in lines if each["state"] == "released"]
    assert sorted(released) == sorted(f"m{n}" for n in range(40))
    assert len(box.sink.messages) == 40


def test_killed_in_the_middle_nothing_comes_twice(make_box, soak):
    """SIGKILL at some moment of a release: what was claimed is unknown afterwards, the rest is still to be had."""
    total = 60 if not soak else 600
    box = make_box(*(held(f"m{n:03d}", BOB) for n in range(total)))
    box.sink.delays = {".": 0.02}
    for round_ in range(40 if soak else 2):
        process = box.command("release", "--all", "--json")
        seen = len(box.sink.messages)
        deadline = time.monotonic() + 30
        while len(box.sink.messages) <= seen + round_ and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
        process.communicate()
    process = box.command("release", "--all", "--json")
    process.communicate(timeout=60)
    came = [mail.data.partition(b"; id=")[2][:4] for mail in box.sink.messages]
    assert len(came) == len(set(came)), "nothing came twice"
    catalog = box.catalog()
    with catalog.read() as connection:
        rows = page(connection, "default", Filter(states=()), limit=total).rows
    catalog.close()
    states = {row.key.message.encode(): row.state for row in rows}
    assert set(states.values()) <= {"released", "unknown"}
    assert {name for name, state in states.items() if state == "released"} <= set(came), (
        "said to be released, and not come"
    )
    assert set(states) - set(came) <= {name for name, state in states.items() if state == "unknown"}


def test_the_catalog_is_gone_after_the_250(make_box, monkeypatch):
    """The next hop took it and the commit fails: it is not released again by itself."""
    from mpp.gateway import release
    from mpp.store.errors import CatalogError

    def fail(*_, **__):
        raise CatalogError("on purpose")

    box = make_box()
    with monkeypatch.context() as patched:
        patched.setattr(release, "settle", fail)
        with pytest.raises(CatalogError):
            box.release(Key("a1", BOB))
    assert len(box.sink.messages) == 1
    assert box.states()[BOB] == "releasing"
    assert box.release(Key("a1", BOB)) == []
    assert len(box.sink.messages) == 1


def test_a_message_that_cannot_be_read_is_still_held(make_box):
    box = make_box()
    for segment in (box.settings.node.data / "segments").glob("*.seg*"):
        segment.write_bytes(b"\0" * segment.stat().st_size)
    (result,) = box.release(Key("a1", BOB))
    assert result.state == "held"
    assert result.reply
    assert box.sink.messages == []


def test_a_slow_next_hop_holds_up_no_other_copy(make_box):
    """Copies go beside each other, so all of them take as long as one; who asks meanwhile gets none of them."""
    box = make_box(*(held(f"m{n}", BOB) for n in range(20)))
    box.sink.delays = {".": 1.5}
    first = box.command("release", "--all", "--json")
    until(lambda: set(box.states("m19").values()) == {"releasing"})
    second = box.command("release", "--all", "--json")
    told = [[json.loads(line) for line in each.communicate(timeout=100)[0].splitlines()] for each in (first, second)]
    assert [each["state"] for each in told[0]] == ["released"] * 20
    assert told[1] == []
    assert len(box.sink.messages) == 20
    times = [mail.at for mail in box.sink.messages]
    assert max(times) - min(times) < 15, "one after the other would take thirty seconds"


def test_a_next_hop_that_is_slower_than_the_route_allows(make_box):
    """It has the message and says nothing in time: unknown; slow before that: held, and nothing was sent."""
    box = make_box()
    box.sink.delays = {".": 4.0}
    (result,) = box.release(Key("a1", BOB))
    assert (result.state, box.states()[BOB]) == ("unknown", "unknown")
    box.sink.delays = {"": 4.0}
    (result,) = box.release(Key("a1", EVE))
    assert (result.state, box.states()[EVE]) == ("held", "held")
    assert [mail.recipients for mail in box.sink.messages if EVE in mail.recipients] == []


def test_the_catalog_is_down(tmp_path, own_postgresql):
    """Before the claim nothing leaves; between the next hop's 250 and the answer's row it is never sent a second time."""
    with Sink() as sink:
        box = Box(tmp_path, sink, own_postgresql.database(), [held("a1", BOB), held("a2", BOB)])
        own_postgresql.stop("immediate")
        process = box.command("release", "a1")
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 1
        assert said.strip()
        assert b"Traceback" not in said
        assert sink.messages == []
        own_postgresql.start()
        assert box.states() == {BOB: "held"}
        sink.delays = {".": 1.5}
        process = box.command("release", "a1", "--json")
        until(lambda: box.states() == {BOB: "releasing"})
        own_postgresql.stop("immediate")
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 1
        assert b"Traceback" not in said
        own_postgresql.start()
        assert box.states() == {BOB: "releasing"}
        sink.wait(1)
        sink.delays = {}
        process = box.command("release", "--all", "--json")
        (told,) = [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
        assert (told["id"], told["state"]) == ("a2", "released")
        assert box.states() == {BOB: "unknown"}
        assert [mail.data.partition(b"; id=")[2][:2] for mail in sink.messages] == [b"a1", b"a2"]
