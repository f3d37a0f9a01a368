"""Who looks into the files of a mail: all together, each alone where that goes wrong, and locked ones again with passwords."""

import asyncio
from collections.abc import Sequence
from threading import Event

import pytest

from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.inspector import Inspector, _opened
from mpp.checks.attachments.item import File, Flag, Item, Limits
from mpp.mail.message import Message
from servers.attachments import PROGRAM, mail, zipped

TWO = b"Subject: password: letmein\r\n" + mail("a.7z", b"locked").replace(
    b"--b--", b"--b\r\nContent-Type: application/x-test; name=run.exe\r\n\r\nprogram\r\n--b--"
)
SLOW = mail("a.zip", zipped({f"{number}.txt": b"%d" % number for number in range(600)}))  # some 0.6 s
SMALL = mail("b.zip", zipped({"run.exe": PROGRAM}))
UNCHECKED = frozenset({Flag.DAMAGED, Flag.UNCHECKED})
LOCKED, OPEN = frozenset({Flag.ENCRYPTED}), frozenset({Flag.EXECUTABLE})


def said(path: str, flags: frozenset[Flag], depth: int = 0) -> Item:
    return Item(path, path, "", "x", 1, "0" * 64, flags, depth)


class Told:
    """A helper that says one thing after the other, and remembers which files it was asked for."""

    def __init__(self, *answers: list[Item] | str) -> None:
        self.answers, self.asked, self.failure = list(answers), list[list[str]](), ""
        self.seconds = list[float]()

    def inspect(self, files: Sequence[File], limits: Limits, passwords: Sequence[str] = ()) -> list[Item]:
        self.asked.append([file.path for file in files])
        self.seconds.append(limits.seconds)
        answer = self.answers.pop(0)
        self.failure = answer if isinstance(answer, str) else ""
        return answer if isinstance(answer, list) else [said(file.path, UNCHECKED) for file in files]

    def inspect_each(self, files: Sequence[File], limits: Limits) -> list[Item]:
        return [item for file in files for item in self.inspect([file], limits)]

    def start(self) -> None:
        """Nothing has to run."""

    def close(self) -> None:
        """Nothing runs."""


def inspected(told: Told, passwords: bool = True) -> list[tuple[str, frozenset[Flag]]]:
    async def scene() -> list[Item]:
        inspector = Inspector()
        inspector._front.helper = told  # type: ignore[assignment]
        items = await inspector.inspect(Message(TWO), passwords=passwords, seconds=10)
        await inspector.close()
        return items

    return [(item.path, item.flags) for item in asyncio.run(scene())]


def test_what_goes_wrong_together_is_tried_one_by_one() -> None:
    told = Told("crashed", "crashed", [said("3", OPEN)])
    assert inspected(told) == [("2", UNCHECKED), ("3", OPEN)]
    assert told.asked == [["2", "3"], ["2"], ["3"]]


def test_only_what_is_locked_is_tried_with_passwords() -> None:
    told = Told([said("2", LOCKED), said("3", OPEN)], [said("2", LOCKED), said("2/a.exe", OPEN)])
    assert inspected(told) == [("2", LOCKED), ("2/a.exe", OPEN), ("3", OPEN)]
    assert told.asked == [["2", "3"], ["2"]]


def test_what_passwords_open_lies_where_it_lay() -> None:
    opened = _opened([said("2", LOCKED, 1)], [said("2", LOCKED), said("2/a.exe", OPEN, 1)])
    assert [item.depth for item in opened] == [1, 2]


def test_nothing_is_tried_where_the_settings_say_so() -> None:
    assert inspected(Told([said("2", LOCKED), said("3", OPEN)]), passwords=False) == [("2", LOCKED), ("3", OPEN)]


def test_passwords_cost_nothing_that_was_seen_without_them() -> None:
    seen = [said("2", LOCKED), said("2/a.exe", OPEN), said("3", OPEN)]
    for second in ["over its time", [said("2", UNCHECKED)]]:
        assert inspected(Told(seen, second)) == [(item.path, item.flags) for item in seen]


def ends(mails: Sequence[bytes], gone: int = -1) -> list[tuple[int, int, bool]]:
    """Have mails looked into at the same time; return which ended in what order, with how many files, and whether it was whole."""

    async def scene() -> list[tuple[int, int, bool]]:
        inspector, order = Inspector(quick_s=0.15), list[tuple[int, int, bool]]()
        for place in (inspector._front, inspector._other):  # else a start takes as long as a slow archive
            await place.do(place.helper.start)

        async def one(number: int, raw: bytes) -> None:
            items = await inspector.inspect(Message(raw), passwords=True, seconds=20)
            order.append((number, len(items), Flag.BOMB not in items[0].flags))

        tasks = [asyncio.create_task(one(*each)) for each in enumerate(mails)]
        if gone >= 0:
            await asyncio.sleep(0)
            tasks[gone].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await inspector.close()
        return order

    return asyncio.run(scene())


def test_a_slow_archive_holds_up_nobody() -> None:
    assert ends([SLOW, SMALL, SMALL]) == [(1, 2, True), (2, 2, True), (0, 601, True)]


