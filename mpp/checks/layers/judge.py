"""Runs the checks on a message: layer after layer, the checks of one layer at the same time (design: the way of a message).

Called by mpp.gateway.pipeline and by `mpp scan`. Whether a layer runs and what ends the layers is decided in
mpp.checks.layers.conditions, what points count in .scale, who has to agree in .votes; mpp.checks.campaigns may know the answer. A check that overruns or breaks gives
its failure finding, never an exception and never a verdict; no checks at all, and a check that was not asked, are said
by findings too.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from mpp.checks.campaigns.memory import Known, Memory
from mpp.checks.campaigns.signature import Signature, signature
from mpp.checks.guards.guard import Guard
from mpp.checks.layers.conditions import settled, weights, why_not, why_stop
from mpp.checks.layers.scale import PLAIN, Scale, scaled
from mpp.checks.layers.settings import Layer, Vote
from mpp.checks.layers.votes import limited
from mpp.mail.escape import printable
from mpp.mail.message import Message
from mpp.verdict.finding import NO_SCANNER, NOT_ASKED, SCANNER_FAILED, SPARED, TOO_LARGE, Counts, Finding, Verdict
from mpp.verdict.plan import Plan
from mpp.verdict.reasons import number
from mpp.verdict.transaction import Transaction

CAMPAIGN = "CAMPAIGN"
_KNOWN = "its content is that of a campaign of spam (campaigns.on)"
_NO_SCANNER = Finding("layers", NO_SCANNER)
_log = logging.getLogger(__name__)


class Check(Protocol):
    """One check. Made once for a revision of the settings, used by many messages at a time."""

    @property
    def name(self) -> str: ...

    @property
    def layer(self) -> int: ...

    @property
    def spam(self) -> bool:
        """True where it only tells spam from ham: not asked where that is known."""
        ...

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return what it saw. Faults of its servers are findings, not exceptions."""
        ...

    def failed(self, server: str, cause: str) -> Finding:
        """Return the finding that says that it gave no answer, with what its settings make of that."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a check's findings count."""

    scale: Scale = PLAIN
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """That a check was asked, and how long that took."""

    check: str
    took_s: float


@dataclass(slots=True)
class Judged:
    """All that the checks said: findings in the order of the layers and of the checks in one; a run for each check asked."""

    findings: list[Finding]
    runs: tuple[Run, ...] = ()
    content: Signature | None = None  # where campaign memory looks at this message
    known: Known | None = None  # the campaign that decided in place of the spam scanners


@dataclass(frozen=True, slots=True)
class _Group:
    layer: Layer | None  # None where the settings write no layers
    checks: tuple[Check, ...]


