"""A gateway to which nothing comes says so: in its log, its metrics and `mpp check`, until something comes."""

import json
import smtplib
import time
from collections.abc import Callable

from servers.gateway import Gateway, MakeGateway
from servers.sink import Sink
from servers.warm import run


def alarms(mpp: Gateway) -> list[str]:
    """What `mpp check` says of silence."""
    done = run("check", "--json", "--settings", str(mpp.file))
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [each["what"] for each in found if each["key"] == "silence.mail"]


def test_no_mail_is_told_until_some_comes(gateway: MakeGateway, sink: Sink) -> None:
    mpp = gateway(sink, more={"silence": {"mail": 0.001, "quarantine": "off"}})
    mpp.wait_for("event=silence .*no message came for", 30)
    assert 'mpp_silence_seconds{of="mail"}' in mpp.metrics()
    (what,) = until(mpp, lambda found: found)
    assert what.startswith("has an alarm of node mpp.example: no message came for")
    with smtplib.SMTP("127.0.0.1", mpp.port, timeout=60) as client:
        client.sendmail("ann@example.net", ["bob@example.org"], b"Subject: one\r\n\r\ntext\r\n")
    deadline = time.monotonic() + 30
    while not mpp.metrics()['mpp_traces_total{state="loaded"}']:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    mpp.reload(mpp.file.read_text("utf-8") + "\n[marks]\n")  # another background process, which looks at once
    assert until(mpp, lambda found: not found) == []
    assert mpp.metrics()['mpp_silence_seconds{of="mail"}'] == 0


def until(mpp: Gateway, is_so: Callable[[list[str]], object]) -> list[str]:
    """Return what `mpp check` says once it is so."""
    deadline = time.monotonic() + 30
    while not is_so(found := alarms(mpp)):
        assert time.monotonic() < deadline, found
    return found
