"""The attachment policy at work: a message's files are looked into, and what the rules make of that become findings.

Called by mpp.gateway.pipeline behind the content filter and before the scanners, and by `mpp scan`. A file that cannot be looked into
is `unchecked`, and the policy says what that means; that nobody can look at all is a failure, as that of a scanner.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ParamSpec, TypeVar

from mpp.checks.attachments.acting import CHECK, act, to_clean
from mpp.checks.attachments.inspector import Inspector
from mpp.checks.attachments.item import Cleaned, Item
from mpp.checks.attachments.mails import has_files
from mpp.checks.attachments.policy import Rulebook, Ruling
from mpp.checks.attachments.settings import Inspection
from mpp.mail.escape import printable
from mpp.mail.message import Message
from mpp.verdict.finding import SCANNER_FAILED, Act, Action, Finding, Verdict
from mpp.verdict.transaction import Transaction

_TOLD = 20  # files that are told one by one
LARGE = 1 << 17  # octets of a message above which all is done beside the loop: to decode its texts may take long
_MANY = 100  # files above which it is too
_Asked = ParamSpec("_Asked")
_Result = TypeVar("_Result")
Group = tuple[list[str], list[Ruling]]  # recipients for whom these rules hold


class Attachments:
    """The rules of one value of the settings, and who looks into files for them."""

    def __init__(self, book: Rulebook, inspection: Inspection, inspector: Inspector) -> None:
        self._book, self._inspection, self._inspector = book, inspection, inspector

    def __bool__(self) -> bool:
        return bool(self._book) or self._inspection.always

    async def judge(self, message: Message, transaction: Transaction, timeout_s: float) -> list[Finding]:
        """Return what is found and what is to be done, by `timeout_s` from now. Never raises for what a message holds."""
        if not await _done(len(message.raw) > LARGE, has_files, message):
            return []
        try:
            async with asyncio.timeout(timeout_s):
                passwords, seconds = self._inspection.passwords, self._inspection.seconds
                items = await self._inspector.inspect(message, passwords=passwords, seconds=seconds)
                beside = len(message.raw) > LARGE or len(items) > _MANY
                groups = await _done(beside, self._judged, transaction, items)
                cleaned = await self._cleaned(groups, message)
                return await _done(beside, self._findings, message, transaction, items, groups, cleaned)
        except (OSError, TimeoutError) as error:
            cause = str(error) or "no answer when the time for all checks was over"
            return [Finding(CHECK, SCANNER_FAILED, evidence=cause, failure=self._inspection.on_failure)]

    def _findings(
        self,
        message: Message,
        transaction: Transaction,
        items: Sequence[Item],
        groups: Sequence[Group],
        cleaned: Mapping[str, Cleaned],
    ) -> list[Finding]:
        """Return a finding for each file of which there is something to say, then those of the rules, by recipients."""
        told = [_told(item) for item in items if item.flags][:_TOLD]
        for addresses, rulings in groups:
            theirs = act(rulings, message, transaction, self._inspection, cleaned)
            theirs += self._unchecked(items, rulings)
            whom = frozenset(addresses if len(groups) > 1 else ())
            told += [each._replace(recipients=whom) for each in theirs]
        return told

    def _judged(self, transaction: Transaction, items: Sequence[Item]) -> list[Group]:
        """Return the rulings for each group of recipients."""
        groups = self._book.groups(transaction)
        return [(addresses, self._book.judge(numbers, items)) for numbers, addresses in groups.items()]

    async def _cleaned(self, groups: Sequence[Group], message: Message) -> dict[str, Cleaned]:
        """Return, by the paths of their parts, the documents that rules want without macros, as far as that can be."""
        wanted = {path for _, rulings in groups for path in to_clean(rulings)}
        seconds = self._inspection.seconds
        parts = [part for part in message.leaves() if part.path in wanted]
        found = {part.path: await self._inspector.clean(part, seconds=seconds) for part in parts}
        return {path: cleaned for path, cleaned in found.items() if cleaned is not None}

    def _unchecked(self, items: Sequence[Item], rulings: Sequence[Ruling]) -> Iterator[Finding]:
        """A finding for what could not be looked into, where no rule decides about it."""
        decided = {id(ruling.item) for ruling in rulings if ruling.rule.action != "note"}
        closed = [
            (item, flag)
            for item in items
            if id(item) not in decided
            for flag in self._inspection.unchecked
            if flag in item.flags
        ]
        if closed:
            item, flag = closed[0]
            more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
            text = f"{printable(item.path, 150)}{more} cannot be looked into"
            yield Finding(CHECK, flag.value, text=text, verdict=Verdict.UNCHECKED)


async def _done(
    beside: bool, work: Callable[_Asked, _Result], *arguments: _Asked.args, **named: _Asked.kwargs
) -> _Result:
    """Do something here, or beside the loop, which nothing may hold for long."""
    return await asyncio.to_thread(work, *arguments, **named) if beside else work(*arguments, **named)


def _told(item: Item) -> Finding:
    """Return what is said of a file, to be recorded and to decide nothing by itself."""
    flags = sorted(flag.value for flag in item.flags)
    text = f"{printable(item.path, 200)}: {printable(item.type, 100)}, {item.size} octets"
    return Finding(CHECK, "+".join(flags), text=text, evidence=item.sha256, actions=(Action(Act.NOTE, "inspection"),))
