"""From the outcome of each recipient to what the client is told (design section 3: several recipients, one reply).

Pure. Over LMTP each recipient has its own reply; over SMTP there is one, and once any recipient has been accepted it is
never 5xx: what the retry must know goes into the memo.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mpp.gateway.delivery import Outcome, State
from mpp.protocols.smtp.reply import Reply

PARTLY = Reply(451, "4.3.0", "Accepted for some recipients only, please send it again for the others")
_NOBODY: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class Answer:
    """The one reply of SMTP, and what has to be kept for the retry before it is given."""

    reply: Reply
    accepted: Mapping[str, str]  # recipient: what the next hop said
    refused: Mapping[str, str]  # recipient: the refusal that the retry gets at RCPT


def join(outcomes: Mapping[str, Outcome]) -> Answer:
    """Join the outcomes of all recipients (at least one) into one reply."""
    first = next(iter(outcomes.values())).reply
    if len(outcomes) == 1:
        return Answer(first, _NOBODY, _NOBODY)
    accepted = {address: outcome for address, outcome in outcomes.items() if outcome.state is State.ACCEPTED}
    refused = {address: outcome for address, outcome in outcomes.items() if outcome.state is State.REFUSED}
    if len(accepted) == len(outcomes) or len(refused) == len(outcomes):
        return Answer(first, {}, {})
    if not accepted:
        later = next(
            outcome.reply for outcome in outcomes.values() if outcome.state not in (State.ACCEPTED, State.REFUSED)
        )
        return Answer(later, {}, {})
    return Answer(
        PARTLY,
        {address: outcome.reply.text for address, outcome in accepted.items()},
        {
            address: f"{outcome.reply.code} {outcome.reply.enhanced} {outcome.reply.text}"
            for address, outcome in refused.items()
        },
    )
