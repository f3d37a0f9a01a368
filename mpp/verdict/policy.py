"""Policies: named thresholds and actions, given to domains or recipients (design: words)."""

import re
from typing import Literal

from pydantic import Field, field_validator

from mpp.settings.model import Section
from mpp.settings.values import Name, Recipient, Threshold
from mpp.verdict.texts import check_text

_LONGEST_MARK = 80  # characters
_GLOB = re.compile(r"[!-9;-~]{1,200}")  # a field name (RFC 5322, 2.2) in which * stands for any


class Policy(Section):
    """One named policy. A score equal to a threshold reaches it; "off" (None) switches a threshold off."""

    tag_above: Threshold = Field(
        2.0, description="From this score on the X-Spam-Status and X-Spam-Level fields are put (sa_tag_level)"
    )
    mark_above: Threshold = Field(
        6.2,
        description="From this score on the mail counts as spam: X-Spam-Flag: YES and the subject mark (sa_tag2_level)",
    )
    quarantine_above: Threshold = Field(
        None, description="From this score on the mail is held in quarantine, and accepted"
    )
    reject_above: Threshold = Field(15.0, description="From this score on the mail is refused (sa_kill_level)")
    discard_above: Threshold = Field(
        None,
        description="From this score on the mail is accepted and thrown away, logged by the name of this rule",
    )
    subject_mark: str = Field("***SPAM*** ", description="Put before the subject of spam, once; empty: no mark")
    report: bool = Field(False, description="Put X-Spam-Report, the score of each symbol, into spam")
    virus: Literal["reject", "quarantine", "discard"] = Field("reject", description="What becomes of a virus")
    banned: Literal["reject", "quarantine", "discard"] = Field("reject", description="What becomes of banned content")
    blocked: Literal["reject", "quarantine", "discard"] = Field(
        "reject", description="What becomes of mail that a list blocks"
    )
    unchecked: Literal["deliver", "quarantine", "reject", "defer"] = Field(
        "deliver",
        description="What becomes of a message that could not be looked into (encrypted, over a scanner's limit)",
    )
    unchecked_mark: str = Field(
        "***UNCHECKED*** ", description="Put before the subject of an unchecked message, once; empty: no mark"
    )
    archive: bool = Field(
        False, description="Keep a copy of every accepted mail in the archive, whatever else becomes of it"
    )
    spam_text: str = Field(
        "Message refused as spam, contact {contact}, id {id}",
        description="Text of the refusal of spam; {id}, {reason} and {contact} are filled in",
    )
    virus_text: str = Field(
        "Message refused, it contains a virus ({reason}), id {id}", description="Text of the refusal of a virus"
    )
    banned_text: str = Field(
        "Message refused, content not allowed here ({reason}), id {id}",
        description="Text of the refusal of banned content",
    )
    blocked_text: str = Field(
        "Message refused, its sender is not wanted here, contact {contact}, id {id}",
        description="Text of the refusal of what a list blocks",
    )
    unchecked_text: str = Field(
        "Message refused, it could not be checked ({reason}), id {id}",
        description="Text of the refusal of what could not be looked into",
    )
    defer_text: str = Field(
        "Message could not be checked now, please try again later, id {id}",
        description="Text of a 451 when a scanner failed",
    )

    @field_validator("spam_text", "virus_text", "banned_text", "blocked_text", "unchecked_text", "defer_text")
    @classmethod
    def _text_can_be_sent(cls, text: str) -> str:
        return check_text(text)

    @field_validator("subject_mark", "unchecked_mark")
    @classmethod
    def _mark_fits_a_subject(cls, mark: str) -> str:
        if not mark.isprintable() or len(mark) > _LONGEST_MARK:
            raise ValueError(f"is no mark; write at most {_LONGEST_MARK} visible characters on one line")
        return mark


class PolicyRule(Section):
    """Which policy holds for whom. The first rule that fits wins; where none fits, the policy `default`."""

    policy: str = Field(description="Name of the policy that holds", examples=["strict"])
    listeners: tuple[str, ...] = Field((), description="Names of listeners; none: any")
    recipients: tuple[Recipient, ...] = Field(
        (), description='"user@example.org", "example.org", ".example.org" with subdomains; none: any'
    )
    groups: tuple[Name, ...] = Field((), description="Names of groups; with recipients: those too; none: any")
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

    @field_validator("virus_scanned")
    @classmethod
    def _value_fits_a_field(cls, text: str) -> str:
        return check_text(text, ("hostname",))

    @field_validator("remove")
    @classmethod
    def _globs_are_field_names(cls, globs: tuple[str, ...]) -> tuple[str, ...]:
        for glob in globs:
            if not _GLOB.fullmatch(glob):
                raise ValueError('holds what is no field name; write names such as "X-Spam-*", without a colon')
        return globs
