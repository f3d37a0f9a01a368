"""The trace of one transaction: what came, what was found, which rule decided, what became of each recipient's copy.

Written by the gateway for every message, and for transactions in which something was refused; read by mpp.insights. One
JSON object each, of version 1, without what is empty. All texts are as they came: whoever shows them escapes them.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import compress
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from mpp.mail.envelope import Client
from mpp.settings.tenants import DEFAULT_TENANT
from mpp.verdict.finding import Counts, Finding, Listed, OnFailure, Verdict

VERSION = 1
MOST_FINDINGS = 200
MOST_SENTENCES = 50
LONGEST_TEXT = 500  # characters of one text of ours or of a scanner

Kind = Literal["message", "refused", "discard", "counted"]


class TraceError(ValueError):
    """This is no trace that this MPP can read."""


class CopyTrace(NamedTuple):
    """What became of one recipient's copy."""

    recipient: str
    state: str = ""  # of the outcome: accepted, refused, deferred, unknown
    disposition: str = ""  # what the plan said; "" where nothing was decided
    rule: str = ""  # the settings key that decided
    verdict: str = ""
    score: float = 0.0
    reply: str = ""  # the next hop's, or ours
    host: str = ""  # the next hop; "" where it was not asked
    cause: str = ""
    edits: tuple[str, ...] = ()  # "+X-Spam-Flag", "-X-Spam-Status", "=Subject"
    tenant: str = DEFAULT_TENANT


class Trace(NamedTuple):
    """One transaction. Of kind `refused`: it ended without content; `counted`: refusals beyond those that are told one by
    one; `discard`: written before the reply of a message that is thrown away, and followed by the whole trace.
    """

    id: str
    at_ms: int  # of the end; milliseconds since 1970
    kind: Kind = "message"
    listener: str = ""
    direction: str = ""
    client: Client = Client("")
    reverse_path: str = ""
    size: int = 0
    message_id: str = ""  # of the header
    took_ms: float = 0.0  # from the end of data to our reply
    checked_ms: float = 0.0  # of it for the checks
    verdict: str = ""
    score: float = 0.0
    findings: tuple[Finding, ...] = ()
    timings: Mapping[str, float] = MappingProxyType({})  # milliseconds by check
    why: tuple[str, ...] = ()  # sentences of the decision
    breaks: tuple[str, ...] = ()  # signatures that the edits break: "domain/selector" of DKIM, types of signed parts
    copies: tuple[CopyTrace, ...] = ()
    reply: str = ""  # ours; "" where each recipient has its own
    settings: str = ""  # revision or digest of the settings that held
    stored: bool = False  # the message itself is in the store, under the same id
    number: int = 0  # of a `counted` trace

    @property
    def tenants(self) -> frozenset[str]:
        return frozenset([copy.tenant for copy in self.copies] or [DEFAULT_TENANT])


# What JSON calls each attribute that is left out where it is empty.
_COPY = {
    "state": "state", "is": "disposition", "rule": "rule", "verdict": "verdict", "score": "score", "reply": "reply",
    "host": "host", "cause": "cause", "edits": "edits",
}  # fmt: skip
_CLIENT = ("address", "port", "name", "helo", "protocol", "tls", "login")
_TRACE = {
    "kind": "kind", "listener": "listener", "direction": "direction", "size": "size", "message_id": "message_id",
    "ms": "took_ms", "checked_ms": "checked_ms", "verdict": "verdict", "score": "score", "timings": "timings",
    "why": "why", "breaks": "breaks", "reply": "reply", "settings": "settings", "stored": "stored", "count": "number",
}  # fmt: skip
_copy_values, _client_values = attrgetter(*_COPY.values()), attrgetter(*_CLIENT)
_trace_values = attrgetter(*_TRACE.values())
_cut = itemgetter(slice(LONGEST_TEXT))
_encode = json.JSONEncoder(
    separators=(",", ":"), check_circular=False
).encode  # ASCII: one line, whatever the texts hold

_decode = json.JSONDecoder().decode


def write(trace: Trace) -> str:
    """Return the trace as one line of ASCII."""
    return _encode(as_object(trace))


def as_object(trace: Trace) -> dict[str, Any]:
    """Return the trace as JSON has it; what is empty, zero or false is left out, but for id, time and reverse-path."""
    made = {"v": VERSION, "id": trace.id, "at": trace.at_ms, "from": trace.reverse_path}
    made |= _filled(_TRACE, _trace_values(trace))
    made["client"] = _filled(_CLIENT, _client_values(trace.client))
    if trace.findings:
        made["findings"] = [
            _finding(each)
            if each.actions or len(each.text) + len(each.evidence) > LONGEST_TEXT
            else _known_finding(each)
            for each in trace.findings[:MOST_FINDINGS]
        ]
    made["rcpt"] = list(map(_copy, trace.copies))
    if trace.why:
        made["why"] = list(map(_cut, trace.why[:MOST_SENTENCES]))
    return made


def _filled(names: Iterable[str], values: tuple[Any, ...]) -> dict[str, Any]:
    """Return by name what is not empty."""
    return dict(compress(zip(names, values, strict=True), values))


