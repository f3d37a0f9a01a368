"""What it costs to look whether a mail can be read in several ways, and to read one in all of them: CPU time in this process."""

import time
from collections.abc import Callable
from statistics import median

from bench.bombs import bombs
from bench.messages import shapes
from bench.results import Row, at_most, short
from bench.stand import Stand
from mpp.mail.message import Message

_TOKEN = b"0123456789abcdef"
_MIB = 1 << 20


def mime(stand: Stand) -> list[Row]:
    with stand.server.on():
        rounds = 200 if stand.quick else 1000
        return [row for name in shapes() for row in _shape(name, rounds)] + [_worst()]


def _shape(name: str, rounds: int) -> list[Row]:
    raw = shapes()[name].with_token(_TOKEN)
    whole = median(_cpu_s(raw, rounds, Message.every_leaf) for _ in range(5)) * 1e6
    odd = raw.replace(b"MIME-Version", b"no field\r\nMIME-Version", 1)
    assert Message(odd).oddities, "the mail is as good as before"
    broken = median(_cpu_s(odd, max(rounds // 20, 5), Message.every_leaf) for _ in range(3)) * 1e6
    return [
        at_most(f"further readings, {name}, none", whole, {"2k": 10, "20k": 50, "300k": 500}[name], "us"),
        Row(f"further readings, {name}, all read", f"{short(broken)} us", values={"value": broken}),
    ]


def _worst() -> Row:
    """The bombs of the parser: what all readings of them take, of which a structure that is limited is a part."""
    seen = {name: _cpu_s(raw, 1, Message.every_leaf) * 1000 for name, raw in bombs(_MIB).items()}
    slowest = max(seen, key=seen.__getitem__)
    return Row("further readings, worst 1 MiB", f"{short(seen[slowest])} ms ({slowest})", values={"all": seen})


def _cpu_s(raw: bytes, rounds: int, read: Callable[[Message], object]) -> float:
    """Return seconds for a mail whose structure is read already."""
    messages = [Message(raw) for _ in range(rounds)]
    for message in messages:
        message.leaves()
    began = time.thread_time()
    for message in messages:
        read(message)
    return (time.thread_time() - began) / rounds
