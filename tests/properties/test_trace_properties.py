"""The line of a trace is what a JSON encoder would make of it, and what is loaded from a line is what its trace says."""

import json
import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mpp.mail.envelope import Client
from mpp.settings.tenants import DEFAULT_TENANT
from mpp.store.trace import CopyTrace, Trace, words
from mpp.store.trace_batch import SLOT_MS, Batch
from mpp.store.trace_line import LONGEST_TEXT, MOST_FINDINGS, MOST_SENTENCES, read, write
from mpp.store.trace_tables import word_key
from mpp.verdict.finding import Counts, Finding, Listed, OnFailure, Verdict

_octets = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)  # that are no UTF-8, as Python has them in a text
texts = st.one_of(
    st.sampled_from(
        ["", "x", "Ann@Example.com", "<A@b>", " a@b ", '"\\\n\x00\x7f"}', "250 queued as 4X", "\U0001f600"]
    ),
    st.text(st.one_of(st.characters(exclude_categories=["Cs"]), _octets), max_size=8),
)
long_texts = st.one_of(texts, st.builds(lambda text: text * 300, st.sampled_from(["ab", "é", '"\n'])))
times = st.one_of(st.just(0.0), st.floats(0, 1e9).map(lambda ms: round(ms, 1)))
scores = st.one_of(st.sampled_from([0.0, -0.0, 7.5, math.inf, -math.inf]), st.floats(allow_nan=False))
counts = st.integers(0, 2**40)
some = {"max_size": 3}
clients = st.builds(
    Client, texts, st.integers(0, 65535), texts, texts, st.sampled_from(["SMTP", "ESMTPS"]), texts, texts
)
findings = st.builds(
    Finding, texts, long_texts, scores, long_texts, long_texts, st.none() | st.sampled_from(Verdict),
    st.none() | st.sampled_from(OnFailure), st.none() | st.sampled_from(Listed), st.frozensets(texts, **some),
    refusal=st.just(""), counts=st.sampled_from(Counts), limit=texts, actions=st.just(()),
)  # fmt: skip
copies = st.builds(
    CopyTrace, texts, texts, st.sampled_from(["", "deliver", "quarantine"]), texts, st.sampled_from(["", *Verdict]), scores, texts,
    texts, texts, st.lists(texts, **some).map(tuple), st.sampled_from([DEFAULT_TENANT, "one", "two"]),
)  # fmt: skip
traces = st.builds(
    Trace, texts, st.integers(0, 2**41), st.sampled_from(["message", "refused", "discard", "counted"]), texts, texts, clients,
    texts, counts, texts, times, times, st.sampled_from(["", *Verdict]), scores, st.lists(findings, **some).map(tuple),
    st.dictionaries(texts, times, **some), st.lists(long_texts, **some).map(tuple), st.lists(texts, **some).map(tuple),
    st.lists(copies, **some).map(tuple), texts, texts, st.booleans(), counts,
)  # fmt: skip


def filled(**values):
    return {name: value for name, value in values.items() if value}


def object_of(trace: Trace):
    """The object of version 1, field by field."""
    made = filled(
        kind=trace.kind, listener=trace.listener, direction=trace.direction, size=trace.size, message_id=trace.message_id,
        ms=trace.took_ms, checked_ms=trace.checked_ms, verdict=trace.verdict, score=trace.score, timings=trace.timings,
        why=[each[:LONGEST_TEXT] for each in trace.why[:MOST_SENTENCES]], breaks=trace.breaks, reply=trace.reply,
        settings=trace.settings, stored=trace.stored, count=trace.number,
        findings=[object_of_finding(each) for each in trace.findings[:MOST_FINDINGS]],
    )  # fmt: skip
    client = {
        name: getattr(trace.client, name) for name in ("address", "port", "name", "helo", "protocol", "tls", "login")
    }
    rcpt = [object_of_copy(copy) for copy in trace.copies]
    return {"v": 1, "id": trace.id, "at": trace.at_ms, "from": trace.reverse_path, "client": filled(**client), "rcpt": rcpt} | made  # fmt: skip


def object_of_copy(copy: CopyTrace):
    made = filled(
        state=copy.state, rule=copy.rule, verdict=copy.verdict, score=copy.score, reply=copy.reply, host=copy.host, cause=copy.cause,
        edits=copy.edits,
    )  # fmt: skip
    made |= {"is": copy.disposition} if copy.disposition else {}
    return {"to": copy.recipient} | made | ({"tenant": copy.tenant} if copy.tenant != DEFAULT_TENANT else {})


def object_of_finding(finding: Finding):
    score = finding.score if math.isfinite(finding.score) else repr(finding.score)
    made = filled(score=score, text=finding.text[:LONGEST_TEXT], evidence=finding.evidence[:LONGEST_TEXT], failure=finding.failure,
                  listed=finding.listed)  # fmt: skip
    made |= {"class": finding.verdict} if finding.verdict else {}
    made |= {"counts": finding.counts, "limit": finding.limit} if finding.counts is not Counts.FULL else {}
    made |= {"for": sorted(finding.recipients)} if finding.recipients else {}
    return {"check": finding.check, "symbol": finding.symbol[:LONGEST_TEXT]} | made


def cut(trace: Trace) -> Trace:
    """A trace as it comes back: of long texts the beginning."""
    shorter = [each._replace(symbol=each.symbol[:LONGEST_TEXT], text=each.text[:LONGEST_TEXT], evidence=each.evidence[:LONGEST_TEXT],
                             limit=each.limit if each.counts is not Counts.FULL else "") for each in trace.findings]  # fmt: skip
    return trace._replace(findings=tuple(shorter), why=tuple(each[:LONGEST_TEXT] for each in trace.why))


def counted(trace: Trace) -> Counter[tuple[str, str]]:
    found = Counter[tuple[str, str]]()
    for tenant in trace.tenants:
        if trace.kind == "message":
            found[tenant, "messages"] += 1
            found[tenant, "octets"] += trace.size
        elif trace.kind != "discard":
            found[tenant, "refusals"] += trace.number or 1
    if trace.kind == "message":
        for copy in trace.copies:
            found[copy.tenant, f"disposition {copy.disposition or 'none'}"] += 1
            found[copy.tenant, f"verdict {copy.verdict or 'none'}"] += 1
        slot = trace.at_ms // SLOT_MS
        found["", f"came in {slot}"] += 1
        found["", f"held in {slot}"] += any(copy.disposition == "quarantine" for copy in trace.copies)
    return found


@given(traces)
def test_a_line_holds_what_an_encoder_would_have_written(trace):
    line = write(trace)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == json.loads(json.dumps(object_of(trace)))


@given(traces)
def test_a_line_gives_its_trace_back(trace):
    assert read(write(trace)) == cut(trace)


@given(st.lists(traces, max_size=4), counts)
def test_a_line_is_found_by_the_words_of_its_trace_and_counts_as_it(several, first):
    batch = Batch()
    batch.add([write(trace).encode() for trace in several], first)
    assert (batch.traces, batch.unreadable) == (len(several), 0)
    rows = [
        (word_key(word), tenant, place)
        for place, trace in enumerate(several, first)
        for tenant in trace.tenants
        for word in set(words(trace, tenant))
    ]
    assert sorted(batch.rows) == sorted(rows)
    assert batch.counts() == sum(map(counted, several), Counter())
