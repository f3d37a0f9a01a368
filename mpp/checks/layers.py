"""Runs the checks on a message: layer after layer, the checks of one layer at the same time (design: the way of a message).

Called by mpp.gateway.pipeline and by `mpp scan`. A sure finding (virus, banned) ends the layers. A check that overruns
or breaks gives its failure finding, never an exception and never a verdict; no checks at all is said by a finding too.
"""

import asyncio
import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

from mpp.mail.escape import printable
from mpp.mail.message import Message
from mpp.verdict.finding import NO_SCANNER, Finding, Verdict
from mpp.verdict.transaction import Transaction

_SURE = (Verdict.VIRUS, Verdict.BANNED)
_NO_SCANNER = Finding("layers", NO_SCANNER)
_log = logging.getLogger(__name__)


class Check(Protocol):
    """One check. Made once for a revision of the settings, used by many messages at a time."""

    @property
    def name(self) -> str: ...

    @property
    def layer(self) -> int: ...

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return what it saw. Faults of its servers are findings, not exceptions."""
        ...

    def failed(self, server: str, cause: str) -> Finding:
        """Return the finding that says that it gave no answer, with what its settings make of that."""
        ...


async def judge(checks: Sequence[Check], message: Message, transaction: Transaction, timeout_s: float) -> list[Finding]:
    """Return the findings of all checks that ran, in the order of the layers and of `checks` within one."""
    if not checks:
        return [_NO_SCANNER]
    deadline = asyncio.get_running_loop().time() + timeout_s
    findings: list[Finding] = []
    for _, layer in groupby(sorted(checks, key=_layer), key=_layer):
        findings += await _run_layer(tuple(layer), message, transaction, deadline)
        if any(finding.verdict in _SURE for finding in findings):
            break
    return findings


def _layer(check: Check) -> int:
    return check.layer


async def _run_layer(
    checks: Sequence[Check], message: Message, transaction: Transaction, deadline: float
) -> list[Finding]:
    if len(checks) == 1:  # the usual case needs no task of its own
        return await _run(checks[0], message, transaction, deadline)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_run(check, message, transaction, deadline), name=f"{transaction.id} {check.name}")
            for check in checks
        ]
    return [finding for task in tasks for finding in task.result()]


async def _run(check: Check, message: Message, transaction: Transaction, deadline: float) -> list[Finding]:
    ours = asyncio.timeout_at(deadline)
    try:
        async with ours:
            return await check.examine(message, transaction)
    except Exception as error:  # noqa: BLE001  the edge of a check: a fault in one must not lose the others' findings
        if ours.expired():
            return [check.failed("", "no answer when the time for all checks was over")]
        _log.exception("check %s broke on message %s", check.name, transaction.id)
        return [check.failed("", f"a fault of the check itself: {printable(repr(error), 200)}")]
