"""Teaching spamd: every server is told once, and each says what it did."""

import asyncio

import pytest

from mpp.checks.scanners.kinds import Clamd, Spamd
from mpp.checks.scanners.learning import Learnt, learn
from servers.scripted import Serve, Served, answering, closing, hanging, read_spamd

RAW = b"Subject: hi\r\n\r\nhello\r\n"


def pool(*servers: Served, **more: object) -> Spamd:
    return Spamd(name="sa", kind="spamd", servers=tuple(s.address for s in servers), **more)


@pytest.mark.parametrize(
    ("lesson", "fields"),
    [
        ("spam", "Message-class: spam\r\nSet: local\r\n"),
        ("ham", "Message-class: ham\r\nSet: local\r\n"),
        ("forget", "Remove: local\r\n"),
    ],
)
async def test_each_server_gets_the_lesson_once(serve: Serve, lesson: str, fields: str) -> None:
    heads: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, data = await read_spamd(reader)
        assert data == RAW
        writer.write(b"SPAMD/1.1 0 EX_OK\r\n%b\r\n\r\n" % (b"" if heads else b"DidSet: local\r\n"))
        heads.append(head)

    one, two = await serve(handler), await serve(handler)
    learnt = await learn(pool(one, two), RAW, lesson)
    assert sorted((each.changed, each.cause) for each in learnt) == [(False, ""), (True, "")]
    assert [each.server for each in learnt] == [one.address, two.address]
    assert all(head.startswith("TELL SPAMC/1.5\r\n") and head.endswith(f"{fields}\r\n") for head in heads)


async def test_the_recipient_chooses_the_user(serve: Serve) -> None:
    heads: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await read_spamd(reader))[0])
        writer.write(b"SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n\r\n\r\n")

    served = await serve(handler)
    await learn(pool(served, user="recipient"), RAW, "ham", "Joe@Example.org")
    await learn(pool(served, user="domain"), RAW, "ham", "Joe@Example.org")
    await learn(pool(served), RAW, "ham", "Joe@Example.org")
    assert ["User: Joe@example.org" in heads[0], "User: example.org" in heads[1], "User" in heads[2]] == [
        True,
        True,
        False,
    ]


async def test_servers_that_fail_say_why_and_the_others_learn(serve: Serve) -> None:
    refusing = await serve(
        answering(b"SPAMD/1.0 69 Service Unavailable: TELL commands are not enabled, set the --allow-tell switch.\r\n")
    )
    good = await serve(answering(b"SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n\r\n\r\n"))
    bad, silent = await serve(closing), await serve(hanging)
    learnt = await learn(pool(refusing, good, bad, silent, timeout=0.2), RAW, "spam")
    assert "start spamd with --allow-tell" in learnt[0].cause
    assert learnt[1] == Learnt(good.address, changed=True)
    assert learnt[2].cause
    assert learnt[3].cause == "TimeoutError"
    assert good.connections == bad.connections == silent.connections == 1


async def test_only_spamd_can_be_taught() -> None:
    with pytest.raises(ValueError, match="name a spamd"):
        await learn(Clamd(name="av", kind="clamd", servers=("127.0.0.1:1",)), RAW, "spam")
