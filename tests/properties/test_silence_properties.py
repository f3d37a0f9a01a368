"""Silence is told where it is unusual and nowhere else: whatever keeps to its week is never missed, and what stops is."""

from hypothesis import given
from hypothesis import strategies as st

from mpp.gateway.silence import GAPS, GRACE, SLOT_S, TIMES, WEEK, of_stream, of_task, of_updates

LEAST = 20
# A week of mail: how many come in a slot, most of the slots quiet.
weeks = st.dictionaries(st.integers(0, WEEK - 1), st.integers(1, 50), min_size=1, max_size=30)
moments = st.integers(0, WEEK * SLOT_S - 1)


def repeated(week: dict[int, int], times: int, until: float = float("inf")) -> dict[int, int]:
    """The same week again and again, from the first one on, as far as it has come."""
    return {
        slot + number * WEEK: many
        for number in range(times)
        for slot, many in week.items()
        if (slot + number * WEEK) * SLOT_S <= until
    }


def judged(slots: dict[int, int], now: float, limit="usual"):
    return of_stream(slots, now, limit, least=LEAST, began=0.0)


@given(weeks, st.integers(0, 8), moments)
def test_what_keeps_to_its_week_is_never_missed(week, number, moment):
    now = number * WEEK * SLOT_S + moment
    assert judged(repeated(week, 9, now), now) is None


@given(weeks, st.integers(3, 8), st.integers(0, 1), st.data())
def test_what_comes_a_little_later_this_week_is_not_missed(week, number, late, data):
    """Ten minutes, whichever burst it is that is late, and whenever somebody looks."""
    past = repeated(week, number)
    this_week = {slot + number * WEEK + late: many for slot, many in week.items()}
    due = data.draw(st.sampled_from(sorted(this_week)))
    now = due * SLOT_S + data.draw(st.integers(0, SLOT_S - 1))
    offset = data.draw(st.integers(0, SLOT_S - 1))  # when in their slots they come
    come = {slot: many for slot, many in this_week.items() if slot * SLOT_S + offset <= now}
    assert judged({**past, **{slot: past.get(slot, 0) + many for slot, many in come.items()}}, now) is None


@given(weeks, st.integers(4, 8), st.integers(1, 4))
def test_one_quiet_week_of_the_last_four_makes_silence_usual(week, number, quiet):
    """A Sunday that was quiet once is no alarm when it is quiet again."""
    slots = repeated(week, number)
    now = (max(slots) + 1 + WEEK + 1) * SLOT_S  # nothing for a week
    without = number - quiet  # the week that had nothing but its last slot
    kept = {slot: many for slot, many in slots.items() if slot // WEEK != without or slot == max(slots)}
    last = max(slots) + 1
    came = [
        sum(kept.get(slot - back * WEEK, 0) for slot in range(last, last + WEEK))
        for back in range(1, 5)
        if min(kept) <= last - back * WEEK
    ]
    assert (judged(kept, now) is not None) == (len(came) >= 3 and min(came) >= LEAST)


@given(weeks, st.integers(4, 8))
def test_what_stops_is_missed_within_a_week_where_enough_came(week, number):
    slots = repeated(week, number)
    now = (max(slots) + 1 + WEEK + GRACE) * SLOT_S
    alarm = judged(slots, now)
    usual = sum(week.values())
    assert (alarm is not None) == (usual >= LEAST)
    if alarm:
        assert alarm.seconds == now - (max(slots) + 1) * SLOT_S
        known = (max(slots) + 1 - min(slots)) // WEEK
        assert f"last {min(known, 4)} weeks at least {usual} came" in alarm.usual


@given(weeks, st.integers(1, 8), moments, st.integers(0, 3 * WEEK))
def test_an_alarm_lasts_until_something_comes(week, number, moment, later):
    end = number * WEEK * SLOT_S + moment
    slots = repeated(week, number + 1, end)
    now = end + later * SLOT_S
    before, after = judged(slots, now), judged(slots, now + SLOT_S)
    assert before is None or (after is not None and after.seconds > before.seconds)
    assert judged({**slots, int(now // SLOT_S): 1}, now) is None


@given(weeks, st.integers(1, 3), moments)
def test_nothing_is_said_before_it_is_known_what_is_usual(week, number, moment):
    slots = repeated(week, number)
    first = min(slots)
    now = min((first + 3 * WEEK - 1) * SLOT_S, (max(slots) + 1) * SLOT_S + moment)
    assert judged(slots, now) is None


@given(weeks, moments, st.floats(1, 1e6))
def test_a_limit_of_ones_own_needs_no_history(week, moment, limit):
    slots = repeated(week, 1)
    now = (max(slots) + 1) * SLOT_S + moment
    assert (judged(slots, now, limit) is not None) == (moment > limit)
    assert judged(slots, now, "off") is None
    assert (judged({}, moment, limit) is not None) == (moment > limit)  # nothing ever came: since we began


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.integers(0, 10**8), st.randoms())
def test_updates_are_missed_after_twice_the_longest_gap(gaps, quiet, random):
    times = [float(sum(gaps[:number])) for number in range(len(gaps) + 1)]
    now = times[-1] + quiet
    shuffled = [*random.sample(times, len(times)), now + 5]  # of a clock that was wrong
    alarm = of_updates(shuffled, now, "usual")
    assert (alarm is not None) == (len(gaps) >= GAPS and quiet > TIMES * max(gaps))
    assert alarm is None or alarm.seconds == quiet
    assert of_updates(times, now, "off") is None
    assert (of_updates(times, now, 1000.0) is not None) == (quiet > 1000)


@given(st.floats(0.25, 10**5), st.floats(0, 10**7), st.floats(1, 10**6))
def test_a_task_is_never_missed_before_its_turn(every, quiet, limit):
    for setting in ("usual", limit):
        assert quiet > every or of_task(0.0, every, quiet, setting) is None
    assert of_task(0.0, every, every + 2 * limit, limit) is not None
    assert of_task(0.0, every, 10**8, "usual") is not None
    assert of_task(0.0, every, 10**8, "off") is None
