"""What one check saw in a message, and the classes that a verdict is made of (design: words)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from mpp.mail.edits import Edit

# Symbols with a meaning of their own. They carry no score and are no test of a message.
NO_SCANNER = "no-scanner"  # nothing is set up that could look
SCANNER_FAILED = "scanner-failed"  # no server gave an answer; `failure` says what that means
TOO_LARGE = "too-large"  # not given to the scanner because of its size
NOT_COUNTED = "not-counted"  # an entry of a list fits and nothing proves the sender
VIRUS_SCANNED = "virus-scanned"  # a virus scanner gave an answer, whatever it was: X-Virus-Scanned may be put
SPAM_SCANNED = "spam-scanned"  # a spam scanner gave an answer, maybe without a single test: the score counts as known
SPARED = "scanner-spared"  # not given to a scanner that crashed or stalled over it before
NOT_ASKED = "not-asked"  # a layer's condition, or what was found before, made the check needless
NOTES = frozenset({NO_SCANNER, SCANNER_FAILED, TOO_LARGE, NOT_COUNTED, VIRUS_SCANNED, SPAM_SCANNED, SPARED, NOT_ASKED})


class Verdict(StrEnum):
    """The class of a message; where several hold the first in this order wins."""

    VIRUS = "virus"
    BANNED = "banned"
    UNCHECKED = "unchecked"
    FORGED_BOUNCE = "forged-bounce"
    SPAM = "spam"
    CLEAN = "clean"


class Listed(StrEnum):
    """A list of the recipient's holds for the mail: see mpp.verdict.lists."""

    ALLOW = "allow"
    BLOCK = "block"


class OnFailure(StrEnum):
    """What the failure of a scanner means. It is never a verdict."""

    DEFER = "defer"
    CONTINUE = "continue"
    QUARANTINE = "quarantine"


class Counts(StrEnum):
    """How far a finding has a say; what limits it names itself in `Finding.limit`."""

    FULL = "full"
    MARKS = "marks"  # points, virus and banned: for the marks alone, for nothing that withholds the mail
    NOTHING = "nothing"  # recorded, and that is all


class Act(StrEnum):
    """What a rule of the operator does with a message. The first five are fates, in the order in which they go first."""

    REJECT = "reject"
    QUARANTINE = "quarantine"
    DISCARD = "discard"
    REDIRECT = "redirect"
    ACCEPT = "accept"  # the score decides nothing, and no spam scanner is asked; a virus is one all the same
    COPY = "copy"
    MARK = "mark"
    HEADER = "header"
    PREPEND = "prepend"
    EDIT = "edit"
    STRIP = "strip"  # puts something else in the place of an attachment; the message as it came is held too
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a rule that held: what it puts in is filled in already, outside text in it is escaped."""

    act: Act
    rule: str  # the settings key: "filters.pills"
    value: str = ""  # text of the refusal, address, mark, "Name: value"
    edit: Edit | None = None


class Finding(NamedTuple):
    """One thing that one check saw.

    `verdict` is set where the finding alone puts the message into a class (virus, banned, unchecked);
    a score finding has none. `failure` is set where the scanner gave no answer: `evidence` names the server and the
    cause. `recipients` limits a finding to some recipients (spamd asked with a user); empty means all.
    `listed` is set where an entry of a list holds; it is above the score, and below virus and banned.
    `refusal` is a reply that the finding's own setting asks for, "552 5.3.4 ..." for "too large to scan"; 4xx defers.
    `actions` are those of a rule of the content filter that held.
    `counts` says how far it has a say, and `limit` what keeps it from having all: "votes.two-of-three".
    """

    check: str  # name of the check or scanner: "spamd", "clamd"
    symbol: str  # "BAYES_99", "Eicar-Test-Signature", or one of NOTES
    score: float = 0.0  # SpamAssassin points; negative speaks for the mail
    text: str = ""  # plain language, for people; may hold outside text: escape where shown
    evidence: str = ""
    verdict: Verdict | None = None
    failure: OnFailure | None = None
    listed: Listed | None = None
    recipients: frozenset[str] = frozenset()
    refusal: str = ""
    counts: Counts = Counts.FULL
    limit: str = ""
    actions: tuple[Action, ...] = ()
