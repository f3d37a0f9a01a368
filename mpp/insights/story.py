"""A trace told in plain language, for operators and for those whom they answer. Pure.

Every text from outside is escaped (mpp.mail.escape) and cut; a line is one line. Called by `mpp why`.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from mpp.mail.escape import printable
from mpp.store.events import Event
from mpp.store.trace import CopyTrace, Trace
from mpp.verdict.finding import NOTES, Counts, Finding, OnFailure
from mpp.verdict.reasons import number

MOST_FINDINGS = 30  # told; the others are in the data
_LONGEST = 200
_DONE = {
    "deliver": "delivered",
    "tag": "delivered with marks",
    "quarantine": "held in quarantine",
    "reject": "refused",
    "defer": "put off: the sender was asked to come back",
    "discard": "accepted and thrown away",
    "redirect": "sent elsewhere",
}
_NOT_DONE = {
    "refused": "refused by the next hop",
    "deferred": "not taken by the next hop now: the sender was asked to come back",
    "unknown": "given to the next hop, which did not answer: it may have it",
}
_VERDICTS = {
    "clean": "clean",
    "spam": "spam",
    "virus": "a virus",
    "banned": "banned content",
    "unchecked": "not fully checked",
    "forged-bounce": "a bounce of forged mail",
}


def story(trace: Trace, events: Sequence[Event] = ()) -> tuple[str, ...]:
    """Return the lines of the story. `events`: what people did with the message later."""
    if trace.kind == "counted":
        return (
            f"{moment(trace.at_ms)}  [{_shown(trace.client.address)}] was refused {trace.number} times more within this minute",
        )
    lines = [_title(trace), *_indented(_came(trace))]
    if trace.kind != "refused":
        lines += _chapter("What was found", _found(trace))
        lines += _chapter(f"Why (settings {_shown(trace.settings)})", map(_sentence, trace.why))
    lines += _chapter("What became of it", _became(trace))
    lines += _chapter("What was done later", map(_event, events))
    return tuple(lines)


def moment(at_ms: int) -> str:
    """Return a time for people: UTC, to the second."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms"


def _title(trace: Trace) -> str:
    what = "Message" if trace.kind != "refused" else "Refused"
    judged = f", judged {_VERDICTS.get(trace.verdict, _shown(trace.verdict))}" if trace.verdict else ""
    scored = f" with {number(trace.score)} points" if trace.score else ""
    return f"{what} {_shown(trace.id)}, {moment(trace.at_ms)}{judged}{scored}"


def _came(trace: Trace) -> Iterator[str]:
    yield f"from <{_shown(trace.reverse_path)}>, sent by {_client(trace)}"
    yield "to " + (", ".join(f"<{_shown(copy.recipient)}>" for copy in trace.copies if copy.recipient) or "nobody yet")
    about = [f"Message-ID {_shown(trace.message_id)}" if trace.message_id else ""]
    about += [size(trace.size) if trace.size else "", _shown(trace.direction)]
    about += [f"by listener {_shown(trace.listener)}" if trace.listener else ""]
    yield ", ".join(filter(None, about))


def _client(trace: Trace) -> str:
    client = trace.client
    place = f"[{_shown(client.address)}]" if client.address else "a local client"
    name = f"{_shown(client.name)} " if client.name else ""
    said = [f"HELO {_shown(client.helo)}" if client.helo else "", _shown(client.protocol)]
    said += [_shown(client.tls) if client.tls else "", f"logged in as {_shown(client.login)}" if client.login else ""]
    return f"{name}{place} ({', '.join(filter(None, said))})"


def size(octets: int) -> str:
    """Return a size for people."""
    if octets < 1024:
        return f"{octets} octets"
    return f"{octets / 1024:.1f} KiB" if octets < 1 << 20 else f"{octets / (1 << 20):.1f} MiB"


def _found(trace: Trace) -> Iterator[str]:
    told = [finding for finding in trace.findings if finding.symbol not in NOTES or finding.failure is not None]
    told.sort(key=lambda finding: (finding.verdict is None, finding.failure is None, -abs(finding.score)))
    for finding in told[:MOST_FINDINGS]:
        yield _finding(finding)
    if len(told) > MOST_FINDINGS:
        yield f"and {len(told) - MOST_FINDINGS} findings more"
    if not told:
        yield "nothing"
    took = ", ".join(f"{_shown(check)} {number(milliseconds)} ms" for check, milliseconds in trace.timings.items())
    checked = f"; the checks {number(trace.checked_ms)} ms" + (f" ({took})" if took else "") if trace.checked_ms else ""
    yield f"all took {number(trace.took_ms)} ms{checked}"


