"""The settings of campaign memory."""

from pydantic import Field

from mpp.settings.model import Section
from mpp.settings.values import Duration


class Campaigns(Section):
    """Content that the scanners found to be spam again and again is decided without them. Ham is never decided so."""

    on: bool = Field(True, description="false: every message goes to the spam scanners")
    envelopes: int = Field(
        4, ge=2, le=32, description="So many messages of different envelopes must have been found spam by the scanners"
    )
    within: Duration = Field(1800.0, ge=60, le=86400, description="... the last of them so long ago at most")
    recheck: int = Field(
        10, ge=2, le=1000, description="Every so manieth message of a campaign goes to the scanners all the same"
    )
    ham_for: Duration = Field(
        7200.0, ge=60, le=604800, description="Content once found to be ham is not decided by memory for so long"
    )
