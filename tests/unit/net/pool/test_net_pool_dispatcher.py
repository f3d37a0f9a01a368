"""The deciding part played out in a world with a clock of its own: thousands of messages in seconds (tests/servers/pool_world)."""

import random
from collections.abc import Sequence
from math import log

import pytest

from servers.pool_world import Fate, Machine, World

MEAN = 0.087  # of the service times, seconds; lognormal with a spread like spamd's


def offered(world: World, load: float, seconds: float, *, seed: int = 1, capacity: float | None = None, **more) -> None:
    """Have messages arrive at random times, as a share of the capacity."""
    draw = random.Random(seed)
    full = capacity or sum(machine.speed * machine.children for machine in world.machines) / MEAN
    now = 0.0
    while (now := now + draw.expovariate(load * full)) < seconds:
        world.message(now, draw.lognormvariate(-2.62, 0.6), worker=draw.randrange(len(world.workers)), **more)


def waits(fates: Sequence[Fate], since: float = 0.0, until: float = 1e9) -> list[float]:
    """Latencies in mean service times, in order."""
    assert [fate.error for fate in fates if fate.wait is None] == []
    return sorted(fate.wait / MEAN for fate in fates if fate.wait is not None and since <= fate.arrived < until)


def p(ordered: Sequence[float], share: float) -> float:
    return ordered[int(len(ordered) * share)]


def copies(fates: Sequence[Fate]) -> float:
    return sum(fate.runs for fate in fates) / len(fates) - 1


def good(count: int = 4) -> list[Machine]:
    return [Machine() for _ in range(count)]


@pytest.mark.parametrize("workers", [1, 3])
def test_late_binding_with_equal_servers(workers: int) -> None:
    world = World(good(), workers=workers)
    offered(world, 0.85, 20)
    fates = world.run()
    ordered = waits(fates)
    assert p(ordered, 0.5) < 2.0
    assert p(ordered, 0.99) < 7.0
    assert copies(fates) < 0.01
    assert max(machine.most_asked for machine in world.machines) <= 2


def test_places_are_learned_and_are_not_far_from_the_children() -> None:
    world = World([Machine(children=children) for children in (1, 2, 5)], places=0)
    offered(world, 0.95, 60)
    waits(world.run())
    learned = [member.capacity.places() for member in world.workers[0].members]
    assert learned[0] in (1, 2)
    assert learned[1] in (2, 3)
    assert learned[2] in (4, 5, 6)


def test_faster_servers_get_more_and_the_slow_ones_do_not_hold_messages_up() -> None:
    world = World([Machine(speed=speed) for speed in (1, 1, 2, 4)])
    offered(world, 0.85, 20)
    fates = world.run()
    assert p(waits(fates, since=2.0), 0.99) < 4.0
    answers = [member.answers for member in world.workers[0].members]
    assert answers[3] > 2 * answers[0]


def test_one_server_ten_times_slower_is_hardly_felt_at_forty_percent_of_the_four() -> None:
    results = []
    for speeds in ((1, 1, 1, 1), (1, 1, 1, 0.1)):
        world = World([Machine(speed=speed) for speed in speeds])
        offered(world, 0.4, 60, capacity=8 / MEAN)
        results.append(p(waits(world.run(), since=2.0), 0.95))
    assert results[1] < 1.2 * results[0]


def test_a_killed_server_loses_nothing_and_is_in_use_within_a_second_of_its_return() -> None:
    killed = Machine(down=(5.0, 8.0))
    world = World([*good(3), killed])
    offered(world, 0.7, 15)
    fates = world.run()
    usual, second = waits(fates, until=5.0), waits(fates, 5.0, 6.0)
    assert p(second, 0.99) < 2 * p(usual, 0.99)
    back = world.workers[0].members[3].changed_at
    assert 8.0 <= back < 8.5
    assert world.workers[0].members[3].answers > 0


def test_a_stall_frees_its_messages_by_copies_within_the_budget() -> None:
    world = World([*good(3), Machine(stall=(10.0, 5.0, 5.0))])
    offered(world, 0.7, 40)
    fates = world.run()
    ordered = waits(fates)
    assert ordered[-1] < 20
    assert p(ordered, 0.99) < 7
    assert 0 < copies(fates) < 0.05


@pytest.mark.parametrize(
    ("behind", "means", "runs"),
    [
        pytest.param(0, 2.5, 2, id="nobody waits for the place"),
        pytest.param(100, 2.5, 1, id="others wait, and the server answers them"),
        pytest.param(100, 8.0, 2, id="others wait, but it is late twice over"),
    ],
)
def test_what_is_merely_slow_is_copied_only_while_nobody_waits(behind: int, means: float, runs: int) -> None:
    world = World([Machine(children=4), Machine(children=4)])
    for number in range(600):
        world.message(number * 0.03, MEAN)
    slow = world.message(20.0, means * MEAN)
    draw = random.Random(1)
    for _ in range(behind):
        world.message(20.0, draw.uniform(0.3, 1.0) * MEAN)
    assert world.run()[slow].runs == runs


