"""What the operator hears of a connection and a message: one log line each, and the counters.

Called by mpp.gateway.session. All outside text is escaped by the log.
"""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from mpp.checks.layers.engines import opinions
from mpp.gateway import replies
from mpp.gateway.delivery import Outcome, State
from mpp.gateway.log import event as log
from mpp.gateway.log import plain
from mpp.gateway.received import Received, Result
from mpp.gateway.recipients import Transaction
from mpp.gateway.tracing import Refused, refused_trace, trace_of
from mpp.mail.envelope import Client
from mpp.net.metrics import MESSAGES, Counter, Histogram
from mpp.net.table import SlotWriter
from mpp.protocols.smtp.reply import Reply
from mpp.store.clock import now_ms
from mpp.store.trace import Trace
from mpp.verdict.amavis_log import Answer, amavis_lines
from mpp.verdict.plan import Fate

_BECAME: dict[str, str] = {
    State.HELD: "quarantine",
    State.UNARCHIVED: "defer",
    State.REFUSED: "reject",
    State.DEFERRED: "defer",
    State.UNKNOWN: "defer",
}  # of what was not accepted

_ANSWERED: dict[str, Literal["refused", "deferred", "unknown"]] = {
    State.REFUSED: "refused",
    State.DEFERRED: "deferred",
    State.UNKNOWN: "unknown",
}


def _several(values: Collection[str]) -> str | list[str] | None:
    """Return what a log field shows of several values: nothing, the one, or a list of them."""
    if len(values) == 1:
        (only,) = values
        return only or None
    shown = list(filter(None, values))
    return shown[0] if len(shown) == 1 else shown or None


class _Told(NamedTuple):
    """What the line says of the outcomes; all but the states each once, in their order."""

    states: list[str]
    rules: Collection[str]
    hops: Collection[str]
    causes: Collection[str]
    became: Collection[str]


def _told(outcomes: Mapping[str, Outcome], fates: Mapping[str, Fate]) -> _Told:
    states: list[str] = []
    rules: dict[str, None] = {}
    hops: dict[str, None] = {}
    causes: dict[str, None] = {}
    became: dict[str, None] = {}
    for address, outcome in outcomes.items():
        fate = fates.get(address)
        states.append(outcome.state)
        hops[outcome.host] = causes[outcome.cause] = None
        if fate is not None:
            rules[fate.rule] = None
        became[_BECAME.get(outcome.state) or (fate.disposition if fate is not None else "deliver")] = None
    return _Told(states, rules, hops, causes, became)


class Reporter:
    def __init__(self, table: SlotWriter) -> None:
        self._table = table
        self._tasks: set[asyncio.Task[None]] = set()

    def message(self, transaction: Transaction, received: Received, result: Result, now: float) -> None:
        """One line for a message that was judged, whatever became of it; its trace; the counters."""
        plan, took, reply, client = result.plan, now - received.arrived, result.reply, received.client
        told = _told(result.outcomes, plan.fates if plan else {})
        log(
            "info",
            "message",
            id=received.id,
            client=client.address,
            helo=client.helo,
            sender=received.envelope.reverse_path,
            recipients=_several([recipient.address for recipient in received.envelope.recipients]),
            size=len(received.data),
            verdict=plan.verdict if plan else None,
            score=plan.score if plan else None,
            rules=_several(told.rules),
            findings=_several([finding.symbol for finding in result.judged.findings]),
            engines=[opinion.word for opinion in opinions(result.judged)] if result.judged.runs else None,
            outcome=_several(told.states),
            hops=_several(told.hops),
            causes=_several(told.causes),
            reply=reply.words,
            checked_ms=round(result.checked_s * 1000, 1),
            ms=round(took * 1000, 1),
        )
        table = self._table
        table.add(Counter.BYTES_RECEIVED, len(received.data))
        table.observe(Histogram.MESSAGE, took)
        for disposition in told.became:
            table.add(MESSAGES[disposition])
        parts = transaction.assembly
        parts.recorder.add(
            trace_of(received, result, took, now_ms(), parts.revision, parts.directory.tenant, transaction.refused)
        )

    @staticmethod
    def amavis(result: Result, took: float) -> None:
        """The lines that log readers made for amavisd know; nothing for what was refused before it was judged."""
        if result.transaction is None or result.plan is None:
            return
        answers = {
            address: Answer(
                _ANSWERED.get(outcome.state, "accepted"),
                outcome.reply.words,
            )
            for address, outcome in result.outcomes.items()
            if outcome.host
        }
        for line in amavis_lines(result.transaction, result.plan, result.judged.findings, answers, took_ms=took * 1000):
            plain(line)

    def refused(self, transaction: Transaction, client: Client, reply: Reply) -> None:
        """One line for a message that was refused before it was judged; its trace."""
        recipients = [entry.recipient.address for entry in transaction.accepted]
        log(
            "info",
            "message",
            id=transaction.id,
            client=client.address,
            sender=transaction.reverse_path,
            recipients=recipients,
            reply=reply.words,
        )
        copies = [*transaction.refused, *((recipient, reply) for recipient in recipients)]
        transaction.assembly.recorder.add(self._unjudged(transaction, client, copies, reply.words))
        self._table.add(MESSAGES["reject" if reply.code >= 500 else "defer"])
        if reply is replies.NO_MEMORY:
            self._table.add(Counter.MESSAGES_OVER_BUDGET)

    def turned_away(self, transaction: Transaction, client: Client, now: float) -> None:
        """The trace of a transaction in which something was refused, and which ends without content."""
        trace = self._unjudged(transaction, client, transaction.refused, "")
        transaction.assembly.recorder.refusal(trace, now)

    @staticmethod
    def _unjudged(transaction: Transaction, client: Client, copies: Sequence[Refused], reply: str) -> Trace:
        return refused_trace(
            transaction.id,
            transaction.listener.name,
            client,
            transaction.reverse_path,
            copies,
            reply,
            now_ms(),
            transaction.assembly.revision,
            transaction.assembly.directory.tenant,
        )

    @staticmethod
    def ended(client: Client, reason: str) -> None:
        """A connection was ended by one of its limits."""
        log("info", "ended", client=client.address, helo=client.helo, reason=reason)

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work that no reply waits for; a failure is logged."""
        task = asyncio.create_task(self._guarded(work), name="background")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def busy(self) -> bool:
        """True while such work goes on."""
        return bool(self._tasks)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 the edge of a task
            log("error", "fault", cause=f"{type(error).__name__}: {error}")
