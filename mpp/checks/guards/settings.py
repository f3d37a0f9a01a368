"""The settings of the guards."""

from typing import Literal

from pydantic import Field

from mpp.settings.model import Section


class Guards(Section):
    """What keeps one message from harming a scanner again and again, and one bad rule or signature from harming much mail."""

    troubles: int = Field(
        2,
        ge=2,
        le=100,
        description="A message over which a scanner crashed or stalled so often is not given to it again, but held",
    )
    demote: Literal["none", "spam", "all"] = Field(
        "spam",
        description="What only marks once its share of mail has jumped: nothing; symbols and scanners of spam; viruses too. All are reported",
    )
    jump_factor: float = Field(
        5.0, gt=1, description="A share jumps when it is so many times the usual one (until it is half of that again)"
    )
    jump_share: float = Field(0.02, gt=0, le=1, description="... and at least this part of the mail of ten minutes")
    jump_hits: int = Field(20, ge=1, description="... and so many messages of it")
    jump_after: int = Field(500, ge=1, description="Messages that must have been seen before a share counts as usual")
