"""Offers mail to many spamd by one of several ways, at random times. `python -m bench.balance_load WAY HOST:PORT[,...] RATE SECONDS SEED LIMIT CLOCK`.

WAY: smtp (a gateway that balances by itself), direct (one address: HAProxy), spamc-H (spamc's rules: a random order of the servers, three connects, no
second try after one), rspamd (as its spamassassin service: in turn, three attempts, out for a minute after four errors). Times given to the last two
are divided by CLOCK. A message counts from the moment it was due. Prints {"marks": [[due, wait or null]...], "late_p99": seconds}.
"""

import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

Address = tuple[str, int]
Way = Callable[[int], Awaitable[None]]
_TEXT = b"Nothing of interest is said in this line of text, and nothing follows from it.\r\n" * 24


def mail(number: int) -> bytes:
    head = b"From: a@example.net\r\nTo: b@example.org\r\nSubject: %d\r\nMessage-ID: <%d@example.net>\r\nX-Bench-Number: %d\r\n\r\n"
    return head % (number, number, number) + _TEXT


async def ask(address: Address, number: int) -> None:
    """One CHECK. Raises OSError where there is no answer."""
    body = mail(number)
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(b"CHECK SPAMC/1.5\r\nContent-length: %d\r\n\r\n%b" % (len(body), body))
        answer = await reader.read(1 << 16)
        if b"EX_OK" not in answer:
            raise ConnectionResetError("no answer")
    finally:
        writer.close()


def direct(servers: list[Address], clock: float) -> Way:
    return lambda number: ask(servers[0], number)


def spamc(servers: list[Address], clock: float) -> Way:
    async def deliver(number: int) -> None:
        first = random.randrange(len(servers))
        for attempt in range(3):
            try:
                await ask(servers[(first + attempt) % len(servers)], number)
                return
            except ConnectionRefusedError:
                continue
        raise ConnectionRefusedError("three connects refused")

    return deliver


def rspamd(servers: list[Address], clock: float) -> Way:
    turns = iter(range(1 << 60))
    errors: dict[Address, list[float]] = {each: [] for each in servers}
    out = dict.fromkeys(servers, 0.0)

    def failed(server: Address, now: float) -> None:
        errors[server] = [each for each in errors[server] if each > now - 10 / clock] + [now]
        if len(errors[server]) >= 4:
            out[server], errors[server] = now + 60 / clock * random.uniform(0.6, 1.4), []

    async def deliver(number: int) -> None:
        for _ in range(3):
            now = time.monotonic()
            alive = [each for each in servers if out[each] <= now] or servers
            server = alive[next(turns) % len(alive)]
            try:
                async with asyncio.timeout(15 / clock):
                    await ask(server, number)
                return
            except OSError:  # a timeout is one
                failed(server, now)
        raise ConnectionResetError("three attempts")

    return deliver


def smtp(servers: list[Address], clock: float) -> Way:
    async def deliver(number: int) -> None:
        reader, writer = await asyncio.open_connection(*servers[0])
        try:
            await expect(reader, b"220")
            for line, code in (
                (b"EHLO bench", b"250"),
                (b"MAIL FROM:<a@example.net>", b"250"),
                (b"RCPT TO:<b@example.org>", b"250"),
                (b"DATA", b"354"),
                (mail(number) + b".", b"250"),
            ):
                writer.write(line + b"\r\n")
                await expect(reader, code)
            writer.write(b"QUIT\r\n")
        finally:
            writer.close()

    return deliver


async def expect(reader: asyncio.StreamReader, code: bytes) -> None:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    if not line.startswith(code):
        raise ConnectionResetError(line.decode("latin-1"))


WAYS = {"smtp": smtp, "direct": direct, "spamc-H": spamc, "rspamd": rspamd}


async def main(
    way: str, servers: list[Address], rate: float, seconds: float, seed: int, limit: float, clock: float
) -> None:
    deliver = WAYS[way](servers, clock)
    draw, due, dues = random.Random(seed), 0.0, []
    while (due := due + draw.expovariate(rate)) < seconds:
        dues.append(due)
    marks: list[tuple[float, float | None]] = []
    late: list[float] = []

    async def one(number: int, due: float) -> None:
        late.append(time.monotonic() - zero - due)
        try:
            async with asyncio.timeout(limit):
                await deliver(number)
        except OSError:
            marks.append((due, None))
        else:
            marks.append((due, time.monotonic() - zero - due))

    gc.disable()
    zero = time.monotonic() + 0.05
    tasks = []
    for number, due in enumerate(dues):
        await asyncio.sleep(max(0.0, zero + due - time.monotonic()))
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    print(json.dumps({"marks": marks, "late_p99": sorted(late)[int(len(late) * 0.99)]}))


if __name__ == "__main__":
    way, where, *numbers = sys.argv[1:]
    addresses = [(host, int(port)) for host, _, port in (each.partition(":") for each in where.split(","))]
    rate, seconds, seed, limit, clock = map(float, numbers)
    uvloop.run(main(way, addresses, rate, seconds, int(seed), limit, clock))
