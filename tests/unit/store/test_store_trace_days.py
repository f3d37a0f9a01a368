"""Spool and days: every trace is loaded once, found by its words, counted, and goes with its day."""

import os
import resource
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mpp.store.catalog import Catalog, catalog_url, open_catalog, prepare
from mpp.store.errors import CatalogError
from mpp.store.spool import FILE_AGE_S, MAGIC, SpoolError, SpoolFile, SpoolWriter, spool_files
from mpp.store.trace import CopyTrace, Trace
from mpp.store.trace_days import TraceDays
from mpp.store.trace_line import write
from mpp.store.trace_tables import day_name, day_of

BOUND = 1 << 20


@pytest.fixture
def days(catalog: Catalog, tmp_path: Path) -> Iterator[TraceDays]:
    made = TraceDays(catalog, tmp_path / "traces")
    yield made
    made.close()


def trace(number: int, tenant: str = "default") -> Trace:
    copy = CopyTrace(f"r{number % 3}@example.org", "accepted", "deliver", reply=f"250 queued as Q{number}", host="h", tenant=tenant)  # fmt: skip
    return Trace(
        f"id{number}", number, reverse_path="s@example.com", message_id=f"<{number}@m>", size=10, copies=(copy,)
    )


def lines(*numbers: int, tenant: str = "default") -> list[str]:
    return [write(trace(number, tenant)) for number in numbers]


def spooled(folder: Path, *batches: list[str]) -> SpoolFile:
    folder.mkdir(exist_ok=True)
    writer = SpoolWriter(folder, "0", BOUND)
    for batch in batches:
        writer.write(batch)
    writer.close()
    (path,) = spool_files(folder)
    return SpoolFile(path)


def test_frames_come_back_as_written(tmp_path):
    file = spooled(tmp_path, lines(1, 2), lines(3))
    frames = list(file.frames())
    assert [frame.number for frame in frames] == [1, 2]
    assert [line.decode() for frame in frames for line in frame.lines()] == lines(1, 2, 3)
    assert list(file.frames()) == []
    assert file.complete
    assert file.damaged == 0


def test_a_file_in_writing_is_read_but_not_complete(tmp_path):
    writer = SpoolWriter(tmp_path, "0", BOUND)
    writer.write(lines(1))
    (path,) = spool_files(tmp_path)
    file = SpoolFile(path)
    assert len(list(file.frames())) == 1
    assert not file.complete
    writer.write(lines(2))
    assert [frame.number for frame in file.frames()] == [2]
    writer.turn(10**9)
    assert file.complete


def test_a_file_ends_by_age(tmp_path):
    writer = SpoolWriter(tmp_path, "0", BOUND)
    writer.write(lines(1))
    writer.turn(writer._begun + FILE_AGE_S + 1)
    writer.write(lines(2))
    assert len(spool_files(tmp_path)) == 2
    writer.close()


def test_a_torn_tail_is_passed_over_at_every_octet(tmp_path):
    whole = spooled(tmp_path, lines(1), lines(2)).path.read_bytes()
    first = next(SpoolFile(next(iter(spool_files(tmp_path)))).frames()).end
    torn = tmp_path / "torn.traces"
    for end in range(len(whole)):
        torn.write_bytes(whole[:end])
        assert len(list(SpoolFile(torn).frames())) == (end >= first), end


def test_a_flipped_bit_costs_its_frame_alone(tmp_path):
    file = spooled(tmp_path, lines(1), lines(2), lines(3))
    data = bytearray(file.path.read_bytes())
    first, second, _ = [frame.end for frame in file.frames()]
    for at in range(first, second):
        flipped = bytearray(data)
        flipped[at] ^= 16
        file.path.write_bytes(flipped)
        again = SpoolFile(file.path)
        assert [frame.number for frame in again.frames()] == [1, 3], at
        assert again.damaged == second - first


def test_the_bound_is_kept_and_ends_with_loading(tmp_path):
    small = SpoolWriter(tmp_path, "0", 10)
    small.write(lines(1))
    small.close()
    with pytest.raises(SpoolError, match="nobody has loaded"):
        small.write(lines(2))
    for path in spool_files(tmp_path):
        path.unlink()
    small.write(lines(3))
    small.close()


def test_a_write_in_part_leaves_no_torn_frame(tmp_path, monkeypatch):
    writer = SpoolWriter(tmp_path, "0", BOUND)
    writer.write(lines(1))
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:20]) if len(data) > 20 else 0)
    with pytest.raises(SpoolError):
        writer.write(lines(2))
    monkeypatch.undo()
    writer.write(lines(3))
    writer.close()
    (path,) = spool_files(tmp_path)
    assert [frame.lines()[0].decode() for frame in SpoolFile(path).frames()] == lines(1, 3)


