"""Ids of messages."""

from mpp.gateway import session
from mpp.gateway.session import _identities


def test_ids_of_later_messages_sort_behind_those_of_earlier_ones_however_many_there_are(monkeypatch) -> None:
    times = iter(range(1_800_000_000_000, 1_800_000_002_000))
    monkeypatch.setattr(session, "now_ms", lambda: next(times))
    made = _identities()
    ids = [next(made) for _ in range(2000)]
    assert ids == sorted(ids)
    assert all(len(each) == 24 and int(each, 16) for each in ids)


def test_ids_of_one_moment_differ(monkeypatch) -> None:
    monkeypatch.setattr(session, "now_ms", lambda: 1_800_000_000_000)
    made = _identities()
    assert len({next(made) for _ in range(2000)}) == 2000
