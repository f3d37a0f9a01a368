"""A trace as a line and back: one JSON object of version 1, in ASCII, without what is empty, zero or false but for id, time and reverse-path.

A line is made in the worker's loop for each message. So it is put together field by field, and what is the same for most
messages is kept as JSON. Raises TraceError.
"""

import json
import math
from functools import lru_cache
from itertools import compress
from json.encoder import encode_basestring_ascii as _text
from operator import attrgetter
from typing import Any

from mpp.mail.envelope import Client
from mpp.settings.tenants import DEFAULT_TENANT
from mpp.store.trace import CopyTrace, Trace
from mpp.verdict.finding import Counts, Finding, Listed, OnFailure, Verdict

VERSION = 1
MOST_FINDINGS = 200
MOST_SENTENCES = 50
LONGEST_TEXT = 500  # characters of one text of ours or of a scanner

# What JSON calls each attribute that is left out where it is empty. The first of both are the same for most messages.
_USUAL = {
    "kind": "kind", "listener": "listener", "direction": "direction", "verdict": "verdict", "settings": "settings",
    "stored": "stored",
}  # fmt: skip
_TRACE = _USUAL | {
    "size": "size", "message_id": "message_id", "ms": "took_ms", "checked_ms": "checked_ms", "score": "score",
    "reply": "reply", "count": "number", "timings": "timings", "why": "why", "breaks": "breaks",
}  # fmt: skip
_COPY_USUAL = {"state": "state", "is": "disposition", "rule": "rule", "verdict": "verdict", "host": "host", "tenant": "tenant"}  # fmt: skip
_COPY = _COPY_USUAL | {"score": "score", "reply": "reply", "cause": "cause", "edits": "edits"}
_usual_values, _copy_usual_values = attrgetter(*_USUAL.values()), attrgetter(*_COPY_USUAL.values())
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode = json.JSONDecoder().decode


class TraceError(ValueError):
    """This is no trace that this MPP can read."""


def write(trace: Trace) -> str:
    """Return the trace as one line, whatever its texts hold. Its times are finite."""
    made = f'{{"v":{VERSION},"id":{_text(trace.id)},"at":{trace.at_ms},"from":{_text(trace.reverse_path)}'
    made += _usual(_usual_values(trace)) + _own(trace)
    if trace.timings:
        made += f',"timings":{{{",".join([f"{_text(check)}:{ms!r}" for check, ms in trace.timings.items()])}}}'
    made += f',"client":{{{_client(trace.client)}}}'
    if trace.findings:
        made += f',"findings":[{",".join(map(_finding, trace.findings[:MOST_FINDINGS]))}]'
    made += f',"rcpt":[{",".join(map(_copy, trace.copies))}]'
    if trace.why:
        made += f',"why":[{",".join([_text(each[:LONGEST_TEXT]) for each in trace.why[:MOST_SENTENCES]])}]'
    if trace.breaks:
        made += f',"breaks":[{",".join(map(_text, trace.breaks))}]'
    return made + "}"


def _own(trace: Trace) -> str:
    """Return the texts and numbers in which each message differs."""
    made = ""
    if trace.size:
        made += f',"size":{trace.size}'
    if trace.message_id:
        made += f',"message_id":{_text(trace.message_id)}'
    if trace.took_ms:
        made += f',"ms":{trace.took_ms!r}'
    if trace.checked_ms:
        made += f',"checked_ms":{trace.checked_ms!r}'
    if trace.score:
        made += f',"score":{_number(trace.score)}'
    if trace.reply:
        made += f',"reply":{_text(trace.reply)}'
    if trace.number:
        made += f',"count":{trace.number}'
    return made


def _client(client: Client) -> str:
    made = ""
    if client.address:
        made += f',"address":{_text(client.address)}'
    if client.port:
        made += f',"port":{client.port}'
    if client.name:
        made += f',"name":{_text(client.name)}'
    if client.helo:
        made += f',"helo":{_text(client.helo)}'
    if client.protocol:
        made += f',"protocol":{_text(client.protocol)}'
    if client.tls:
        made += f',"tls":{_text(client.tls)}'
    if client.login:
        made += f',"login":{_text(client.login)}'
    return made[1:]


def _copy(copy: CopyTrace) -> str:
    made = f'{{"to":{_text(copy.recipient)}{_usual_of_copy(_copy_usual_values(copy))}'
    if copy.score:
        made += f',"score":{_number(copy.score)}'
    if copy.reply:
        made += f',"reply":{_text(copy.reply)}'
    if copy.cause:
        made += f',"cause":{_text(copy.cause)}'
    if copy.edits:
        made += f',"edits":[{",".join(map(_text, copy.edits))}]'
    return made + "}"


@lru_cache(256)
def _usual(values: tuple[Any, ...]) -> str:
    return _inner(dict(compress(zip(_USUAL, values, strict=True), values)))


@lru_cache(1024)
def _usual_of_copy(values: tuple[Any, ...]) -> str:
    made = dict(compress(zip(_COPY_USUAL, values, strict=True), values))
    if made.get("tenant") == DEFAULT_TENANT:
        del made["tenant"]
    return _inner(made)


def _inner(made: dict[str, Any]) -> str:
    """Return the fields of an object, a comma before each."""
    return "," + _encode(made)[1:-1] if made else ""


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else _encode(value)


def _finding(finding: Finding) -> str:
    """Return a finding. Scanners say the same of most mail; what is long, or holds edits, is not kept."""
    if finding.actions or len(finding.text) + len(finding.evidence) > LONGEST_TEXT:
        return _said(finding)
    return _known(finding)


def _said(finding: Finding) -> str:
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
    return _encode(made)


_known = lru_cache(1024)(_said)


def decoded(line: str | bytes) -> dict[str, Any]:
    """Return the object that a line holds, as JSON has it. Raises TraceError where it is none of this version."""
    try:
        made: dict[str, Any] = _decode(line if isinstance(line, str) else line.decode())
        version = made["v"]
    except (ValueError, KeyError, TypeError) as error:
        raise TraceError(f"no trace: {error!r}") from error
    if version != VERSION:
        raise TraceError(f"a trace of version {version}, this MPP reads {VERSION}")
    return made


def read(line: str | bytes) -> Trace:
    """Return the trace that a line holds. Raises TraceError."""
    made = decoded(line)
    try:
        values = {name: made[key] for key, name in _TRACE.items() if key in made}
        for name in ("why", "breaks"):
            values[name] = tuple(values.get(name, ()))
        return Trace(
            id=made["id"],
            at_ms=made["at"],
            reverse_path=made["from"],
            **values,
            client=Client(**{"address": "", **made["client"]}),
            findings=tuple(map(_read_finding, made.get("findings", ()))),
            copies=tuple(map(_read_copy, made["rcpt"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TraceError(f"no trace: {error!r}") from error


def _read_copy(made: dict[str, Any]) -> CopyTrace:
    values = {name: made[key] for key, name in _COPY.items() if key in made}
    values["edits"] = tuple(values.get("edits", ()))
    return CopyTrace(made["to"], **values)


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