def test_a_server_that_goes_silent_gets_nothing_new_and_its_messages_are_done_elsewhere() -> None:
    silent = Machine(silent=(2.0, 30.0))
    world = World([*good(3), silent])
    offered(world, 0.6, 20)
    fates = world.run()
    assert waits(fates)[-1] < 25
    assert world.workers[0].members[3].failures <= 2


def test_all_dead_is_known_at_once() -> None:
    world = World([Machine(down=(0.0, 5.0)) for _ in range(4)])
    offered(world, 0.5, 3)
    fates = world.run(until=4.0)
    assert all(fate.failed_after is not None and fate.failed_after < 0.2 * MEAN for fate in fates)
    assert "refused" in fates[-1].error


def test_a_dead_server_is_tried_by_one_worker_and_known_to_all() -> None:
    world = World([*good(2), Machine(down=(1.0, 6.0))], workers=4)
    offered(world, 0.5, 10)
    waits(world.run())
    trials = [worker.members[2].tries for worker in world.workers]
    refused = [worker.members[2].failures for worker in world.workers]
    assert sorted(trials)[:3] == [0, 0, 0]
    assert sum(refused) <= 8
    assert all(not worker.members[2].dead for worker in world.workers)


def test_a_message_that_breaks_its_servers_is_given_to_two_and_no_more() -> None:
    deadly = 30
    world = World([Machine(breaks=lambda number: number == deadly) for _ in range(4)])
    offered(world, 0.5, 5)
    fates = world.run()
    assert [number for number, fate in enumerate(fates) if fate.wait is None] == [deadly]
    assert fates[deadly].runs == 2
    assert not any(member.dead for member in world.workers[0].members)


def test_a_flood_for_one_tenant_does_not_starve_another() -> None:
    world = World(good(1))
    for _ in range(400):
        world.message(0.0, MEAN, tenant="flooded")
    few = [world.message(0.5 + number * 0.5, MEAN, tenant="quiet") for number in range(10)]
    fates = world.run()
    assert max(fates[number].wait for number in few) < 3 * MEAN


def test_a_job_waits_for_a_server_that_is_ten_times_faster_and_not_for_ever() -> None:
    world = World([Machine(children=1), Machine(children=1, speed=0.1)])
    for number in range(40):
        world.message(number * 0.5, MEAN)
    for _ in range(30):
        world.message(30.0, MEAN)
    fates = world.run()
    assert world.workers[0].members[1].answers > 2
    assert all(fate.wait is not None for fate in fates)


def test_overload_keeps_the_servers_busy() -> None:
    world = World(good())
    offered(world, 1.1, 20)
    done = sum(1 for fate in world.run() if fate.wait is not None and fate.arrived + fate.wait <= 20)
    assert done > 0.95 * 20 * 8 / MEAN


def test_a_slow_start_after_a_return() -> None:
    world = World([Machine(children=8, down=(0.0, 1.0)), *good(1)])
    offered(world, 2.5, 4, capacity=2 / MEAN)
    world.run(until=1.3)
    member = world.workers[0].members[0]
    assert member.ramp is not None
    world.run()
    assert member.ramp is None


@pytest.mark.parametrize("strategy", ["weighted", "round-robin", "two-choices", "hash-user"])
def test_other_strategies_share_queue_and_places(strategy: str) -> None:
    world = World(good(), strategy=strategy)
    offered(world, 0.8, 20)
    assert p(waits(world.run()), 0.99) < 7.0
    assert max(machine.most_asked for machine in world.machines) <= 2


def test_weights_are_kept_while_there_is_room() -> None:
    world = World(good(2), strategy="weighted")
    world.workers[0].members[1].weight = 3.0
    for number in range(100):
        world.message(number * 1.0, MEAN)
    world.run()
    assert [member.answers for member in world.workers[0].members] == [25, 75]


def test_a_key_stays_at_its_server_and_others_move_little_when_one_goes() -> None:
    def servers_of(machines: list[Machine]) -> dict[str, str]:
        world = World(machines, strategy="hash-user")
        at = {}
        for number in range(200):
            key = f"user{number % 50}"
            message = world.message(number * 1.0, MEAN, key=key)
            at[message] = key
        found: dict[str, set[str]] = {}
        step = world._begin

        def noted(index, run):
            found.setdefault(run.ticket.asking.key, set()).add(run.member.key)
            step(index, run)

        world._begin = noted
        world.run()
        assert all(len(names) == 1 for names in found.values())
        return {key: next(iter(names)) for key, names in found.items()}

    four = servers_of(good(4))
    three = servers_of(good(3))
    moved = [key for key in four if four[key] != three[key]]
    assert all(four[key] == "s3" for key in moved)
    assert len(set(four.values())) == 4


