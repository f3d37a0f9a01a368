"""Traces on their way: found by every word that finds them later, whatever letters they have."""

from pathlib import Path

import pytest

from mpp.insights.why import spooled
from mpp.mail.envelope import Client
from mpp.store.spool import SpoolWriter
from mpp.store.trace import CopyTrace, Trace, words
from mpp.store.trace_line import write

TRACES = [
    Trace("id1", 1, reverse_path="Ann@Example.net", message_id='<"A b"@m>', client=Client("192.0.2.1")),
    Trace("id2", 2, reverse_path="b\\u@example.net", copies=(CopyTrace("r@x", "accepted", reply="250 queued as Q/2", host="h"),)),
    Trace("id3", 3, reverse_path="Änne@example.net", message_id="<\u212aelvin\x01@m>"),
]  # fmt: skip


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.id)
def test_a_trace_is_found_by_each_of_its_words_while_it_waits(tmp_path: Path, trace: Trace):
    writer = SpoolWriter(tmp_path, "0", 1 << 20)
    writer.write([write(each) for each in TRACES])
    writer.close()
    for word in words(trace, "default"):
        for asked in {word, f"<{word.upper()}>" if "@" in word else word}:
            assert trace in list(spooled(tmp_path, asked)), asked


def test_what_cannot_hold_the_word_is_not_read(tmp_path: Path):
    writer = SpoolWriter(tmp_path, "0", 1 << 20)
    writer.write([write(TRACES[0]), "nonsense"])  # it would be told as no trace, and end the file
    writer.write([write(TRACES[1])])
    writer.close()
    assert list(spooled(tmp_path, "Q/2")) == [TRACES[1]]
