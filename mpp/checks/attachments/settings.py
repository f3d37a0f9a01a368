"""The settings of the attachment policy: rules, lists in the manner of amavisd, and how files are looked into."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from mpp.checks.attachments.globs import read_file_name, read_type
from mpp.checks.attachments.item import Flag
from mpp.checks.content import pcre
from mpp.settings.model import Section
from mpp.settings.values import Name, Recipient, Size
from mpp.verdict.finding import OnFailure
from mpp.verdict.texts import LONGEST, check_text

_OPTIONS = pcre.CASELESS | pcre.UTF | pcre.UCP
_ENTRY = re.compile(r"(ban|pass) +(\S.*)")
_SUFFIX = re.compile(r"[A-Za-z0-9._-]{1,30}")
Language = Literal["en", "de", "fr", "es"]


def parse_entry(value: str) -> tuple[str, str, pcre.Pattern]:
    """Return the verb of an entry of a list, "ban" or "pass", its pattern, and that compiled. Raises ValueError."""
    entry = _ENTRY.fullmatch(value)
    if entry is None:
        raise ValueError(r"is no entry; write 'ban \.exe$' or 'pass ^\.tar$'")
    text = entry[2].strip()
    try:
        return entry[1], text, pcre.Pattern(text.encode(), _OPTIONS)
    except pcre.PatternError as error:
        raise ValueError(f"{error}; mend the pattern") from None


def read_entry(value: str) -> str:
    """Return an entry of a list as it came."""
    parse_entry(value)
    return value


Type = Annotated[str, AfterValidator(read_type)]
FileName = Annotated[str, AfterValidator(read_file_name)]


class AttachmentList(Section):
    """A ban list in the manner of amavisd's banned_filename_re. A rule names it; by itself it does nothing."""

    entries: Annotated[tuple[Annotated[str, AfterValidator(read_entry)], ...], Field(min_length=1)] = Field(
        examples=[[r"ban ^\.(exe-ms|dll)$", r"pass ^\.(rpm|cpio|tar)$", r"ban .\.(pif|scr)$"]],
        description='"ban PATTERN" or "pass PATTERN" on names, types and short types (".exe") of a file and of those it '
        "lies in; the first that matches any of them decides; letter case has no say",
    )


class AttachmentRule(Section):
    """What becomes of files that are so and so. The first rule that holds for a file decides; what it does not say may be anything."""

    name: Name = Field(examples=["programs"], description="Its name in findings, traces, logs and refusals")
    types: tuple[Type, ...] = Field(
        (),
        description='Type by content: "application/x-*"; what is not let go on (allow, rename) by the type that the mail declares '
        "too; none: any",
    )
    names: tuple[FileName, ...] = Field((), description='Name, letter case has no say: "*.exe", "invoice*"; none: any')
    flags: tuple[Flag, ...] = Field((), description="What inspection says of it; one of these is enough; none: any")
    lists: tuple[Name, ...] = Field((), description="Names of lists; one that bans it is enough; none: any")
    above: Size = Field(0, ge=0, description="Only files of more octets than this")
    nested: Literal["any", "outer", "inside"] = Field(
        "any", description="outer: attached itself; inside: within an archive, a document or a mail"
    )
    senders: tuple[Recipient, ...] = Field(
        (), description='Reverse-paths: "user@example.org", "example.org", ".example.org"; none: any'
    )
    recipients: tuple[Recipient, ...] = Field((), description="Only for these recipients; none: any")
    direction: Literal["any", "inbound", "outbound", "internal"] = Field("any", description="Way of the mail")
    policies: tuple[str, ...] = Field((), description="Only for recipients with these policies; none: any")
    action: Literal[
        "allow", "note", "rename", "remove-macros", "strip", "text-only", "discard", "quarantine", "ban", "reject"
    ] = Field(
        "ban",
        description="allow: the file and all inside it pass; note: only told, and the next rules are asked; ban: what the policy's `banned` says; else what it says",
    )
    text: str = Field("", max_length=LONGEST // 2, description="Of a refusal; empty: names the file")
    reason: str = Field(
        "", max_length=200, description="Said in the note in place of the file; empty: what the rule looks for"
    )
    suffix: str = Field(".blocked", description="Put behind the name of a renamed file")

    @property
    def believes(self) -> bool:
        """True where the declared type counts too: a lie is of no use to a sender whose file does not go on."""
        return self.action not in ("allow", "rename")

    @field_validator("text")
    @classmethod
    def _text_can_be_sent(cls, text: str) -> str:
        return check_text(text)

    @field_validator("suffix")
    @classmethod
    def _suffix_is_an_end(cls, suffix: str) -> str:
        if not _SUFFIX.fullmatch(suffix):
            raise ValueError('is no end of a name; write ".blocked"')
        return suffix


class Inspection(Section):
    """How files are looked into before the rules for attachments are asked."""

    always: bool = Field(
        False, description="Look into files where no rule for attachments asks for it too: they are told in the trace"
    )
    passwords: bool = Field(
        True, description="Try encrypted archives with passwords that stand in the message's own text"
    )
    seconds: float = Field(
        10.0,
        ge=1,
        le=20,
        description="How long the files of one message may be looked into; then what is left of them is a bomb or unchecked. What takes "
        "longer than a second holds up no other mail",
    )
    unchecked: tuple[Flag, ...] = Field(
        (Flag.ENCRYPTED, Flag.DAMAGED, Flag.BOMB, Flag.UNCHECKED),
        description="What makes a message unchecked, where no rule decides about the file; the policy's `unchecked` says what then",
    )
    on_failure: OnFailure = Field(
        OnFailure.DEFER, description="Where files cannot be looked into at all, by a fault of this machine"
    )
    signed: Literal["edit", "quarantine"] = Field(
        "edit",
        description="Mail signed by S/MIME or PGP from which something is to be taken: its signature breaks; or hold it instead",
    )
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = Field(
        ("en",), description="Languages of the note that stands in place of a file, one below the other"
    )
    contact: str = Field("", max_length=200, description="Whom to ask, told in the note; empty: node.contact")
