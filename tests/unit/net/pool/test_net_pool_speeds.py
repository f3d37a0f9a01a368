"""What is learned of a server's speed."""

from mpp.net.pool.speeds import OFTEN_S, Level, Speeds


def test_of_many_answers_at_once_only_some_are_learned_from() -> None:
    speeds, level = Speeds(), Level()
    speeds.learn(level, 4096, 0.1, 100.0)
    first = level.mean
    assert speeds.learn(level, 4096, 0.2, 100.0 + OFTEN_S / 2) > 0.6  # how late it was is told all the same
    assert level.mean == first
    speeds.learn(level, 4096, 0.2, 100.0 + 2 * OFTEN_S)
    assert level.mean > first
