"""What the adapter of each kind of scanner costs the gateway: CPU of a message, beside a stand-in that answers at once."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import uvloop

from bench.results import Row, at_most
from bench.stand import Stand
from mpp.checks.layers.judge import Check
from mpp.checks.scanners.scanner import Tools
from mpp.gateway.settings import Settings
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.verdict.transaction import Transaction

CASES = (
    ("icap", 2 << 10, 120.0),
    ("icap", 300 << 10, 0.0),
    ("clamd", 2 << 10, 0.0),
    ("clamd", 300 << 10, 700.0),
    ("rspamd", 2 << 10, 150.0),
)  # microseconds; 0: no target
MORE: dict[str, dict[str, object]] = {"icap": {"service": "/av"}}


def kinds(stand: Stand) -> list[Row]:
    rows: list[Row] = []
    for kind, size, limit in CASES:
        with _standing_in(kind) as port:
            runs = [_cost(kind, port, size, 300 if stand.quick else 2000) for _ in range(stand.repetitions)]
        name, cost = f"CPU of {kind}, {size >> 10}k", median(runs)
        rows.append(
            at_most(name, cost, limit, "us", runs=runs) if limit else Row(name, f"{cost:.0f} us", values={"runs": runs})
        )
    return rows


@contextmanager
def _standing_in(kind: str) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.standin", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _cost(kind: str, port: int, size: int, messages: int) -> float:
    """Return the CPU of this process for one message, in microseconds."""
    settings = {"name": kind, "kind": kind, "servers": [f"127.0.0.1:{port}"], **MORE.get(kind, {})}

    async def run() -> float:
        (pool,) = Settings.model_validate({"scanners": [settings]}).scanners
        check, message = pool.check(Tools()), Message(b"Subject: x\r\n\r\n" + b"0123456789abcde\n" * (size >> 4))
        await _examine(check, message, 50)
        before = time.process_time()
        await _examine(check, message, messages)
        return (time.process_time() - before) / messages * 1e6

    return uvloop.run(run())


async def _examine(check: Check, message: Message, times: int) -> None:
    transaction = _transaction(len(message.raw))
    for _ in range(times):
        findings = await check.examine(message, transaction)
        if any(finding.failure for finding in findings):
            raise RuntimeError(findings[0].evidence)


def _transaction(size: int) -> Transaction:
    return Transaction(
        id="b",
        envelope=Envelope("sender@example.org", (Recipient("one@example.com"), Recipient("two@example.com"))),
        client=Client("203.0.113.9", 25, "mail.example.org", "mail.example.org", "ESMTPS", "TLSv1.3 X"),
        message=None,
        size=size,
        listener="edge",
        stage="edge",
        direction="inbound",
        trusted=False,
        ours=frozenset(),
        policies={},
        hostname="mx.example.com",
    )
