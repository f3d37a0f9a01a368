"""Settings of sample mails with the fate that they must have: policy as tests, run before settings are taken."""

from typing import Literal

from pydantic import Field

from mpp.settings.model import Section
from mpp.settings.values import Name


class Sample(Section):
    """A mail and what must become of it by the content filter. Settings under which it would not are refused."""

    name: Name = Field(examples=["invoice"], description="Its name in messages")
    file: str = Field(examples=["/etc/mpp/samples/invoice.eml"], description="File of the mail")
    must: Literal[
        "arrive", "arrive-unmarked", "be-marked", "be-held", "be-refused", "be-redirected", "be-discarded"
    ] = Field(examples=["arrive"], description="What must become of it")
    sender: str = Field("", description="Its reverse-path; empty: by its Return-Path or From")
    recipient: str = Field("", description="Its recipient; empty: by its Delivered-To or To")