def test_what_is_no_spool_file_gives_nothing(tmp_path):
    for name, data in (("empty", b""), ("short", MAGIC), ("other", b"x" * 100)):
        path = tmp_path / f"{name}.traces"
        path.write_bytes(data)
        assert list(SpoolFile(path).frames()) == []


def test_a_frame_is_loaded_once(days: TraceDays, tmp_path):
    frames = list(spooled(tmp_path / "spool", lines(1, 2), lines(3)).frames())
    assert days.load(frames[0].day, frames[:1]).traces == 2
    assert days.load(frames[0].day, frames).traces == 1
    assert days.load(frames[0].day, frames).traces == 0
    assert [each.id for each in days.newest(None, 10)] == ["id3", "id2", "id1"]
    assert days.counts(frames[0].day)["default", "messages"] == 3


def test_a_trace_is_found_by_each_of_its_words(days: TraceDays, tmp_path):
    frames = list(spooled(tmp_path / "spool", lines(1, 2), lines(3)).frames())
    days.load(20_000, frames)
    for word in ("id2", "<2@M>", "2@m", "Q2", "R2@Example.org"):
        assert days.find(word, "default", 5) == [trace(2)], word
        assert days.find(word, None, 5) == [trace(2)], word
        assert days.find(word, "other", 5) == [], word


def test_the_newest_come_first_over_days(days: TraceDays, tmp_path):
    days.load(20_000, list(spooled(tmp_path / "a", lines(1, 2)).frames()))
    days.load(20_001, list(spooled(tmp_path / "b", lines(3, 4)).frames()))
    assert [each.at_ms for each in days.find("s@example.com", None, 3)] == [4, 3, 2]
    assert days.days() == [20_001, 20_000]


def test_a_trace_that_cannot_be_read_hides_no_other(days: TraceDays, tmp_path):
    """Its words are found, but it says what only a later version knows."""
    later = write(trace(1))[:-1] + ',"findings":[{"check":"c","symbol":"s","class":"later"}]}'
    (frame,) = spooled(tmp_path / "spool", [later, *lines(2)]).frames()
    days.load(0, [frame])
    assert [found.id for found in days.find("s@example.com", None, 10)] == ["id2"]
    assert [found.id for found in days.find("s@example.com", "default", 10)] == ["id2"]


def test_tenants_do_not_meet(days: TraceDays, tmp_path):
    days.load(20_000, list(spooled(tmp_path / "a", lines(1, tenant="one"), lines(2, tenant="two")).frames()))
    for tenant, number in (("one", 1), ("two", 2)):
        assert days.find("s@example.com", tenant, 9) == [trace(number, tenant)]
        assert days.newest(tenant, 9) == [trace(number, tenant)]
    assert len(days.find("s@example.com", None, 9)) == 2


def test_a_day_goes_and_its_counts_stay(days: TraceDays, tmp_path):
    days.load(20_000, list(spooled(tmp_path / "a", lines(1, 2)).frames()))
    days.load(20_001, list(spooled(tmp_path / "b", lines(3)).frames()))
    before = days.counts(20_000)
    assert before["default", "disposition deliver"] == 2
    assert days.drop_before(20_001) == [20_000]
    assert days.drop_before(20_001) == []
    assert days.days() == [20_001]
    assert days.find("id1", None, 5) == []
    assert days.counts(20_000) == before


def test_messages_are_counted_by_ten_minutes_for_all_tenants_together(days: TraceDays, tmp_path):
    held = Trace("id9", 600_000, copies=(CopyTrace("r@example.org", disposition="quarantine", tenant="two"),))
    first = [*lines(1, 2, tenant="one"), *lines(3, tenant="two"), write(held)]
    days.load(20_000, list(spooled(tmp_path / "a", first, lines(1_200_000)).frames()))
    days.load(20_001, list(spooled(tmp_path / "b", lines(4)).frames()))
    before = days.streams(20_000)
    assert before == ({0: 4, 1: 1, 2: 1}, {1: 1})
    days.drop_before(20_001)
    assert days.streams(20_000) == before
    assert days.streams(20_001) == ({0: 1}, {})


