"""Several recipients, one reply: what the client hears, and what the retry must know."""

import pytest

from mpp.gateway.delivery import Outcome, State
from mpp.gateway.outcomes import PARTLY, join
from mpp.protocols.smtp.reply import Reply

OK = Outcome(State.ACCEPTED, Reply(250, "2.0.0", "queued as 1"), "hop")
NO = Outcome(State.REFUSED, Reply(550, "5.1.1", "no such user"), "hop")
LATER = Outcome(State.DEFERRED, Reply(452, "4.2.2", "full"), "hop")
UNKNOWN = Outcome(State.UNKNOWN, Reply(451, "4.4.2", "silent"), "hop")


@pytest.mark.parametrize(
    ("label", "outcomes", "code", "accepted", "refused"),
    [
        ("one accepted", [OK], 250, [], []),
        ("one refused", [NO], 550, [], []),
        ("one deferred", [LATER], 452, [], []),
        ("all accepted", [OK, OK], 250, [], []),
        ("all refused", [NO, NO], 550, [], []),
        ("refused and deferred: the retry decides", [NO, LATER], 452, [], []),
        ("deferred and refused", [LATER, NO], 452, [], []),
        ("accepted and refused: never 5xx", [OK, NO], 451, ["0"], ["1"]),
        ("refused and accepted", [NO, OK], 451, ["1"], ["0"]),
        ("accepted and deferred", [OK, LATER], 451, ["0"], []),
        ("accepted and unknown", [OK, UNKNOWN], 451, ["0"], []),
        ("all three", [OK, NO, LATER], 451, ["0"], ["1"]),
        ("unknown alone", [UNKNOWN], 451, [], []),
    ],
)
def test_join(label, outcomes, code, accepted, refused):
    answer = join({str(number): outcome for number, outcome in enumerate(outcomes)})
    assert (answer.reply.code, list(answer.accepted), list(answer.refused)) == (code, accepted, refused)


def test_what_is_kept_says_what_the_next_hop_said():
    answer = join({"a": OK, "b": NO})
    assert answer.reply is PARTLY
    assert (answer.accepted, answer.refused) == ({"a": "queued as 1"}, {"b": "550 5.1.1 no such user"})
