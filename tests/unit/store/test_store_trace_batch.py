"""What is loaded from lines: those that hold no trace are counted and leave nothing, and the others keep their places."""

import pytest

from mpp.store.trace import CopyTrace, Trace
from mpp.store.trace_batch import Batch
from mpp.store.trace_line import write
from mpp.store.trace_tables import word_key

GOOD = write(Trace("id1", 5, copies=(CopyTrace("r@example.org", tenant="one"),))).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"1", b"null", b"{}", b'{"v":2}', b'{"v":1,"id":"x"}', b"\xff", b'{"v":1,"id":"x","at":1,"from":"","rcpt":[],"client":3}',
        b'{"v":1,"id":"x","at":"1","from":"","rcpt":[],"client":{}}', b'{"v":1,"id":"x","at":1,"from":"","rcpt":[3],"client":{}}',
    ],
)  # fmt: skip
def test_a_line_that_holds_no_trace_hinders_nothing(line: bytes):
    batch = Batch()
    batch.add([line, GOOD], 7)
    assert (batch.traces, batch.unreadable) == (1, 1)
    assert {row for row in batch.rows if row[0] == word_key("id1")} == {(word_key("id1"), "one", 8)}
    assert {place for _, _, place in batch.rows} == {8}
    assert batch.counts()["one", "messages"] == 1
    assert not [name for tenant, name in batch.counts() if tenant == "default"]
