"""What the operator hears of a connection and a message: one log line each, and the counters.

Called by mpp.gateway.session. All outside text is escaped by the log.
"""

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from typing import Any

from mpp.gateway import replies
from mpp.gateway.delivery import State
from mpp.gateway.log import event as log
from mpp.gateway.pipeline import Accepted, Received, Result
from mpp.mail.envelope import Client
from mpp.net.metrics import MESSAGES, Counter, Histogram
from mpp.net.table import SlotWriter
from mpp.protocols.smtp.reply import Reply


def _several(values: Collection[str]) -> str | list[str] | None:
    """Return what a log field shows of several values: nothing, the one, or a list of them."""
    if len(values) == 1:
        return next(iter(values)) or None
    return [value for value in values if value] or None


class Reporter:
    def __init__(self, table: SlotWriter) -> None:
        self._table = table
        self._tasks: set[asyncio.Task[None]] = set()

    def message(self, received: Received, result: Result, now: float) -> None:
        """One line for a message that was judged, whatever became of it."""
        plan, took, reply = result.plan, now - received.arrived, result.reply
        outcomes = result.outcomes.values()
        log(
            "info",
            "message",
            id=received.id,
            client=received.client.address,
            helo=received.client.helo,
            sender=received.envelope.reverse_path,
            recipients=_several([recipient.address for recipient in received.envelope.recipients]),
            size=len(received.data),
            verdict=plan.verdict if plan else None,
            score=plan.score if plan else None,
            rules=_several({fate.rule for fate in plan.fates.values()}) if plan else None,
            findings=_several([finding.symbol for finding in result.findings]),
            outcome=_several([outcome.state for outcome in outcomes]),
            hops=_several({outcome.host for outcome in outcomes}),
            causes=_several({outcome.cause for outcome in outcomes}),
            reply=f"{reply.code} {reply.enhanced} {reply.text}",
            checked_ms=round(result.checked_s * 1000, 1),
            ms=round(took * 1000, 1),
        )
        self._count(received, result, took)

    def _count(self, received: Received, result: Result, took: float) -> None:
        table = self._table
        table.add(Counter.BYTES_RECEIVED, len(received.data))
        table.observe(Histogram.MESSAGE, took)
        fates = result.plan.fates if result.plan else {}
        became = set()
        for address, outcome in result.outcomes.items():
            if outcome.state is State.ACCEPTED:
                became.add(fates[address].disposition.value if address in fates else "deliver")
            else:
                became.add("reject" if outcome.state is State.REFUSED else "defer")
        for disposition in became:
            table.add(MESSAGES[disposition])

    def refused(
        self, identity: str, client: Client, reverse_path: str, accepted: Sequence[Accepted], reply: Reply
    ) -> None:
        """One line for a message that was refused before it was judged."""
        log(
            "info",
            "message",
            id=identity,
            client=client.address,
            sender=reverse_path,
            recipients=[entry.recipient.address for entry in accepted],
            reply=f"{reply.code} {reply.enhanced} {reply.text}",
        )
        self._table.add(MESSAGES["reject" if reply.code >= 500 else "defer"])
        if reply is replies.NO_MEMORY:
            self._table.add(Counter.MESSAGES_OVER_BUDGET)

    @staticmethod
    def ended(client: Client, reason: str) -> None:
        """A connection was ended by one of its limits."""
        log("info", "ended", client=client.address, helo=client.helo, reason=reason)

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work that no reply waits for; a failure is logged."""
        task = asyncio.create_task(self._guarded(work), name="background")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 the edge of a task
            log("error", "fault", cause=f"{type(error).__name__}: {error}")