class Layers:
    """The checks of one revision of the settings, in their order."""

    def __init__(
        self,
        checks: Sequence[Check],
        layers: Sequence[Layer] = (),
        votes: Sequence[Vote] = (),
        terms: Mapping[str, Terms] | None = None,
        memory: Memory | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._groups = _written(checks, layers) if layers else _by_number(checks)
        self._votes = tuple(votes)
        self._terms = {name: each for name, each in (terms or {}).items() if each != Terms()}
        self._spam = frozenset(check.name for check in checks if check.spam)
        self._memory = memory if self._spam else None
        self._guard = guard

    async def judge(
        self, message: Message, transaction: Transaction, timeout_s: float, before: Sequence[Finding] = ()
    ) -> Judged:
        """Ask all checks that this message is for, by `timeout_s` from now. `before`: what is found already."""
        if not self._groups:
            return Judged([*before, _NO_SCANNER])
        deadline = asyncio.get_running_loop().time() + timeout_s
        raw: list[Finding] = [*before]
        runs: list[Run] = []
        content = self._content(message, transaction)
        known = self._memory.recall(content, time.monotonic()) if self._memory and content else None
        stopped, virus_too = settled(transaction, before)
        stopped = stopped or (_KNOWN if known else "")
        findings = raw
        for group in self._groups:
            spared = {check.name for check in group.checks if stopped and (virus_too or check.spam)}
            reason = why_not(group.layer, message, transaction, findings) if group.layer else ""
            asked = () if reason else tuple(check for check in group.checks if check.name not in spared)
            raw += [_not_asked(check, reason or stopped) for check in group.checks if check not in asked]
            if not asked:
                continue
            for found, run in await self._ask(asked, message, transaction, deadline):
                raw += found
                runs.append(run)
            findings = self._limited(raw)
            if not virus_too:
                reason, virus_too = why_stop(group.layer, transaction, findings)
                stopped = reason or stopped
        if known:
            raw.append(_campaign(known, findings, transaction))
        return Judged(self._limited(raw), tuple(runs), content, known)

    def _limited(self, raw: list[Finding]) -> list[Finding]:
        findings = limited(raw, self._votes)
        return self._guard.limited(findings) if self._guard else findings

    def learn(self, judged: Judged, transaction: Transaction, plan: Plan) -> None:
        """Count what decided, and remember what a full examination came to, so that more of the same is known."""
        policies = transaction.policies.values()
        if self._guard:
            mark_above = next(iter(policies))[1].mark_above if policies else None
            self._guard.note(judged.findings, mark_above, time.monotonic())
        if self._memory is None or judged.content is None or judged.known is not None:
            return
        unanswered = (SCANNER_FAILED, SPARED, TOO_LARGE)
        if any(each.symbol in unanswered and each.check in self._spam for each in judged.findings):
            return
        score = None
        if plan.verdict is not Verdict.CLEAN:
            score = min(weight.firm for weight in weights(judged.findings, transaction))
            if plan.verdict is not Verdict.SPAM or any(
                each.mark_above is None or score < each.mark_above for _, each in policies
            ):
                return
        envelope = transaction.envelope
        who = (envelope.reverse_path, *sorted(recipient.address for recipient in envelope.recipients))
        self._memory.learn(judged.content, score, who, time.monotonic())

    def _content(self, message: Message, transaction: Transaction) -> Signature | None:
        """Return what campaign memory goes by; mail of our own people is none of its business."""
        if self._memory is None or transaction.direction != "inbound" or transaction.trusted:
            return None
        return signature(message)

    async def _ask(
        self, checks: Sequence[Check], message: Message, transaction: Transaction, deadline: float
    ) -> list[tuple[list[Finding], Run]]:
        if len(checks) == 1:  # the usual case needs no task of its own
            return [await self._run(checks[0], message, transaction, deadline)]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    self._run(check, message, transaction, deadline), name=f"{transaction.id} {check.name}"
                )
                for check in checks
            ]
        return [task.result() for task in tasks]

    async def _run(
        self, check: Check, message: Message, transaction: Transaction, deadline: float
    ) -> tuple[list[Finding], Run]:
        clock = asyncio.get_running_loop().time
        begun = clock()
        guard, digest = self._guard, transaction.digest
        if guard and (held := guard.instead(check.name, digest, time.monotonic())):
            findings = [held]
        else:
            findings = await _examine(check, message, transaction, deadline)
            failed = guard is not None and any(finding.symbol == SCANNER_FAILED for finding in findings)
            if guard and failed and (held := guard.instead(check.name, digest, time.monotonic())):
                findings = [held]
        run = Run(check.name, clock() - begun)
        terms = self._terms.get(check.name)
        if terms is not None:
            findings = scaled(findings, terms.scale, check.name)
            if terms.shadow:
                limit = f"scanners.{check.name}.shadow"
                findings = [finding._replace(counts=Counts.NOTHING, limit=limit) for finding in findings]
        return findings, run


def _by_number(checks: Sequence[Check]) -> tuple[_Group, ...]:
    """Return the layers that the numbers of the checks make, where none are written."""
    ordered = sorted(checks, key=_number)
    return tuple(_Group(None, tuple(group)) for _, group in groupby(ordered, key=_number))


def _number(check: Check) -> int:
    return check.layer


def _written(checks: Iterable[Check], layers: Sequence[Layer]) -> tuple[_Group, ...]:
    by_name = {check.name: check for check in checks}
    return tuple(_Group(layer, tuple(by_name[name] for name in layer.scanners if name in by_name)) for layer in layers)


def _campaign(known: Known, findings: Sequence[Finding], transaction: Transaction) -> Finding:
    """Return the finding that brings the score to what the scanners gave to the campaign's other messages."""
    there = max(weight.score for weight in weights(findings, transaction))
    text = "The same content was found spam by the scanners again and again"
    evidence = f"in {known.envelopes} different envelopes or more, with a score of {number(round(known.score, 3))}"
    return Finding("campaigns", CAMPAIGN, round(max(0.0, known.score - there), 3), text, evidence)


def _not_asked(check: Check, reason: str) -> Finding:
    return Finding(check.name, NOT_ASKED, evidence=reason)


async def _examine(check: Check, message: Message, transaction: Transaction, deadline: float) -> list[Finding]:
    ours = asyncio.timeout_at(deadline)
    try:
        async with ours:
            return await check.examine(message, transaction)
    except Exception as error:  # noqa: BLE001  the edge of a check: a fault in one must not lose the others' findings
        if ours.expired():
            return [check.failed("", "no answer when the time for all checks was over")]
        _log.exception("check %s broke on message %s", check.name, transaction.id)
        return [check.failed("", f"a fault of the check itself: {printable(repr(error), 200)}")]
