"""The node's table: sums over slots and processes, ends of workers, ages of rows."""

import os
import time

import pytest

from mpp.net.metrics import BOUNDS, COUNTERS, GAUGES, HISTOGRAMS, MESSAGES, Counter, Gauge, Histogram
from mpp.net.rows import WAYS
from mpp.net.table import CRASH_KEPT_S, IN_HAND, NodeTable
from mpp.verdict.plan import Disposition

DIGEST, OTHER = bytes(range(16)), bytes(range(16, 32))


@pytest.fixture
def table():
    return NodeTable.create(3)


def in_child(work):
    """Run `work` in a forked process; an assertion there fails here."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_sums_over_two_forked_processes(table):
    def work(slot):
        writer = table.writer(slot)
        for _ in range(100):
            writer.connection_opened("192.0.2.1")
            writer.add(Counter.MESSAGES_DELIVERED, slot + 1)
            writer.observe(Histogram.MESSAGE, 0.02)
            writer.refused("192.0.2.1", 1000.0)
        writer.connection_closed("192.0.2.1")

    pids = []
    for slot in (0, 1):
        if (pid := os.fork()) == 0:
            work(slot)
            os._exit(0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
    reader = table.writer(2)
    assert table.connections() == reader.connections() == reader.connections_of("192.0.2.1") == 198
    assert table.counter(Counter.MESSAGES_DELIVERED) == 300
    assert reader.refusals_of("192.0.2.1", 1000.0) == 200
    counts, total = table.histogram(Histogram.MESSAGE)
    assert sum(counts) == counts[BOUNDS.index(0.025)] == 200
    assert total == pytest.approx(4.0)


def test_a_process_forked_later_knows_the_same_hosts(table):
    table.writer(0).connection_opened("2001:db8::1")

    def work():
        writer = table.writer(1)
        assert writer.connections_of("2001:db8::ffff") == 1
        writer.connection_opened("2001:db8::2")

    in_child(work)
    assert table.writer(0).connections_of("2001:db8::1") == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("192.0.2.1", "192.0.2.2", False, id="IPv4 as it is"),
        pytest.param("2001:db8::1", "2001:db8::2:0:0:1", True, id="IPv6 by its /64"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="two /64"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", True, id="IPv4 in IPv6"),
        pytest.param("fe80::1%eth0", "fe80::2%eth0", True, id="with a zone"),
        pytest.param("", "192.0.2.1", False, id="a unix socket has no address"),
        pytest.param("not:an:address", "not:an:address\udcff", False, id="any text"),
    ],
)
def test_which_hosts_are_one(table, one, other, same):
    writer = table.writer(0)
    writer.connection_opened(one)
    assert writer.connections_of(one) == 1
    assert writer.connections_of(other) == int(same)


def test_connections_end_and_never_fall_below_zero(table):
    writer = table.writer(0)
    writer.connection_opened("192.0.2.1")
    for _ in range(3):
        writer.connection_closed("192.0.2.1")
    assert (writer.connections(), writer.connections_of("192.0.2.1")) == (0, 0)


def test_refusals_count_for_ten_minutes(table):
    first, second = table.writer(0), table.writer(1)
    for minute in range(10):
        first.refused("192.0.2.1", 60.0 * minute)
        second.refused("192.0.2.1", 60.0 * minute + 59.9)
    assert first.refusals_of("192.0.2.1", 599.0) == 20
    assert first.refusals_of("192.0.2.1", 600.0) == 18
    assert first.refusals_of("192.0.2.1", 1139.0) == 2
    assert first.refusals_of("192.0.2.1", 1140.0) == 0
    first.refused("192.0.2.1", 1140.0)
    assert first.refusals_of("192.0.2.1", 1140.0) == 1


def test_a_flood_of_hosts_takes_idle_rows_and_never_those_with_connections():
    table = NodeTable.create(1, hosts=1)
    writer = table.writer(0)
    writer.connection_opened("192.0.2.1")
    writer.refused("192.0.2.1", 0.0)
    for number in range(30_000):
        writer.refused(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1000.0)
    assert writer.connections_of("192.0.2.1") == 1
    assert len(table.hosts.rows(0)) <= 256 * WAYS


def test_more_hosts_than_rows_are_still_counted_in_all():
    table = NodeTable.create(1, hosts=1)
    writer = table.writer(0)
    hosts = [f"10.0.{number >> 8}.{number & 255}" for number in range(10_000)]
    for host in hosts:
        writer.connection_opened(host)
    assert writer.connections() == 10_000
    for host in hosts:
        writer.connection_closed(host)
    assert writer.connections() == 0
    assert not any(writer.connections_of(host) for host in hosts)


def test_a_dead_worker_leaves_counters_and_refusals_and_takes_its_connections(table):
    def work():
        writer = table.writer(0)
        writer.beat(5.0)
        writer.connection_opened("192.0.2.1")
        writer.refused("192.0.2.1", 100.0)
        writer.add(Counter.CONNECTIONS)
        writer.set(Gauge.MEMORY_IN_FLIGHT, 4096)
        writer.set(Gauge.BACKGROUND_ROUND, 7)

    in_child(work)
    table.writer(1).connection_opened("192.0.2.1")
    assert table.heartbeats() == [5.0, 0.0, 0.0]
    assert table.clear(0, 101.0) == {}
    reader = table.writer(1)
    assert (reader.connections(), reader.connections_of("192.0.2.1")) == (1, 1)
    assert reader.refusals_of("192.0.2.1", 101.0) == 1
    assert table.counter(Counter.CONNECTIONS) == 1
    assert not any(table.gauge(Gauge.MEMORY_IN_FLIGHT))
    assert table.gauge(Gauge.BACKGROUND_ROUND)[0] == 7  # a time at which something was done
    assert table.heartbeats() == [0.0, 0.0, 0.0]


def test_a_message_in_hand_at_two_crashes_is_known_as_such(table):
    def crash(expected):
        assert table.writer(1).take_in_hand(DIGEST) == expected
        os._exit(0)

    in_child(lambda: crash(0))
    assert table.in_hand(1) == [DIGEST]
    assert table.clear(1, 100.0) == {DIGEST: 1}
    assert table.in_hand(1) == []
    in_child(lambda: crash(1))
    assert table.clear(1, 200.0) == {DIGEST: 2}
    assert table.writer(0).take_in_hand(DIGEST) == 2
    assert table.writer(0).take_in_hand(OTHER) == 0


def test_two_copies_in_hand_at_one_crash_are_one_crash(table):
    writer = table.writer(0)
    writer.take_in_hand(DIGEST)
    writer.take_in_hand(DIGEST)
    assert table.clear(0, 1.0) == {DIGEST: 1}


def test_what_was_let_go_is_not_in_hand(table):
    writer = table.writer(0)
    for digest in (DIGEST, DIGEST, OTHER):
        writer.take_in_hand(digest)
    writer.let_go(DIGEST)
    writer.let_go(OTHER)
    writer.let_go(OTHER)  # once more than taken
    assert table.in_hand(0) == [DIGEST]
    writer.let_go(DIGEST)
    assert table.clear(0, 1.0) == {}


def test_more_in_hand_than_rows_are_taken_without_a_note(table):
    writer = table.writer(0)
    digests = [number.to_bytes(16, "big") for number in range(1, IN_HAND + 10)]
    for digest in digests:
        assert writer.take_in_hand(digest) == 0
    assert len(table.in_hand(0)) == IN_HAND
    for digest in digests:
        writer.let_go(digest)
    assert table.in_hand(0) == []
    writer.take_in_hand(DIGEST)
    assert table.in_hand(0) == [DIGEST]


def test_crashes_are_forgotten_after_a_day(table):
    table.writer(0).take_in_hand(DIGEST)
    table.clear(0, 100.0)
    table.writer(0).take_in_hand(OTHER)
    table.clear(0, 200.0)
    table.expire(150.0 + CRASH_KEPT_S)
    assert (table.crashes_of(DIGEST), table.crashes_of(OTHER)) == (0, 1)


def test_crashes_are_bounded_and_the_oldest_gives_way(table):
    for number in range(20_000):
        table._crash(number.to_bytes(2, "big") * 8, float(number))
    assert table.crashes_of((19_999).to_bytes(2, "big") * 8) == 1
    assert len(table.crashes.rows(0)) <= 128 * WAYS


def test_hostile_numbers_are_taken():
    writer = NodeTable.create(1).writer(0)
    writer.refused("x", -5.0)
    writer.beat(-1.0)
    writer.observe(Histogram.MESSAGE, -1.0)
    writer.observe(Histogram.MESSAGE, 1e9)
    assert writer.table.histogram(Histogram.MESSAGE)[0][-1] == 1
    assert writer.take_in_hand(b"") == 0


def test_reads_during_writes_are_never_a_mixture(table):
    """A reader in another process sees only values that were written whole."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        writer = table.writer(0)
        for number in range(200_000):
            writer.set(Gauge.MEMORY_IN_FLIGHT, (1 << 62) - 1 if number % 2 else 1 << 60)
        os.write(theirs, b".")
        os._exit(0)
    seen = set()
    os.set_blocking(ours, False)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        seen.add(table.gauge(Gauge.MEMORY_IN_FLIGHT)[0])
        try:
            if os.read(ours, 1):
                break
        except BlockingIOError:
            continue
    os.waitpid(pid, 0)
    assert seen <= {0, 1 << 60, (1 << 62) - 1}


def test_every_number_is_described():
    assert set(COUNTERS) == set(Counter)
    assert set(GAUGES) == set(Gauge)
    assert set(HISTOGRAMS) == set(Histogram)


def test_every_disposition_has_its_counter():
    assert set(MESSAGES) == {disposition.value for disposition in Disposition}
