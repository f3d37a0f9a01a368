"""What reading a message costs by itself, without a gateway: CPU time in this process, on the server's core."""

import time
from collections.abc import Callable
from statistics import median

from bench.bombs import bombs
from bench.messages import shapes
from bench.results import Row, at_most, short
from bench.stand import Stand
from mpp.mail.message import Message

_MIB = 1 << 20


def parse(stand: Stand) -> list[Row]:
    with stand.server.on():
        return [*_shapes(stand), *_worst()]


def _shapes(stand: Stand) -> list[Row]:
    rows = []
    for name, shape in shapes().items():
        raw = shape.with_token(b"0123456789abcdef")
        rounds = 500 if stand.quick else 2000
        cost = median(_cpu_s(_structure, raw, rounds) for _ in range(5)) * 1e6
        if name == "20k":
            rows.append(at_most("MIME parse, 20k", cost, 60, "us"))
        else:
            rows.append(Row(f"MIME parse, {name}", f"{short(cost)} us", values={"value": cost}))
    return rows


def _worst() -> list[Row]:
    """Structure only, and everything that can be asked of each part."""
    structure, slowest = _slowest(_structure)
    judged = at_most("worst 1 MiB, parse", structure[slowest], 50, "ms", all=structure)
    everything, slowest_read = _slowest(_everything)
    measured = f"{short(everything[slowest_read])} ms ({slowest_read})"
    return [
        Row(judged.name, f"{judged.measured} ({slowest})", judged.target, judged.met, judged.values),
        Row("worst 1 MiB, all parts decoded", measured, values={"all": everything}),
    ]


def _slowest(read: Callable[[bytes], None]) -> tuple[dict[str, float], str]:
    """Return milliseconds for each bomb, the best of three, and the name of the dearest."""
    seen = {name: min(_cpu_s(read, raw, 1) for _ in range(3)) * 1000 for name, raw in bombs(_MIB).items()}
    return seen, max(seen, key=seen.__getitem__)


def _structure(raw: bytes) -> None:
    message = Message(raw)
    message.fields  # noqa: B018 (parsed on first use)
    message.leaves()
    message.defects  # noqa: B018


def _everything(raw: bytes) -> None:
    message = Message(raw)
    for key in (b"subject", b"to", b"content-type"):
        message.text(key)
    for part in message.leaves():
        part.decode()
        part.text()
        part.name  # noqa: B018
    message.defects  # noqa: B018


def _cpu_s(read: Callable[[bytes], None], raw: bytes, rounds: int) -> float:
    began = time.thread_time()
    for _ in range(rounds):
        read(raw)
    return (time.thread_time() - began) / rounds
