"""The settings of the content filter: rules, and what all of them share."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from mpp.checks.content import pcre
from mpp.checks.content.ready import Names as ReadyName
from mpp.checks.content.scopes import NAMES
from mpp.checks.content.times import read_times
from mpp.settings.model import Section
from mpp.settings.values import Name, Recipient, Size
from mpp.verdict.texts import LONGEST

_FIELD = re.compile(r"[!-9;-~]{1,70}")
_HEADER = re.compile(r"[!-9;-~]{1,70}: ?\S.*")
ACTIONS = Literal[
    "score", "tag", "mark", "header", "prepend", "quarantine", "reject", "discard", "redirect", "copy", "accept", "note"
]  # fmt: skip
_NEEDS = {"score": "score", "mark": "mark", "header": "header", "prepend": "header", "redirect": "to", "copy": "to"}
TEXT_OPTIONS = pcre.MULTILINE | pcre.UTF | pcre.UCP
OCTET_OPTIONS = pcre.MULTILINE


def read_scope(value: str) -> str:
    """Return the name of a scope: one of NAMES, or "header:NAME"."""
    if value in NAMES or (value.startswith("header:") and _FIELD.fullmatch(value[7:])):
        return value
    raise ValueError(f'is no place; write one of {", ".join(NAMES)}, or "header:List-Id"')


def read_map(value: str) -> str:
    """Return a table of Postfix as it came."""
    if value and not re.fullmatch(r"(?:pcre|regexp):/.+", value):
        raise ValueError('is no table; write "pcre:/etc/postfix/header_checks" or "regexp:/..."')
    return value


Scope = Annotated[str, AfterValidator(read_scope)]


class Condition(Section):
    """One more condition of a rule."""

    where: Scope = Field(examples=["body"], description="What is looked at")
    match: tuple[str, ...] = Field((), description="PCRE patterns; one that matches is enough")
    words: tuple[str, ...] = Field((), description='Words, each with a score where "word = 2.5"; whole words only')
    words_file: str = Field("", description="File of such words, a line each; # begins a comment")
    words_above: float = Field(1.0, description="Sum of the scores of the words found from which the condition holds")
    ready: tuple[ReadyName, ...] = Field((), description="Ready-made patterns with their check digits")
    at_least: int = Field(1, ge=1, le=1000, description="How many different ones of `ready` have to be there")
    negate: bool = Field(False, description="It holds where nothing matches")
    raw: bool = Field(False, description="Look at the text as it came, hidden parts of HTML too, not normalised")
    case: bool = Field(False, description="Letter case has a say")


class Filter(Condition):
    """A rule of the content filter. Where it and its further conditions hold, its actions are taken."""

    name: Name = Field(examples=["pills"], description="Its name in findings, logs, counters and traces")
    where: Scope = Field("subject", description=f"What is looked at: {', '.join(NAMES)}, or header:NAME")
    map: Annotated[str, AfterValidator(read_map)] = Field(
        "",
        description='A table of Postfix instead of match and action, "pcre:/etc/postfix/header_checks"; followed live',
    )
    conditions: tuple[Condition, ...] = Field((), description="Further conditions")
    of: Literal["all", "any"] | int = Field("all", description="How many conditions have to hold, the first one too")
    direction: Literal["any", "inbound", "outbound", "internal"] = Field("any", description="Way of the mail")
    policies: tuple[str, ...] = Field((), description="Only for recipients with these policies; none: any")
    recipients: tuple[Recipient, ...] = Field(
        (), description='Only for these: "user@example.org", "example.org", ".example.org"; none: any'
    )
    times: tuple[str, ...] = Field((), description='When it holds, local time: "Mon-Fri 08:00-18:00"; none: always')
    action: tuple[ACTIONS, ...] = Field(("note",), description="What is done")
    score: float = Field(0.0, description="Points, in SpamAssassin's measure; negative speaks for the mail")
    mark: str = Field("", max_length=80, description="Put before the subject; $1 is what group 1 matched")
    header: str = Field("", description='Field to put, "X-Filter: $1"; `header` takes others of its name away')
    text: str = Field("", max_length=LONGEST // 2, description='Of a refusal, "550 5.7.1 No $1 here"; 4xx defers')
    to: tuple[str, ...] = Field((), description="Addresses that a redirected mail or a copy goes to")
    dry_run: bool = Field(False, description="Only count and tell what it would have done")

    @field_validator("action", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value

    @field_validator("header")
    @classmethod
    def _header_is_a_field(cls, value: str) -> str:
        if value and not _HEADER.fullmatch(value):
            raise ValueError('is no field; write "X-Filter: text"')
        return value

    @field_validator("times")
    @classmethod
    def _times_can_be_read(cls, times: tuple[str, ...]) -> tuple[str, ...]:
        for text in times:
            read_times(text)
        return times

    @field_validator("to")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            if not re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", address):
                raise ValueError('holds what is no address; write "user@example.org"')
        return value

    @model_validator(mode="after")
    def _has_what_its_actions_need(self) -> "Filter":
        if self.map and (self.match or self.conditions or self.action != ("note",)):
            raise ValueError(
                "has a map, and the map's own patterns and actions hold; remove match, conditions and action"
            )
        for action in self.action:
            needed = _NEEDS.get(action)
            if needed and not getattr(self, needed):
                raise ValueError(f'has action "{action}" and no {needed}; write {needed} = ...')
        return self


class Content(Section):
    """What all rules of the content filter share."""

    scan_size: Size = Field(1 << 20, ge=4096, le=64 << 20, description="Octets of each text of a message looked at")
    alike: Literal["mixed", "everywhere"] = Field(
        "mixed",
        description="Look-alike letters count as Latin: in words that mix scripts, or in all words",
    )
