"""What the operator hears of a connection and a message: one log line each, and the counters.

Called by mpp.gateway.session. All outside text is escaped by the log.
"""

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal

from mpp.checks.layers.engines import opinions
from mpp.gateway import replies
from mpp.gateway.delivery import State
from mpp.gateway.log import Value, plain
from mpp.gateway.log import event as log
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


_address, _symbol = attrgetter("address"), attrgetter("symbol")
_told = attrgetter("rule", "state", "host", "cause", "disposition")  # of a copy


@lru_cache(1024)
def _shown(copies: tuple[tuple[str, str, str, str, str], ...]) -> tuple[Value, Value, Value, Value, list[Counter]]:
    """Return what the line shows of what became of the copies, and the counters: for most messages the same."""
    rules, states, hosts, causes = ([copy[at] for copy in copies] for at in range(4))
    became = {_BECAME.get(state) or disposition or "deliver" for _, state, _, _, disposition in copies}
    return (
        _several(dict.fromkeys(rules)),
        _several(states),
        _several(dict.fromkeys(hosts)),
        _several(dict.fromkeys(causes)),
        [MESSAGES[each] for each in became],
    )


class Reporter:
    def __init__(self, table: SlotWriter) -> None:
        self._table = table
        self._tasks: set[asyncio.Task[None]] = set()
        self._untold = 0  # messages that were answered a moment ago

    def behind(self, transaction: Transaction, received: Received, result: Result, now: float) -> None:
        """Tell of a message once its reply has left: the loop sends at the end of a turn what was written in it."""
        self._untold += 1
        asyncio.get_running_loop().call_soon(self._tell, transaction, received, result, now)

    def _tell(self, transaction: Transaction, received: Received, result: Result, now: float) -> None:
        self._untold -= 1
        try:
            self.message(transaction, received, result, now)
            if transaction.assembly.settings.log.amavis:
                self.amavis(result, now - received.arrived)
        except Exception as error:  # noqa: BLE001 the client has its reply, which says what became of the message
            self._fault(error)

    def message(self, transaction: Transaction, received: Received, result: Result, now: float) -> None:
        """One line for a message that was judged, whatever became of it; its trace; the counters."""
        took, client, parts, table = now - received.arrived, received.client, transaction.assembly, self._table
        trace = trace_of(received, result, took, now_ms(), parts.revision, parts.directory.tenant, transaction.refused)
        copies = trace.copies[len(transaction.refused) :]
        rules, states, hosts, causes, became = _shown(tuple(map(_told, copies)))
        log(
            "info",
            "message",
            id=trace.id,
            client=client.address,
            helo=client.helo,
            sender=trace.reverse_path,
            recipients=_several(tuple(map(_address, received.envelope.recipients))),
            size=trace.size,
            verdict=trace.verdict or None,
            score=trace.score if trace.verdict else None,
            rules=rules,
            findings=_several(tuple(map(_symbol, trace.findings))),
            engines=[opinion.word for opinion in opinions(result.judged)] if result.judged.runs else None,
            outcome=states,
            hops=hosts,
            causes=causes,
            reply=trace.reply,
            checked_ms=trace.checked_ms,
            ms=trace.took_ms,
        )
        table.add(Counter.BYTES_RECEIVED, trace.size)
        table.observe(Histogram.MESSAGE, took)
        for counter in became:
            table.add(counter)
        parts.recorder.add(trace)

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
        """True while such work goes on, or a message waits to be told of."""
        return bool(self._tasks or self._untold)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 the edge of a task
            self._fault(error)

    def _fault(self, error: Exception) -> None:
        log("error", "fault", cause=f"{type(error).__name__}: {error}")
        self._table.add(Counter.FAULTS)
