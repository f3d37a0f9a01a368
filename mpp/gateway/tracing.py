"""From what the gateway knows at the end of a transaction to its trace. Pure: times come in."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from mpp.gateway.assembly import Assembly
from mpp.gateway.delivery import State
from mpp.gateway.received import Received, Result
from mpp.mail.edits import Edit
from mpp.mail.envelope import Client
from mpp.protocols.smtp.reply import Reply
from mpp.store.trace import CopyTrace, Trace
from mpp.verdict.plan import Disposition, Fate, Plan
from mpp.verdict.signatures import broken_signatures

Refused = tuple[str, Reply]  # a recipient, and what it was told
_NO_FATES: Mapping[str, Fate] = {}
_NO_TIMES: Mapping[str, float] = {}
_UNDECIDED: Any = Fate("", "", verdict="")  # type: ignore[arg-type]  # of a message that was not judged
_FIELDS = re.compile(rb"^([!-9;-~]{1,80})[ \t]*:", re.MULTILINE)
_NAME = re.compile(rb"[!-9;-~]{1,80}")


def trace_of(
    received: Received,
    result: Result,
    took_s: float,
    at_ms: int,
    settings: str,
    tenant: Callable[[str], str],
    refused: Sequence[Refused] = (),
) -> Trace:
    """Return the trace of a message that came to its reply; `refused` are the recipients that RCPT refused."""
    plan, transaction, judged = result.plan, result.transaction, result.judged
    message = transaction.message if transaction is not None else None
    header = message.header_length if message is not None else 0
    fates = plan.fates if plan is not None else _NO_FATES
    whose = tenant if received.direction != "outbound" else partial(_always, tenant(received.envelope.reverse_path))
    copies = [*_refused(refused, whose)] if refused else []
    edits: tuple[Edit, ...] = ()
    archive = {entry.recipient.address for entry in received.accepted if entry.policy[1].archive}
    stored = False
    for address, outcome in result.outcomes.items():
        state, words = outcome.state, outcome.reply.words
        fate = fates.get(address, _UNDECIDED)
        edits = edits or fate.edits
        named = _named(fate.edits, received.data, header) if fate.edits else ()
        copies.append(
            CopyTrace(
                address,
                state,
                fate.disposition,
                fate.rule,
                fate.verdict,
                fate.score,
                words,
                outcome.host,
                outcome.cause,
                named,
                whose(address),
            )
        )
        # Held, or kept beside what was delivered now (mpp.gateway.holding).
        if state is State.HELD or (state is State.ACCEPTED and outcome.host != "memo"):
            stored = stored or state is State.HELD or bool(fate.held_too) or address in archive
    return Trace(
        received.id,
        at_ms,
        "message",
        received.listener.name,
        received.direction,
        received.client,
        received.envelope.reverse_path,
        len(received.data),
        message.text(b"message-id")[:250] if message is not None else "",
        _ms(took_s),
        _ms(result.checked_s),
        plan.verdict if plan is not None else "",
        plan.score if plan is not None else 0.0,
        tuple(judged.findings),
        {run.check: _ms(run.took_s) for run in judged.runs} if judged.runs else _NO_TIMES,
        plan.why if plan is not None else (),
        broken_signatures(message, edits) if edits and message is not None else (),
        tuple(copies),
        result.reply.words,
        settings,
        stored,
    )


def _ms(seconds: float) -> float:
    """Return milliseconds with one decimal; `round` takes four times as long, since it is exact for every number."""
    return int(seconds * 10_000 + 0.5) / 10


def _always(tenant: str, _address: str) -> str:
    return tenant


def _named(edits: Sequence[Edit], data: bytes, header: int) -> tuple[str, ...]:
    """Return what edits do to which header fields: "+X-Spam-Flag" put, "-X-Spam-Status" removed, "=Subject" changed; below the
    header it is "=text"."""
    named: list[str] = []
    for edit in edits:
        if not edit.length:
            named += _put(edit.replacement)
            continue
        found = _NAME.match(data, edit.offset, edit.offset + 80) if edit.offset < header else None
        name = found[0].decode("ascii") if found else "text"
        named.append(("=" if edit.replacement else "-") + name)
    return tuple(dict.fromkeys(named))


@lru_cache(512)
def _put(replacement: bytes) -> tuple[str, ...]:
    return tuple("+" + name.decode("ascii") for name in _FIELDS.findall(replacement)) or ("=text",)


def discard_trace(received: Received, plan: Plan, at_ms: int, assembly: Assembly) -> Trace:
    """Return what must be durable before a message is thrown away; the whole trace follows it."""
    copies = [
        CopyTrace(address, "accepted", fate.disposition.value, fate.rule, fate.verdict.value, fate.score,
                  tenant=assembly.directory.tenant(address))
        for address, fate in plan.fates.items()
        if fate.disposition is Disposition.DISCARD
    ]  # fmt: skip
    return Trace(
        received.id,
        at_ms,
        "discard",
        received.listener.name,
        received.direction,
        received.client,
        received.envelope.reverse_path,
        len(received.data),
        verdict=plan.verdict.value,
        score=plan.score,
        why=plan.why,
        copies=tuple(copies),
        settings=assembly.revision,
    )


def refused_trace(
    identity: str,
    listener: str,
    client: Client,
    reverse_path: str,
    refused: Sequence[Refused],
    reply: str,
    at_ms: int,
    settings: str,
    tenant: Callable[[str], str],
) -> Trace:
    """Return the trace of a transaction that was refused without a look at its content, or before there was any."""
    return Trace(
        identity,
        at_ms,
        "refused",
        listener,
        client=client,
        reverse_path=reverse_path,
        copies=_refused(refused, tenant),
        reply=reply,
        settings=settings,
    )


def _refused(refused: Sequence[Refused], tenant: Callable[[str], str]) -> tuple[CopyTrace, ...]:
    """Return what is told of recipients that we refused; "" stands for MAIL itself."""
    return tuple(
        CopyTrace(
            recipient[:320],
            "refused" if reply.code >= 500 else "deferred",
            reply=reply.words,
            tenant=tenant(recipient),
        )
        for recipient, reply in refused
    )
