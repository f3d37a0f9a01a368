"""The longest stretch for which a worker answers nobody while it is sent the dearest mail that we know.

Seen from outside: round trips of NOOP on a connection of its own (bench.probe) while another client sends.
"""

import json
import smtplib
import time

from bench.bombs import attachment, bombs, large_header, many_parts, nested
from bench.crowd import start_roomy
from bench.peers import Sink
from bench.results import Row, at_most, short
from bench.stand import HOST, BenchError, Program, Stand
from mpp.gateway.pipeline import LARGE, READ_HERE

_MIB = 1 << 20
_LARGEST = 49 * _MIB  # the limit of a message's size is 50 MiB
_ROOM = 1 << 10  # octets by which a bomb may be larger than it was asked for


def lag(stand: Stand) -> list[Row]:
    sink = Sink(stand)
    mpp = start_roomy(stand, sink)
    quiet = _longest_ms(stand, mpp, b"")[0]
    named = {
        "a 50 MiB message": attachment(_LARGEST),
        "multiparts nested 10,000 deep": nested(10_000),
        "100,000 parts": many_parts(100_000),
        "a header of 10 MiB": large_header(10 * _MIB),
    }
    rows = []
    for name, message in named.items():
        longest, answer = _longest_ms(stand, mpp, message)
        row = at_most(f"longest stretch, {name}", longest, 50, "ms", answer=answer, quiet_ms=quiet)
        rows.append(Row(row.name, f"{row.measured}, answered {answer}", row.target, row.met, row.values))
    large = _LARGEST // 10 if stand.quick else _LARGEST
    return [*rows, *(_worst_of_all(stand, mpp, size) for size in (READ_HERE - _ROOM, LARGE - _ROOM, large))]


def _worst_of_all(stand: Stand, mpp: Program, size: int) -> Row:
    """Each bomb of a size: what is just small enough to be read, or hashed, on the loop, and as large as a message may be."""
    seen = {name: _longest_ms(stand, mpp, message)[0] for name, message in bombs(size).items()}
    worst = max(seen, key=seen.__getitem__)
    told = f"{size >> 10} KiB" if size < _MIB else f"{short(size / _MIB)} MiB"
    row = at_most(f"longest stretch, {len(seen)} bombs of {told}", seen[worst], 50, "ms", all=seen)
    return Row(row.name, f"{row.measured} ({worst})", row.target, row.met, row.values)


def _longest_ms(stand: Stand, mpp: Program, message: bytes) -> tuple[float, int]:
    """Return the longest round trip while `message` is sent, and what it was answered."""
    probe = stand.converse("bench.probe", mpp.port)
    assert probe.stdout
    if probe.stdout.readline() != "probing\n":
        raise BenchError("the probe got no greeting")
    answer = 0
    if message:
        answer = _send(mpp.port, message)
    else:
        time.sleep(1)  # what the machine alone does to a round trip
    said, _ = probe.communicate(timeout=120)
    return float(json.loads(said)["longest_ms"]), answer


def _send(port: int, message: bytes) -> int:
    """Send as it is, line by line unchanged; return the code of the last answer."""
    with smtplib.SMTP(HOST, port, timeout=120) as client:
        client.ehlo("client.example.com")
        client.mail("anna.field@example.com")
        client.rcpt("reader@example.org")
        client.putcmd("DATA")
        client.getreply()
        assert client.sock
        client.sock.sendall(message + b".\r\n")
        return client.getreply()[0]
