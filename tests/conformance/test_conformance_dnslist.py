"""DNS lists through the whole gateway: what a listed client hears at RCPT, and what its mail gets."""

import time
from typing import Any

import pytest

from servers.dialogue import Dialogue
from servers.gateway import Gateway, MakeGateway
from servers.sink import Sink
from servers.zone import FAILS, SILENT, Zone

CLIENT, ENTRY = "8.8.4.4", "4.4.8.8.bl.test"  # of the Internet, since no list knows others; nothing is sent there
TEXT = b"Subject: x\r\n\r\ntext\r\n"


def listed(gateway: MakeGateway, sink: Sink, zone: Zone, **more: Any) -> Gateway:
    usual = {"name": "bl", "kind": "dns-list", "zone": "bl.test", "resolvers": [zone.address], "timeout": "1s"}
    return gateway(sink, more={"networks": {"proxies": ["127.0.0.1"]}, "scanners": [usual | more]})


def speak(port: int, recipient: str = "alice@example.org") -> list[int]:
    """Codes of RCPT and of the end of the data, as the client at CLIENT."""
    with Dialogue(port, timeout_s=30) as dialogue:
        dialogue.hello()
        assert dialogue.say(f"XCLIENT ADDR={CLIENT}").code == 220
        dialogue.hello()
        assert dialogue.say("MAIL FROM:<s@sender.example>").code == 250
        rcpt = dialogue.say(f"RCPT TO:<{recipient}>").code
        return [rcpt] if rcpt != 250 else [rcpt, dialogue.data(TEXT + b".\r\n").code]


@pytest.mark.parametrize(
    ("entry", "more", "codes"),
    [
        (("127.0.0.2",), {"at_rcpt": "refuse"}, [554]),
        (("127.0.0.2",), {}, [250, 250]),
        ((), {"at_rcpt": "refuse"}, [250, 250]),
        (FAILS, {"at_rcpt": "refuse"}, [250, 250]),
        (SILENT, {"at_rcpt": "refuse"}, [250, 250]),
        (FAILS, {"on_failure": "defer"}, [250, 451]),
        (("127.0.0.2",), {"score": 99.0}, [250, 554]),
    ],
    ids=["refused", "scored", "not listed", "fails", "silent", "fails and defers", "scored high"],
)
def test_what_a_client_hears(
    gateway: MakeGateway, sink: Sink, entry: Any, more: dict[str, Any], codes: list[int]
) -> None:
    with Zone({ENTRY: entry}) as zone:
        made = listed(gateway, sink, zone, **more)
        heard = speak(made.port)
    assert heard == codes
    assert ENTRY in zone.asked
    assert "event=fault" not in made.stderr


def test_the_postmaster_is_reached_all_the_same(gateway: MakeGateway, sink: Sink) -> None:
    with Zone({ENTRY: ("127.0.0.2",)}) as zone:
        made = listed(gateway, sink, zone, at_rcpt="refuse")
        assert speak(made.port, "postmaster@example.org")[0] == 250


def test_a_listed_client_is_kept_waiting(gateway: MakeGateway, sink: Sink) -> None:
    with Zone({ENTRY: ("127.0.0.2",)}) as zone:
        made = listed(gateway, sink, zone, at_rcpt="delay", delay="1s")
        started = time.monotonic()
        assert speak(made.port) == [250, 250]
        assert time.monotonic() - started >= 1