def _copy(copy: CopyTrace) -> dict[str, Any]:
    made = {"to": copy.recipient, **_filled(_COPY, _copy_values(copy))}
    if copy.tenant != DEFAULT_TENANT:
        made["tenant"] = copy.tenant
    return made


def _finding(finding: Finding) -> dict[str, Any]:
    made: dict[str, Any] = {"check": finding.check, "symbol": finding.symbol[:LONGEST_TEXT]}
    if finding.score:
        made["score"] = finding.score if math.isfinite(finding.score) else repr(finding.score)
    if finding.text:
        made["text"] = finding.text[:LONGEST_TEXT]
    if finding.evidence:
        made["evidence"] = finding.evidence[:LONGEST_TEXT]
    if finding.verdict is not None:
        made["class"] = finding.verdict.value
    if finding.failure is not None:
        made["failure"] = finding.failure.value
    if finding.listed is not None:
        made["listed"] = finding.listed.value
    if finding.counts is not Counts.FULL:
        made["counts"], made["limit"] = finding.counts.value, finding.limit
    if finding.recipients:
        made["for"] = sorted(finding.recipients)
    return made


_known_finding = lru_cache(1024)(
    _finding
)  # scanners say the same of most mail; what is long, or holds edits, is not kept


def read(line: str | bytes, *, findings: bool = True) -> Trace:
    """Return the trace that a line holds, or without its findings, which are most of the work. Raises TraceError."""
    try:
        made = _decode(line if isinstance(line, str) else line.decode())
        if made["v"] != VERSION:
            raise TraceError(f"a trace of version {made['v']}, this MPP reads {VERSION}")
        values = {name: made[key] for key, name in _TRACE.items() if key in made}
        for name in ("why", "breaks"):
            values[name] = tuple(values.get(name, ()))
        return Trace(
            id=made["id"],
            at_ms=made["at"],
            reverse_path=made["from"],
            **values,
            client=Client(**{"address": "", **made["client"]}),
            findings=tuple(map(_read_finding, made.get("findings", ()))) if findings else (),
            copies=tuple(map(_read_copy, made["rcpt"])),
        )
    except TraceError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TraceError(f"no trace: {error!r}") from error


def _read_copy(made: dict[str, Any]) -> CopyTrace:
    values = {name: made[key] for key, name in _COPY.items() if key in made}
    values["edits"] = tuple(values.get("edits", ()))
    return CopyTrace(made["to"], **values, tenant=made.get("tenant", DEFAULT_TENANT))


def _read_finding(made: dict[str, Any]) -> Finding:
    return Finding(
        made["check"],
        made["symbol"],
        float(made.get("score", 0.0)),
        made.get("text", ""),
        made.get("evidence", ""),
        Verdict(made["class"]) if "class" in made else None,
        OnFailure(made["failure"]) if "failure" in made else None,
        Listed(made["listed"]) if "listed" in made else None,
        frozenset(made.get("for", ())),
        counts=Counts(made.get("counts", Counts.FULL)),
        limit=made.get("limit", ""),
    )


def words(trace: Trace, tenant: str) -> Iterator[str]:
    """Yield what a trace can be found by, for one tenant: ids, Message-ID, queue ids, addresses, the client."""
    yield trace.id
    if trace.message_id:
        yield folded(trace.message_id)
    yield folded(trace.reverse_path)
    yield trace.client.address
    for copy in trace.copies:
        if copy.tenant == tenant:
            yield folded(copy.recipient)
            if copy.host and (queued := queue_id(copy.reply)):
                yield queued


def folded(word: str) -> str:
    """Return a word as it is looked up: addresses and Message-IDs without angle brackets and letter case."""
    return word.strip().removeprefix("<").removesuffix(">").lower() if "@" in word else word.strip()


_BEFORE_ID = ("queued as ", "queued mail for delivery as ", " ok id=", "ok: id=", " id=")


def queue_id(reply: str) -> str:
    """Return the queue id that a next hop named in its reply to the data, "" where it named none that we know."""
    low = reply.lower()
    for before in _BEFORE_ID:
        at = low.find(before)
        if at >= 0:
            rest = reply[at + len(before) :].split(None, 1)
            return rest[0].rstrip(".,;)]")[:64] if rest else ""
    return ""


def seen_by(trace: Trace, tenant: str | None) -> Trace | None:
    """Return what a tenant may see of a trace: its own recipients and what was found for them. None: nothing.

    Without a tenant it is the operator who looks, and sees all.
    """
    if tenant is None:
        return trace
    if tenant not in trace.tenants:
        return None
    if len(trace.tenants) == 1:
        return trace
    copies = tuple(copy for copy in trace.copies if copy.tenant == tenant)
    own = {copy.recipient for copy in copies}
    findings = tuple(each for each in trace.findings if not each.recipients or each.recipients & own)
    # Where recipients differ a sentence names those it is about, so none that names others' is shown.
    why = tuple(each for each in trace.why if not each.startswith("For "))
    return trace._replace(copies=copies, findings=findings, why=why)
