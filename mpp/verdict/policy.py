"""Policies: named thresholds and actions, given to domains or recipients (design: words)."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mpp.settings.model import Section
from mpp.settings.values import Duration, Threshold, Recipient

_PLACEHOLDERS = {"id", "reason", "contact"}


def _reply_text(text: str) -> str:
    """A brace is a placeholder's and nothing else: the text is filled in with str.format by the decision."""
    names = re.findall(r"\{(\w*)\}", text)
    unknown = [name for name in names if name not in _PLACEHOLDERS]
    if unknown or re.search(r"[{}]", re.sub(r"\{\w*\}", "", text)):
        raise ValueError("has a brace that is no placeholder; there are {id}, {reason} and {contact}")
    if not text.strip():
        raise ValueError("is empty; write what the sender is to read")
    return text


ReplyText = Annotated[str, AfterValidator(_reply_text)]


class Policy(Section):
    """One named policy. A score equal to a threshold reaches it; "off" (None) switches a threshold off."""

    tag_above: Threshold = Field(
        2.0, description="From this score on the X-Spam-Status and X-Spam-Level fields are put (sa_tag_level)"
    )
    mark_above: Threshold = Field(
        6.2,
        description="From this score on the mail counts as spam: X-Spam-Flag: YES and the subject mark (sa_tag2_level)",
    )
    reject_above: Threshold = Field(15.0, description="From this score on the mail is refused (sa_kill_level)")
    discard_above: Threshold = Field(
        None,
        description="From this score on the mail is accepted and thrown away, logged by the name of this rule",
    )
    subject_mark: str = Field("***SPAM*** ", description="Put before the subject of spam, once; empty: no mark")
    report: bool = Field(False, description="Put X-Spam-Report, the score of each symbol, into spam")
    virus: Literal["reject", "discard"] = Field("reject", description="What becomes of a virus")
    banned: Literal["reject", "discard"] = Field("reject", description="What becomes of banned content")
    unchecked: Literal["deliver", "reject", "defer"] = Field(
        "deliver",
        description="What becomes of a message that could not be looked into (encrypted, over a scanner's limit)",
    )
    unchecked_mark: str = Field(
        "***UNCHECKED*** ", description="Put before the subject of an unchecked message, once; empty: no mark"
    )
    spam_text: ReplyText = Field(
        "Message refused as spam, contact {contact}, id {id}",
        description="Text of the refusal of spam; {id}, {reason} and {contact} are filled in",
    )
    virus_text: ReplyText = Field(
        "Message refused, it contains a virus ({reason}), id {id}", description="Text of the refusal of a virus"
    )
    banned_text: ReplyText = Field(
        "Message refused, content not allowed here ({reason}), id {id}",
        description="Text of the refusal of banned content",
    )
    unchecked_text: ReplyText = Field(
        "Message refused, it could not be checked ({reason}), id {id}",
        description="Text of the refusal of what could not be looked into",
    )
    defer_text: ReplyText = Field(
        "Message could not be checked now, please try again later, id {id}",
        description="Text of a 451 when a scanner failed",
    )


class PolicyRule(Section):
    """Which policy holds for whom. The first rule that fits wins; where none fits, the policy `default`."""

    policy: str = Field(description="Name of the policy that holds", examples=["strict"])
    listeners: tuple[str, ...] = Field((), description="Names of listeners; none: any")
    recipients: tuple[Recipient, ...] = Field(
        (), description='"user@example.org", "example.org", ".example.org" with subdomains; none: any'
    )
    direction: Literal["any", "inbound", "outbound", "internal"] = Field("any", description="Way of the mail")


class Marks(Section):
    """Header fields that we put, for recipients of our own domains only."""

    spam: bool = Field(True, description="Put X-Spam-Flag, -Score, -Level and -Status")
    virus_scanned: str = Field(
        "MPP at {hostname}", description="Value of X-Virus-Scanned where a virus scanner looked; empty: not put"
    )
    always: bool = Field(False, description="Put X-Spam-Status and -Score below tag_above too")
    remove: tuple[str, ...] = Field(
        ("X-Spam-*", "X-Virus-*", "X-Quarantine-ID"),
        description="Top-level fields removed from outside mail; Authentication-Results bearing our name always go",
    )


class DeferralEnd(Section):
    """When a message that a failed scanner holds back goes another way: both must be reached."""

    after: Duration = Field(4 * 3600.0, gt=0, description="Deferred by a scanner's failure for so long ...")
    times: int = Field(3, ge=1, description="... and at least so many times: the scanner's second action holds")
