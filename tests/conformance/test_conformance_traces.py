"""Every transaction can be explained: what the gateway records arrives in the catalog, by the background process."""

import os
import signal
import smtplib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mpp.store.catalog import Catalog, catalog_url, open_catalog
from mpp.store.trace import Trace
from mpp.store.trace_days import TraceDays, traces_folder
from servers.gateway import Gateway, MakeGateway
from servers.sink import Sink

MAIL = b"From: ann@example.net\r\nMessage-ID: <1@example.net>\r\nSubject: Lunch\r\n\r\nAt noon.\r\n"


@contextmanager
def traces(mpp: Gateway, setting: str = "") -> Iterator[TraceDays]:
    data = mpp.folder / "data"
    mpp.wait_for("event=background.ready", 30)  # the schema is there
    catalog = open_catalog(catalog_url(setting, "", data))
    days = TraceDays(catalog, traces_folder(data))
    try:
        yield days
    finally:
        days.close()
        catalog.close()


def eventually(look: Callable[[], list[Trace]], number: int = 1, timeout_s: float = 30.0) -> list[Trace]:
    """Return what `look` finds once it finds `number`; the spool is loaded within a second or two."""
    until = time.monotonic() + timeout_s
    while len(found := look()) < number:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


def test_a_delivered_message_is_found_by_all_its_names(
    gateway: MakeGateway, sink: Sink, catalog_setting: str, catalog: Catalog
) -> None:
    mpp = gateway(sink, more={"store": {"catalog": catalog_setting}})
    with smtplib.SMTP("127.0.0.1", mpp.port, timeout=60) as client:
        client.ehlo("client.example")
        client.mail("ann@example.net")
        client.rcpt("bob@example.org")
        client.rcpt("bob@elsewhere.example")
        code, said = client.data(MAIL)
    assert code == 250
    identity = said.decode().rpartition("id=")[2]
    with traces(mpp, catalog_setting) as days:
        (trace,) = eventually(lambda: days.find("<1@example.net>", "default", 5))
        for word in (identity, "ann@example.net", "BOB@example.org", "127.0.0.1", "bob@elsewhere.example"):
            assert [each.id for each in days.find(word, "default", 5)] == [identity], word
    assert (trace.client.helo, trace.listener, trace.direction) == ("client.example", "edge", "inbound")
    assert trace.size == len(MAIL)
    assert trace.why
    assert {copy.recipient: (copy.state, copy.reply[:3]) for copy in trace.copies} == {
        "bob@elsewhere.example": ("refused", "550"),
        "bob@example.org": ("accepted", "250"),
    }
    assert mpp.stop() == 0
    assert not list((mpp.folder / "data" / "spool").glob("*.new"))


def test_what_was_refused_before_content_is_told_and_then_counted(gateway: MakeGateway, sink: Sink) -> None:
    mpp = gateway(sink, more={"limits": {"errors": 100}}, workers=2)
    for _ in range(4):
        with smtplib.SMTP("127.0.0.1", mpp.port, timeout=60) as client:
            client.ehlo("client.example")
            for ending in (client.rset, client.rset, client.rset, lambda: None):
                client.mail("ann@example.net")
                client.rcpt("x@elsewhere.example")
                ending()  # the last one: the connection ends
    with traces(mpp) as days:
        found = eventually(lambda: [each for each in days.find("127.0.0.1", None, 50) if each.kind == "refused"], 10)
        assert len(found) == 10 or len({each.at_ms // 60_000 for each in found}) > 1  # a minute may have passed
        assert found[0].copies[0].reply.startswith("550 5.7.1")
        assert mpp.metrics()["mpp_refusals_counted_total"] == 16 - len(found)
        assert mpp.stop() == 0


def test_content_that_is_refused_unread_leaves_a_trace(gateway: MakeGateway, sink: Sink) -> None:
    mpp = gateway(sink)
    with smtplib.SMTP("127.0.0.1", mpp.port, timeout=60) as client:
        client.ehlo()
        client.mail("ann@example.net")
        client.rcpt("bob@example.org")
        client.putcmd("data")
        client.getreply()
        client.send(b"Subject: x\r\n\r\nbare\nline\r\n.\r\n")
        assert client.getreply()[0] == 550
    with traces(mpp) as days:
        (trace,) = eventually(lambda: days.find("bob@example.org", None, 5))
    assert (trace.kind, trace.reply[:10]) == ("refused", "550 5.6.11")


def test_what_is_thrown_away_is_recorded_first(gateway: MakeGateway, sink: Sink, spamd: str) -> None:
    """Where its trace cannot be made durable it is not accepted; else it is found, and once."""
    more = {"policies": {"default": {"discard_above": 500}}}
    mpp = gateway(sink, scanners=[f"spamd:{spamd}"], more=more)
    gtube = MAIL + b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
    spool = mpp.folder / "data" / "spool"

    def send() -> int:
        with smtplib.SMTP("127.0.0.1", mpp.port, timeout=60) as client:
            client.ehlo()
            client.mail("ann@example.net")
            client.rcpt("bob@example.org")
            return client.data(gtube)[0]

    spool.write_text("in the way of the folder")
    assert send() == 452
    spool.unlink()
    assert send() == 250
    with traces(mpp) as days:
        found = eventually(lambda: [each for each in days.find("bob@example.org", None, 9) if each.reply[:3] == "250"])
    assert [(each.kind, each.copies[0].disposition) for each in found] == [("message", "discard")]
    assert sink.messages == []


def test_nothing_is_loaded_twice_and_spools_go(gateway: MakeGateway, sink: Sink, tmp_path: Path) -> None:
    mpp = gateway(sink, workers=2)
    for number in range(5):
        with smtplib.SMTP("127.0.0.1", mpp.port, timeout=60) as client:
            client.sendmail(f"s{number}@example.net", ["bob@example.org"], MAIL)
        if number == 2:
            (background,) = mpp.pids("background")
            os.kill(background, signal.SIGKILL)
    assert mpp.stop() == 0  # the workers have written the rest, and let go
    again = gateway(sink, workers=1, more={"node": {"data": str(mpp.folder / "data")}})
    with traces(mpp) as days:
        found = eventually(lambda: days.find("bob@example.org", None, 20), 5)
        assert sorted(each.reverse_path for each in found) == [f"s{number}@example.net" for number in range(5)]
    until = time.monotonic() + 20
    while list((mpp.folder / "data" / "spool").iterdir()):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert again.metrics()['mpp_traces_total{state="loaded"}'] <= 5
