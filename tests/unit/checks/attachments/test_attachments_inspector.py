"""Who looks into the files of a mail: all together, each alone where that goes wrong, and locked ones again with passwords."""

import asyncio
from collections.abc import Sequence

from mpp.checks.attachments.inspector import Inspector, _opened
from mpp.checks.attachments.item import File, Flag, Item, Limits
from mpp.mail.message import Message
from servers.attachments import PROGRAM, mail, zipped

TWO = mail("a.7z", b"locked").replace(
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

    def inspect(self, files: Sequence[File], limits: Limits, passwords: Sequence[str] = ()) -> list[Item]:
        self.asked.append([file.path for file in files])
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
