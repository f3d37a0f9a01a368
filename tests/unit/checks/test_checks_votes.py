"""Voting rules and scales: whose findings count how much."""

from math import fsum

import pytest

from mpp.checks.layers.scale import SCALED, Scale, scaled
from mpp.checks.layers.settings import Vote
from mpp.checks.layers.votes import limited
from mpp.verdict.finding import SCANNER_FAILED, Counts, Finding, OnFailure, Verdict

FULL, MARKS, NOTHING = Counts.FULL, Counts.MARKS, Counts.NOTHING


def virus(check: str, **more: object) -> Finding:
    return Finding(check, "Eicar", verdict=Verdict.VIRUS, **more)


def spam(check: str, score: float, **more: object) -> Finding:
    return Finding(check, f"T{score}", score, **more)


TWO_OF_THREE = Vote(name="v", scanners=("a", "b", "c"))
X_ALONE = Vote(name="v", of="spam", scanners=("x",), voters=("x", "y", "z"))


@pytest.mark.parametrize(
    ("vote", "findings", "counts"),
    [
        (TWO_OF_THREE, [virus("a")], [MARKS]),
        (TWO_OF_THREE, [virus("a"), virus("c")], [FULL, FULL]),
        (TWO_OF_THREE, [virus("a"), virus("a")], [MARKS, MARKS]),
        (TWO_OF_THREE, [virus("other")], [FULL]),
        (TWO_OF_THREE, [virus("a"), spam("b", 9)], [MARKS, FULL]),
        (TWO_OF_THREE, [virus("a"), virus("b", counts=NOTHING)], [MARKS, NOTHING]),
        (TWO_OF_THREE, [virus("a"), Finding("b", SCANNER_FAILED, failure=OnFailure.DEFER)], [MARKS, FULL]),
        (X_ALONE, [spam("x", 20)], [MARKS]),
        (X_ALONE, [spam("x", 20), spam("x", -1)], [MARKS, FULL]),
        (X_ALONE, [spam("x", 20), spam("y", 4.9)], [MARKS, FULL]),
        (X_ALONE, [spam("x", 20), spam("y", 2.5), spam("y", 2.6)], [FULL, FULL, FULL]),
        (X_ALONE, [spam("x", 20), Finding("z", "PHISH", verdict=Verdict.SPAM)], [FULL, FULL]),
        (X_ALONE, [spam("y", 20)], [FULL]),
        (X_ALONE, [spam("x", 20), virus("y")], [MARKS, FULL]),
        (X_ALONE, [spam("x", 1), spam("x", 20, recipients=frozenset({"r"})), spam("y", 9)], [FULL, FULL, FULL]),
    ],
)
def test_who_has_to_agree(vote: Vote, findings: list[Finding], counts: list[Counts]) -> None:
    after = limited(findings, [vote])
    assert [each.counts for each in after] == counts
    assert [each.limit for each in after] == [
        "votes.v" if each.counts is MARKS else before.limit for each, before in zip(after, findings, strict=True)
    ]


def test_the_strictest_rule_holds() -> None:
    ignoring = Vote(name="w", scanners=("a", "b"), otherwise="ignore")
    for votes in ([TWO_OF_THREE, ignoring], [ignoring, TWO_OF_THREE]):
        (after,) = limited([virus("a")], votes)
        assert (after.counts, after.limit) == (NOTHING, "votes.w")


TABLE = Scale(table=((0.0, 0.0), (6.0, 4.0), (15.0, 13.0)))


@pytest.mark.parametrize(
    ("points", "counts"), [(-3, 0), (0, 0), (3, 2), (6, 4), (7.5, 5.5), (15, 13), (1000, 13), (1e300, 13)]
)
def test_a_table_maps_the_sum(points: float, counts: float) -> None:
    after = scaled([spam("r", points / 2), Finding("r", "NOTE"), spam("r", points / 2)], TABLE, "r")
    assert TABLE.counts(points) == pytest.approx(counts)
    total = fsum(each.score for each in after)
    assert total == pytest.approx(counts, abs=0.01) or points == 1e300
    assert [each.symbol for each in after[3:]] == ([SCALED] if counts != points else [])


def test_a_weight_is_put_on_each_symbol() -> None:
    after = scaled([spam("r", 3.0), Finding("r", "NOTE"), spam("r", -1.0)], Scale(weight=1.5), "r")
    assert [each.score for each in after] == [4.5, 0.0, -1.5]


def test_each_group_of_recipients_has_its_own_sum() -> None:
    one, two = frozenset({"a"}), frozenset({"b"})
    after = scaled([spam("r", 6.0, recipients=one), spam("r", 15.0, recipients=two)], TABLE, "r")
    assert [(each.score, each.recipients) for each in after[2:]] == [(-2.0, one), (-2.0, two)]
    assert after[2].text == "6 points of r count 4 (scanners.r.scale)"
