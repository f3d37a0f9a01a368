"""Questions to DNS that are on their way: asked once, and given up with the loop."""

import asyncio
import sys

import pytest

from mpp.net.lookups import Lookups
from mpp.net.questions import Questions
from servers.zone import SILENT, Zone


async def test_what_many_want_to_know_is_asked_once() -> None:
    questions, asked, told = Questions((), 1.0), [], asyncio.Event()

    async def question(name: str) -> str:
        asked.append(name)
        await told.wait()
        return name.upper()

    async def other(name: str) -> str:
        return name

    waiting = [asyncio.create_task(questions.ask(question, "a")) for _ in range(3)]
    assert await questions.ask(other, "a") == "a"
    waiting[0].cancel()
    told.set()
    assert await asyncio.gather(*waiting[1:]) == ["A", "A"]
    assert asked == ["a"]
    assert await questions.ask(question, "a") == "A"
    assert asked == ["a", "a"]


def test_what_is_not_answered_is_given_up_with_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """c-ares would tell a loop that is closed, from a thread of its own."""
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)

    async def ask(zone: Zone) -> Lookups:
        lookups = Lookups((zone.address,), timeout_s=0.1)
        asyncio.create_task(lookups.addresses("silent.test"))  # noqa: RUF006  the loop ends it
        async with asyncio.timeout(10):
            while not zone.asked:
                await asyncio.sleep(0)
        return lookups

    with Zone({"silent.test": SILENT}) as zone:
        lookups = asyncio.run(ask(zone))
        assert lookups._questions.resolver._channel.wait(10)  # until it has nothing on its way
    assert not complaints
