"""From the outcome of each recipient to what the client is told (design section 3: several recipients, one reply).

Pure. Over LMTP each recipient has its own reply; over SMTP there is one, and once any recipient has been accepted it is
never 5xx: what the retry must know goes into the memo.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from mpp.gateway.delivery import Outcome, State
from mpp.protocols.smtp.reply import Reply

PARTLY = Reply(451, "4.3.0", "Accepted for some recipients only, please send it again for the others")
NOBODY: Mapping[str, str] = MappingProxyType({})
NOT_KEPT = Reply(452, "4.3.1", "Message cannot be kept here now, please try again later")
# What the memo keeps of recipients who have their mail begins so where something of it has still to be kept here: the archive's
# copy, or the message as it came for who got it without some of its attachments (and what has the archive's copy with it).
UNARCHIVED, UNHELD = "delivered, to be archived: ", "delivered, the original to be held: "
_DONE = (State.ACCEPTED, State.HELD, State.UNARCHIVED)  # not to be done again by a retry


class Answer(NamedTuple):
    """The one reply of SMTP, and what has to be kept for the retry before it is given."""

    reply: Reply
    accepted: Mapping[str, str]  # recipient: what the next hop said
    refused: Mapping[str, str]  # recipient: the refusal that the retry gets at RCPT


def join(outcomes: Mapping[str, Outcome]) -> Answer:
    """Join the outcomes of all recipients (at least one) into one reply."""
    first = next(iter(outcomes.values()))
    if len(outcomes) == 1 and first.state is not State.UNARCHIVED:
        return Answer(first.reply, NOBODY, NOBODY)
    done = {address: outcome for address, outcome in outcomes.items() if outcome.state in _DONE}
    refused = {address: outcome for address, outcome in outcomes.items() if outcome.state is State.REFUSED}
    lacking = any(outcome.state is State.UNARCHIVED for outcome in done.values())
    if len(refused) == len(outcomes) or (len(done) == len(outcomes) and not lacking):
        return Answer(first.reply, {}, {})
    if not done:
        later = next(outcome.reply for outcome in outcomes.values() if outcome.state is not State.REFUSED)
        return Answer(later, {}, {})
    return Answer(
        NOT_KEPT if len(done) == len(outcomes) else PARTLY,
        {address: _kept(outcome) for address, outcome in done.items()},
        {address: outcome.reply.words for address, outcome in refused.items()},
    )


def _kept(outcome: Outcome) -> str:
    return outcome.lacks or outcome.reply.text


def kept_apart(outcomes: Mapping[str, Outcome], replies: Mapping[str, Reply]) -> dict[str, str]:
    """Return, for the memo, what is done of a message that LMTP asks for again, by recipients' own replies.

    That are recipients who have it and are asked nonetheless, and everybody beside the recipients.
    """
    if not any(400 <= reply.code < 500 for reply in replies.values()):
        return {}
    return {
        address: _kept(outcome)
        for address, outcome in outcomes.items()
        if outcome.state in _DONE and (address not in replies or replies[address].code >= 400)
    }