def test_slow_archives_wait_for_each_other_alone_and_each_is_seen_whole() -> None:
    order = ends([SLOW, SLOW, SLOW, SMALL])
    assert order.index((3, 2, True)) < 3
    assert sorted(order) == [(0, 601, True), (1, 601, True), (2, 601, True), (3, 2, True)]


def test_one_that_goes_away_leaves_the_places_to_others() -> None:
    assert sorted(ends([SLOW, SMALL, SLOW, SLOW], gone=0)) == [(1, 2, True), (2, 601, True), (3, 601, True)]


@pytest.mark.parametrize("first", [[said("2", LOCKED), said("3", OPEN)], "crashed"], ids=["locked", "crashed"])
def test_what_needs_shares_of_the_time_has_the_whole_of_it_when_another_is_aside_too(first: list[Item] | str) -> None:
    each = [[said("2", LOCKED)], [said("3", OPEN)]] if first == "crashed" else []
    front, other = Told(first), Told(first, *each, [said("2", LOCKED), said("2/a.exe", OPEN, 1)])

    async def scene() -> list[Item]:
        inspector = Inspector()
        inspector._front.helper, inspector._other.helper = front, other  # type: ignore[assignment]
        await inspector._aside.acquire()
        asked = asyncio.create_task(inspector.inspect(Message(TWO), passwords=True, seconds=10))
        while not front.asked or inspector._turn.locked():
            await asyncio.sleep(0)
        inspector._aside.release()
        items = await asked
        await inspector.close()
        return items

    items = asyncio.run(scene())
    assert [(item.path, item.flags) for item in items] == [("2", LOCKED), ("2/a.exe", OPEN), ("3", OPEN)]
    assert front.asked == [["2", "3"]]
    assert min(other.seconds) > 9.0


def test_who_waits_for_the_place_aside_is_seen_by_the_next_in_turn() -> None:
    """Else that one takes the front place in full, and those behind it wait until the place aside is free."""

    async def scene() -> None:
        inspector = Inspector(quick_s=0.05)
        inspector._front.helper = inspector._other.helper = Told()  # type: ignore[assignment]
        first_ends, first_ended, second_began, second_ends = (Event() for _ in range(4))

        def first(_helper: Helper, _seconds: float, _quick: bool) -> tuple[None, bool]:
            first_ends.wait(20)
            return None, False

        def second(_helper: Helper, _seconds: float, quick: bool) -> tuple[None, bool]:
            if quick:  # broken off just when the first has ended
                first_ends.set()
                first_ended.wait(20)
            else:
                second_began.set()
                second_ends.wait(20)
            return None, quick

        def third(_helper: Helper, _seconds: float, quick: bool) -> tuple[None, bool]:
            if not quick:
                second_ends.wait(20)
            return None, quick

        def small(_helper: Helper, _seconds: float, _quick: bool) -> tuple[str, bool]:
            return "small", False

        works = (first, second, third, small)
        tasks = [asyncio.create_task(inspector._served(work, 10.0)) for work in works]
        tasks[0].add_done_callback(lambda _: first_ended.set())
        try:
            assert await asyncio.wait_for(tasks[3], 10) == "small"
        finally:
            first_ended.set()
            second_ends.set()
        await asyncio.gather(*tasks)
        assert second_began.is_set()
        await inspector.close()

    asyncio.run(scene())


class Steps:
    """A place without a thread: what it does takes so many turns of the loop, so that a scene is the same each time."""

    def __init__(self) -> None:
        self.busy = False

    async def run(self, work: tuple[int, bool], _seconds: float, *, quick: bool = False) -> tuple[int, bool]:
        assert not self.busy
        self.busy = True
        try:
            steps, fails = work
            for _ in range(min(steps, 2) if quick else steps):
                await asyncio.sleep(0)
            if fails:
                raise OSError("no process can be started")
            return steps, quick and steps > 2
        finally:
            self.busy = False


def left_by(works: Sequence[tuple[int, bool]], gone: int, after: int) -> list[object]:
    """Have works done at once, one of whom goes away after so many turns of the loop; return what comes of them."""

    async def scene() -> list[object]:
        inspector = Inspector(quick_s=0.0)
        inspector._front, inspector._other = Steps(), Steps()  # type: ignore[assignment]
        tasks = [asyncio.create_task(inspector._served(work, 10.0)) for work in works]  # type: ignore[arg-type]
        for turn in range(500):
            if turn == after:
                tasks[gone].cancel()
            elif len(asyncio.all_tasks()) == 1:
                break
            await asyncio.sleep(0)
        else:
            raise AssertionError("somebody waits for a place that nobody has")
        assert not inspector._turn.locked()
        assert not inspector._aside.locked()
        assert not inspector._jobs
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    return asyncio.run(scene())


@pytest.mark.parametrize("fails", [-1, 0, 1, 2])
@pytest.mark.parametrize("gone", range(5))
def test_no_place_is_lost_whenever_one_goes_away_or_fails(gone: int, fails: int) -> None:
    works = [(steps, number == fails) for number, steps in enumerate([8, 10, 0, 12, 0])]
    for after in range(80):
        for number, came in enumerate(left_by(works, gone, after)):
            if number == fails:
                assert isinstance(came, OSError | asyncio.CancelledError)
            elif number != gone or not isinstance(came, asyncio.CancelledError):
                assert came == works[number][0]
