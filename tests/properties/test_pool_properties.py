"""Laws of a pool, for any servers, workers, arrivals and mishaps: played out with a clock of its own."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mpp.net.pool.choose import CHOICES
from mpp.net.pool.speeds import Level, Speeds
from servers.pool_world import Machine, World

speeds = st.sampled_from([0.1, 0.5, 1.0, 1.0, 2.0, 4.0])
machines = st.builds(
    Machine,
    speed=speeds,
    children=st.integers(1, 4),
    stall=st.none() | st.just((4.0, 1.0, 1.0)),
    down=st.none() | st.tuples(st.floats(0, 3), st.floats(3.1, 6)),
)
arrivals = st.lists(
    st.tuples(st.floats(0, 6), st.floats(0.001, 0.3), st.integers(256, 1 << 20), st.sampled_from("abc")),
    min_size=1,
    max_size=120,
)


def world_of(servers: list[Machine], mails: list[tuple], **more) -> World:
    world = World(servers, **more)
    for when, work, size, tenant in mails:
        world.message(when, work, size, tenant)
    return world


@settings(max_examples=60, deadline=None)
@given(
    st.lists(machines, min_size=1, max_size=4),
    arrivals,
    st.integers(1, 3),
    st.sampled_from(sorted(CHOICES)),
    st.booleans(),
    st.sampled_from([0.0, 0.003]),
)
def test_no_place_is_used_twice_and_every_message_has_an_end(
    servers, mails, workers, strategy, ahead, handover
) -> None:
    world = world_of(servers, mails, workers=workers, strategy=strategy, ahead=ahead, handover=handover)
    fates = world.run()
    assert all((fate.wait is None) != (fate.failed_after is None) for fate in fates)
    for machine in servers:
        assert machine.most_asked <= machine.children + ahead
    for worker in world.workers:
        assert len(worker.queue) == 0
        assert not any(member.runs for member in worker.members)
    assert not any(world.shared.used.values())  # every place has come back


@settings(max_examples=60, deadline=None)
@given(st.lists(st.builds(Machine, children=st.integers(1, 4)), min_size=1, max_size=4), arrivals, st.booleans())
def test_while_servers_live_every_message_is_answered(servers, mails, ahead) -> None:
    fates = world_of(servers, mails, workers=2, ahead=ahead).run()
    assert [fate.error for fate in fates] == [""] * len(mails)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), arrivals, st.sampled_from(["round-robin", "two-choices"]))
def test_no_message_waits_while_a_place_is_free(children, mails, strategy) -> None:
    """For one worker, and strategies that do not wait for a faster server: at no event is there both."""
    world = world_of([Machine(children=each) for each in children], mails, strategy=strategy)
    step = world._step

    def judged(index: int) -> None:
        step(index)
        worker = world.workers[index]
        free = [
            member
            for member in worker.members
            if member.up(world.now) and member.places() > worker.node.busy(member.key)
        ]
        assert not (len(worker.queue) and free)

    world._step = judged
    world.run()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-4, 100), st.integers(0, 1 << 26), st.floats(0, 10)), min_size=1, max_size=300))
def test_what_is_learned_stays_within_what_was_seen(answers) -> None:
    learned, level, now = Speeds(), Level(), 0.0
    for seconds, size, later in answers:
        now += later
        learned.learn(level, size, seconds, now)
        assert 0 < learned.expected(level, size) < 1e6
        assert learned.patience(level, size) > learned.expected(level, size) / 10
        assert 0 <= level.variance <= 1
        assert 0 <= learned.slope <= 1.2


@given(st.floats(0.001, 10), st.floats(0.5, 1.2))
def test_a_size_that_decides_the_time_is_learned(base, power) -> None:
    learned, level = Speeds(), Level()
    for number in range(800):
        size = 1 << (10 + number * 7 % 11)
        learned.learn(level, size, base * (size / 4096) ** power, float(number))
    for size in (2048, 65536):
        true = base * (size / 4096) ** power
        assert 0.6 < learned.expected(level, size) / true < 1.7
