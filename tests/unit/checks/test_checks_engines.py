"""An engine's opinion as a word of the log, and back."""

from mpp.checks.layers.engines import Opinion, opinions, read
from mpp.checks.layers.judge import Judged, Run
from mpp.verdict.finding import SCANNER_FAILED, SPAM_SCANNED, TOO_LARGE, Counts, Finding, OnFailure, Verdict


def test_opinions_of_a_message() -> None:
    findings = [
        Finding("av", "Eicar", verdict=Verdict.VIRUS),
        Finding("sa", SPAM_SCANNED),
        Finding("sa", "A", 3.0, recipients=frozenset({"a"})),
        Finding("sa", "B", 5.25, recipients=frozenset({"b"})),
        Finding("dead", SCANNER_FAILED, failure=OnFailure.DEFER),
        Finding("big", TOO_LARGE),
        Finding("new", "X", 99.0, counts=Counts.NOTHING),
        Finding("layers", "NOT_A_RUN", 1.0),
    ]
    runs = tuple(Run(name, 0.0123) for name in ("av", "sa", "dead", "big", "new", "quiet"))
    found = opinions(Judged(findings, runs))
    assert [opinion.word for opinion in found] == [
        "av:virus:0:12.3",
        "sa:clean:5.25:12.3",
        "dead:failed:0:12.3",
        "big:unchecked:0:12.3",
        "new:clean:99:12.3:nothing",
        "quiet:clean:0:12.3",
    ]
    assert read(opinion.word for opinion in found) == [
        Opinion(each.engine, each.says, each.points, 12.3, each.counts) for each in found
    ]


def test_what_is_no_word_of_ours_is_left_out() -> None:
    assert read(["", "a:b", "a:clean:x:1", "a:clean:1:1:often", "\x1b:clean:1:1", "a:clean:1:1"]) == [
        Opinion("a", "clean", 1.0, 1.0)
    ]
