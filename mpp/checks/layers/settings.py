"""The settings of layers and voting rules."""

from typing import Literal

from pydantic import Field

from mpp.settings.model import Section
from mpp.settings.values import Name, Size, Threshold


class Layer(Section):
    """Scanners that are asked at the same time. Layers run in the order of the file; without any, each scanner's `layer` counts."""

    name: Name = Field(examples=["doubtful"], description="Its name in findings and logs")
    scanners: tuple[Name, ...] = Field(
        min_length=1, examples=[["spamd"]], description="Names of its scanners; each stands in exactly one layer"
    )
    size_from: Size = Field(0, ge=0, description="Only messages of at least so many octets")
    size_below: Size | None = Field(None, gt=0, examples=["10 MiB"], description="Only messages of fewer octets")
    direction: Literal["any", "inbound", "outbound", "internal"] = Field("any", description="Only mail of this way")
    policies: tuple[Name, ...] = Field(
        (), description="Only where one of these policies holds for a recipient; none: any"
    )
    attachment: Literal["any", "with", "without"] = Field("any", description="Only mail with, or without, attachments")
    score_from: float | None = Field(
        None, examples=[2.0], description="Only where the layers before gave at least this score"
    )
    score_below: float | None = Field(None, examples=[10.0], description="Only where they gave less than this score")
    stop_virus: bool = Field(
        True, description="A virus or banned content here ends the layers; false: later ones run for the full report"
    )
    stop_spam: Threshold = Field(
        None,
        description="From this score on later spam scanners are not asked: sure spam (points that only mark apart)",
    )
    stop_ham: tuple[str, ...] = Field(
        (),
        examples=[["RCVD_IN_DNSWL_HI"]],
        description="Symbols (* stands for any letters) after which later spam scanners are not asked: sure ham",
    )


class Vote(Section):
    """A voting rule: what these scanners find counts fully only where enough of the voters found it."""

    name: Name = Field(examples=["two-of-three"], description="Its name in findings: votes.NAME")
    of: Literal["virus", "spam"] = Field("virus", description="What is voted on: virus (and banned content), or spam")
    scanners: tuple[Name, ...] = Field(
        min_length=1, examples=[["clamd", "icap", "command"]], description="Whose findings it is about"
    )
    voters: tuple[Name, ...] = Field((), description="Who votes; none: the scanners themselves")
    needed: int = Field(2, ge=1, description="So many voters must have found it")
    spam_from: float = Field(5.0, description="A voter says spam from this sum of its points on (of = spam)")
    otherwise: Literal["mark", "ignore"] = Field(
        "mark", description="What the findings do where too few agree: only mark, or nothing"
    )