def test_a_later_group_is_used_only_while_the_first_is_busy_or_dead() -> None:
    world = World(good(3))
    world.workers[0].members[2].group = 2
    offered(world, 0.2, 10)
    world.run()
    assert world.workers[0].members[2].answers < 0.2 * world.workers[0].members[0].answers
    world = World([*[Machine(down=(0.0, 99.0)) for _ in range(2)], Machine()])
    world.workers[0].members[2].group = 2
    offered(world, 0.2, 5)
    fates = world.run(until=20.0)
    assert all(fate.wait is not None for fate in fates)


def test_a_drained_server_gets_nothing_new_and_goes_on_when_told() -> None:
    world = World(good(2))
    offered(world, 0.4, 10)
    world.shared.drained.add("s1")
    world.run(until=5.0)
    assert world.workers[0].members[1].answers == 0
    world.shared.drained.clear()
    world.run()
    assert world.workers[0].members[1].answers > 10


def test_all_drained_says_so() -> None:
    world = World(good(1))
    world.shared.drained.add("s0")
    world.message(0.1, MEAN)
    (fate,) = world.run()
    assert "drained" in fate.error


# one job ahead, at servers where it waits for its turn


def used(world: World, seconds: float) -> float:
    """Return which share of the capacity was used, up to a moment."""
    done = sum(
        world.work[n] for n, fate in world.fates.items() if fate.wait is not None and fate.arrived + fate.wait < seconds
    )
    return done / seconds / sum(machine.speed * machine.children for machine in world.machines)


@pytest.mark.parametrize("workers", [1, 3])
def test_no_server_stands_idle_between_an_answer_and_the_next_request(workers: int) -> None:
    """Each answer takes 4 ms to become the next request: a sixth of what a fast server needs for a message."""
    worlds = {}
    for ahead in (False, True):
        world = worlds[ahead] = World(
            [Machine(speed=speed) for speed in (1, 1, 2, 4)], workers=workers, ahead=ahead, handover=0.004
        )
        offered(world, 1.1, 20)
        fates = world.run()
        assert max(machine.most_asked for machine in world.machines) <= 2 + ahead
        assert copies(fates) < 0.01
    assert used(worlds[False], 20) < 0.93
    assert used(worlds[True], 20) > 0.95


def test_one_ahead_helps_the_unlucky_too() -> None:
    results = []
    for ahead in (False, True):
        world = World([Machine(speed=speed) for speed in (1, 1, 2, 4)], workers=2, ahead=ahead, handover=0.002)
        offered(world, 0.9, 40)
        results.append(p(waits(world.run()), 0.99))
    assert results[1] < 0.9 * results[0]


def test_one_is_sent_ahead_only_while_others_are_served_before_its_turn_there() -> None:
    """Eight in the places and a mean time of two rounds: of four who wait one has its place anyhow when its turn would come."""
    world = World(good(), ahead=True)
    for number in range(12):
        world.message(0.0 if number < 8 else 0.001, 0.1)
    world.run(until=0.002)
    assert [machine.most_asked for machine in world.machines] == [2, 2, 2, 2]
    for _ in range(2):
        world.message(0.003, 0.1)
    world.run(until=0.004)
    assert sorted(machine.most_asked for machine in world.machines) == [2, 2, 3, 3]


@pytest.mark.parametrize("places", [None, 0])
def test_speeds_and_places_are_learned_right_though_jobs_wait_at_the_servers(places: int | None) -> None:
    world = World(
        [Machine(speed=speed, children=3) for speed in (1, 1, 2, 4)],
        places=places,
        workers=2,
        ahead=True,
        handover=0.002,
    )
    offered(world, 1.1, 60)
    waits(world.run())
    for worker in world.workers:
        first, *others = [member.level.mean for member in worker.members]
        for level, speed in zip(others, (1, 2, 4), strict=True):
            assert abs(first - level - log(speed)) < 0.5  # one answer more or less moves it by a fifth
        assert all(3 <= member.capacity.places() <= 5 for member in worker.members)


def test_what_was_sent_ahead_to_a_server_that_stalls_is_given_to_another() -> None:
    machines = [*good(3), Machine(stall=(20.0, 5.0, 5.0))]
    world = World(machines, workers=2, ahead=True, handover=0.002)
    offered(world, 0.85, 40)
    fates = world.run()
    assert p(waits(fates), 0.999) < 16 + 5
    assert copies(fates) < 0.05


def test_what_may_be_done_once_only_waits_for_a_place() -> None:
    world = World([Machine(children=1)], ahead=True)
    for _ in range(6):
        world.message(0.0, 0.1, copies=False)
    fates = world.run()
    assert all(fate.wait is not None for fate in fates)
    assert world.machines[0].most_asked == 1
