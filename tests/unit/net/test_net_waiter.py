"""A wait that ends within the call that tells of it."""

import asyncio

import pytest
import uvloop

from mpp.net.waiter import Waiter


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest):
    loop = request.param()
    yield loop.run_until_complete
    loop.close()


async def waiting(waiter: Waiter, seen: list[str]) -> None:
    seen.append("waits")
    await waiter
    seen.append("goes on")


def test_the_task_goes_on_before_what_was_ready_already(run) -> None:
    async def scene() -> list[str]:
        waiter, seen, loop = Waiter(), [], asyncio.get_running_loop()
        task = asyncio.create_task(waiting(waiter, seen))
        await asyncio.sleep(0)

        def tell() -> None:
            loop.call_soon(seen.append, "another")
            waiter.tell()
            seen.append("told")

        loop.call_soon(tell)
        await task
        await asyncio.sleep(0)
        return seen

    assert run(scene()) == ["waits", "goes on", "told", "another"]


def test_told_in_the_middle_of_another_task_it_goes_on_later(run) -> None:
    async def scene() -> list[str]:
        waiter, seen = Waiter(), []
        task = asyncio.create_task(waiting(waiter, seen))
        await asyncio.sleep(0)
        waiter.tell()
        seen.append("told")
        await task
        return seen

    assert run(scene()) == ["waits", "told", "goes on"]


def test_told_before_it_is_awaited_it_does_not_wait(run) -> None:
    async def scene() -> list[str]:
        waiter, seen = Waiter(), []
        waiter.tell()
        await waiting(waiter, seen)
        return seen

    assert run(scene()) == ["waits", "goes on"]


@pytest.mark.parametrize("told", [False, True], ids=["alone", "and told in the same turn"])
def test_a_task_that_is_cancelled_waits_no_longer(run, told: bool) -> None:
    async def scene() -> list[str]:
        waiter, seen = Waiter(), []
        task = asyncio.create_task(waiting(waiter, seen))
        await asyncio.sleep(0)
        task.cancel()
        if told:
            waiter.tell()
        with pytest.raises(asyncio.CancelledError):
            await task
        return seen

    assert run(scene()) == ["waits"]


def test_a_deadline_ends_the_wait(run) -> None:
    async def scene() -> None:
        async with asyncio.timeout(0):
            await Waiter()

    with pytest.raises(TimeoutError):
        run(scene())


def test_what_a_task_raises_is_its_own(run) -> None:
    async def failing(waiter: Waiter) -> None:
        await waiter
        raise ValueError("of the task")

    async def scene() -> None:
        waiter = Waiter()
        task = asyncio.create_task(failing(waiter))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(waiter.tell)
        await task

    with pytest.raises(ValueError, match="of the task"):
        run(scene())
