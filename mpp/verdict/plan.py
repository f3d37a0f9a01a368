"""What the decision says: a disposition for each recipient, with the edits for their copy and the reason in words.

Made for each message and never changed; not frozen, since that makes each cost three times as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mpp.mail.edits import Edit
from mpp.verdict.finding import Verdict


class Disposition(StrEnum):
    DELIVER = "deliver"
    TAG = "tag"
    QUARANTINE = "quarantine"
    REJECT = "reject"
    DEFER = "defer"
    DISCARD = "discard"
    REDIRECT = "redirect"


@dataclass(slots=True)
class Fate:
    """One recipient's part of the plan."""

    disposition: Disposition
    rule: str  # the settings key that decided: "policies.default.reject_above"
    reply: str = ""  # for reject, defer: "554 5.7.1 text", ASCII; {id} is left for the gateway
    edits: tuple[Edit, ...] = ()  # sorted, without overlap; for deliver and tag
    verdict: Verdict = Verdict.CLEAN  # what the findings that apply to this recipient make of the message
    score: float = 0.0  # the sum that counted for this recipient
    to: tuple[str, ...] = ()  # for redirect: who gets it instead
    copies: tuple[str, ...] = ()  # addresses that get a copy too: as it came, but for what `held_too` took out
    held_too: str = ""  # the rule that took something out: what came is held in quarantine beside what goes on


@dataclass(slots=True)
class Plan:
    verdict: Verdict  # of the message, over all recipients: the worst
    score: float  # the sum that counted, of the recipient with the highest one
    fates: Mapping[str, Fate]  # by recipient address, every recipient exactly once
    why: tuple[str, ...]  # sentences in plain language, in the order of the decision