def _finding(finding: Finding) -> str:
    check = _shown(finding.check)
    if finding.failure is not None:
        goes_on = "" if finding.failure is not OnFailure.CONTINUE else ", and the message goes on without it"
        return f"{check} gave no answer: {_shown(finding.evidence)}{goes_on}"
    points = f" {'+' if finding.score > 0 else ''}{number(finding.score)}" if finding.score else ""
    counts = (
        ""
        if finding.counts is Counts.FULL
        else f" (counts for {finding.counts.value} only, by {_shown(finding.limit)})"
    )
    words = "; ".join(_shown(each) for each in (finding.text, finding.evidence) if each)
    kind = f", {_VERDICTS.get(finding.verdict.value, '')}" if finding.verdict is not None else ""
    return f"{check}: {_shown(finding.symbol)}{points}{kind}{counts}{f': {words}' if words else ''}"


def _became(trace: Trace) -> Iterator[str]:
    for copy in trace.copies:
        yield _fate(copy, trace)
        if copy.reply:
            who = _shown(copy.host) if copy.host and copy.host != "memo" else "the answer"
            yield f"  {who}{' said' if copy.host and copy.host != 'memo' else ''}: {_shown(copy.reply, 500)}"
        if copy.cause:
            yield f"  cause: {_shown(copy.cause, 500)}"
        if copy.edits:
            yield f"  {_changes(copy.edits)}"
    if trace.breaks:
        yield f"the changes break the signature of {', '.join(map(_shown, trace.breaks))}"
    if trace.reply:
        yield f"the client was told: {_shown(trace.reply, 500)}"


def _fate(copy: CopyTrace, trace: Trace) -> str:
    whom = f"<{_shown(copy.recipient)}>" if copy.recipient else "the sender"
    if copy.host == "memo":
        return f"{whom}: had been given it at an earlier attempt"
    by = f", by {_shown(copy.rule)}" if copy.rule else ""
    if copy.host and copy.state in _NOT_DONE:
        return f"{whom}: {_NOT_DONE[copy.state]}"
    if copy.state == "held":
        return f"{whom}: held in quarantine{_beside(copy, by)}"
    if not copy.disposition:
        return f"{whom}: {'refused' if copy.state == 'refused' else 'put off'} by us" if trace.kind != "message" or copy.state != "accepted" else f"{whom}: delivered"  # fmt: skip
    if copy.state == "accepted" or copy.disposition in ("reject", "defer"):
        return f"{whom}: {_DONE.get(copy.disposition, _shown(copy.disposition))}{by}"
    return f"{whom}: to be {_DONE.get(copy.disposition, _shown(copy.disposition))}{by}, but it was not: {copy.state}"


def _beside(copy: CopyTrace, by: str) -> str:
    """Return why a copy is held: by a rule, or since one reply had to serve all, and others got the message."""
    if copy.disposition == "quarantine":
        return by
    if copy.disposition == "reject":
        return f"{by}, which refuses it: others got the message"
    return ", since the next hop refused it and others got the message"


def _changes(edits: Sequence[str]) -> str:
    words = {"+": "put", "-": "removed", "=": "changed"}
    groups = {sign: [_shown(edit[1:]) for edit in edits if edit[:1] == sign] for sign in words}
    return "header: " + "; ".join(f"{word} {', '.join(groups[sign])}" for sign, word in words.items() if groups[sign])


def _event(event: Event) -> str:
    whose = f" for <{_shown(event.recipient)}>" if event.recipient else ""
    more = ", ".join(f"{_shown(key)}: {_shown(str(value))}" for key, value in event.detail.items())
    return (
        f"{moment(event.at_ms)}  {_shown(event.actor)} {_shown(event.action)} it{whose}{f' ({more})' if more else ''}"
    )


def _chapter(title: str, lines: Iterator[str]) -> list[str]:
    told = list(lines)
    return ["", title, *_indented(told)] if told else []


def _indented(lines: Iterator[str] | list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _sentence(sentence: str) -> str:
    """A sentence of the decision has its outside text escaped already (mpp.verdict.reasons)."""
    return sentence if sentence.isprintable() else _shown(sentence, 500)


def _shown(value: str, limit: int = _LONGEST) -> str:
    return printable(value, limit)
