"""What one check saw in a message, and the classes that a verdict is made of (design: words)."""

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """The class of a message; where several hold the first in this order wins."""

    VIRUS = "virus"
    BANNED = "banned"
    UNCHECKED = "unchecked"
    FORGED_BOUNCE = "forged-bounce"
    SPAM = "spam"
    CLEAN = "clean"


class OnFailure(StrEnum):
    """What the failure of a scanner means. It is never a verdict."""

    DEFER = "defer"
    CONTINUE = "continue"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that one check saw.

    `verdict` is set where the finding alone puts the message into a class (virus, banned, unchecked);
    a score finding has none. `failure` is set where the scanner gave no answer: `evidence` names the server and the cause.
    `recipients` limits a finding to some recipients (spamd asked with a user); empty means all.
    `refusal` is a reply code and text that the finding's own setting asks for (552 for "too large to scan").
    """

    check: str  # name of the check or scanner: "spamd", "clamd"
    symbol: str  # "BAYES_99", "Eicar-Test-Signature", "no-scanner", "scanner-failed", "too-large"
    score: float = 0.0  # SpamAssassin points; negative speaks for the mail
    text: str = ""  # plain language, for people; may hold outside text: escape where shown
    evidence: str = ""
    verdict: Verdict | None = None
    failure: OnFailure | None = None
    recipients: frozenset[str] = field(default_factory=frozenset)
    refusal: str = ""