def test_days_that_are_over_are_counted_once_a_day(catalog: Catalog, days: TraceDays, tmp_path):
    def load(into: TraceDays, day: int, number: int) -> None:
        into.load(day, list(spooled(tmp_path / f"{day}-{number}", lines(number)).frames()))

    for day in range(20_000, 20_004):
        load(days, day, 1)
    assert days.streams(20_000).came[0] == 4
    with closing(TraceDays(catalog, tmp_path / "traces")) as another:
        load(another, 20_003, 2)
        assert days.streams(20_000).came[0] == 5, "a day that is not over is counted anew"
        load(another, 20_000, 2)
        assert days.streams(20_000).came[0] == 5
        load(days, 20_001, 2)
        assert days.streams(20_000).came[0] == 6, "and so is one into which something was loaded here"
        load(another, 20_004, 1)
        assert days.streams(20_000).came[0] == 8, "once a day all are"
    days.drop_before(20_001)
    assert days.streams(20_000).came[0] == 8
    assert days.streams(20_001).came[0] == 6


def test_a_line_of_a_later_version_hinders_nothing(days: TraceDays, tmp_path):
    later = '{"v":2}'
    loaded = days.load(20_000, list(spooled(tmp_path / "a", [later, *lines(1)]).frames()))
    assert loaded == (1, 1)
    assert days.find("id1", None, 5) == days.newest(None, 5) == [trace(1)]


def test_a_day_has_one_name():
    assert day_of(day_name(20_784)) == 20_784
    assert day_name(0) == "19700101"


def test_a_disk_that_fails_while_logs_are_written_back_is_told(tmp_path):
    """The background process goes on after a CatalogError; anything else would end it."""
    prepare(url := catalog_url("", "", tmp_path))
    catalog = open_catalog(url)
    days = TraceDays(catalog, tmp_path / "traces")
    days.load(20_000, list(spooled(tmp_path / "spool", lines(1)).frames()))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(CatalogError):
            days.write_back()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    days.write_back()
    assert [trace.id for trace in days.find("id1", None, 9)] == ["id1"]
    days.close()
    catalog.close()


def test_a_trace_of_many_tenants_counts_once_for_the_operator(days: TraceDays, tmp_path):
    """Each of its tenants has a row for it: these must not take the places of other traces."""
    copies = tuple(CopyTrace(f"r@{name}.example", "accepted", tenant=name) for name in ("one", "two", "three"))
    both = Trace("id9", 9, reverse_path="s@example.com", copies=copies)
    days.load(20_000, list(spooled(tmp_path / "a", [*lines(1, 2), write(both)]).frames()))
    assert [each.id for each in days.find("s@example.com", None, 2)] == ["id9", "id2"]
    assert [each.id for each in days.find("s@example.com", "two", 2)] == ["id9"]


def test_as_many_as_are_asked_for_come_from_as_many_days_as_it_takes(days: TraceDays, tmp_path):
    for number in range(5):
        days.load(20_000 + number, list(spooled(tmp_path / f"{number}", lines(2 * number, 2 * number + 1)).frames()))
    for most in range(1, 12):
        assert [each.at_ms for each in days.find("s@example.com", None, most)] == list(range(9, -1, -1))[:most]


def test_a_day_that_another_process_dropped_is_not_missed(catalog: Catalog, days: TraceDays, tmp_path):
    for number in (0, 1):
        days.load(20_000 + number, list(spooled(tmp_path / f"{number}", lines(number)).frames()))
    mine = TraceDays(catalog, tmp_path / "traces")
    assert len(mine.find("s@example.com", None, 9)) == 2
    days.drop_before(20_001)
    assert [each.id for each in mine.find("s@example.com", None, 9)] == ["id1"]
    mine.close()


def test_a_day_that_goes_while_it_is_looked_for_is_left_out(tmp_path, monkeypatch):
    prepare(url := catalog_url("", "", tmp_path))
    folder = tmp_path / "traces"
    with closing(open_catalog(url)) as catalog, closing(TraceDays(catalog, folder)) as days:
        for day, number in ((100, 1), (101, 2)):
            days.load(day, list(spooled(tmp_path / str(day), lines(number)).frames()))
        real = os.listdir

        def going(path):
            names = real(path)
            (folder / f"{day_name(100)}.db").unlink(missing_ok=True)
            return names

        with closing(TraceDays(catalog, folder)) as looking, monkeypatch.context() as patched:
            patched.setattr(os, "listdir", going)
            assert [found.id for found in looking.find("s@example.com", None, 9)] == ["id2"]


def test_a_file_that_is_no_day_is_told(tmp_path):
    prepare(url := catalog_url("", "", tmp_path))
    (folder := tmp_path / "traces").mkdir()
    (folder / "20241004.db").write_bytes(b"x" * 5000)
    with closing(open_catalog(url)) as catalog, pytest.raises(CatalogError, match="not a database"):
        TraceDays(catalog, folder).find("id1", None, 9)
