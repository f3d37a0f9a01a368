"""The settings of a pool of scanners."""

from typing import Literal

from pydantic import Field

from mpp.settings.model import Section
from mpp.settings.values import Duration, Name, Server, Size
from mpp.verdict.finding import OnFailure


class Scanner(Section):
    """One pool: servers of one kind that do the same job."""

    name: Name = Field(examples=["spamd"], description="Its name in findings, logs and metrics")
    kind: Literal["spamd", "clamd"] = Field(examples=["spamd"], description="What is spoken")
    servers: tuple[Server, ...] = Field(
        min_length=1,
        examples=[["127.0.0.1:783"]],
        description='"HOST:PORT", "[IPv6]:PORT", "unix:PATH", "tls:HOST:PORT" (spamd); used in turn',
    )
    layer: int | None = Field(
        None,
        examples=[3],
        ge=1,
        le=9,
        description="Layers run in order, lower first; default 2 for virus, 3 for spam scanners",
    )
    connections: int = Field(4, ge=1, le=512, description="Messages given to one server at a time by each worker")
    timeout: Duration = Field(40.0, gt=0, description="Time for one answer")
    connect_timeout: Duration = Field(3.0, gt=0, description="Time for one connect")
    on_failure: OnFailure | None = Field(
        None,
        examples=["continue"],
        description="defer, continue or quarantine when no server answers; default defer for clamd, continue for spamd",
    )
    on_oversize: Literal["continue", "reject", "defer"] | None = Field(
        None,
        examples=["continue"],
        description="What a message over max_size means; default continue for spamd, reject (552) for clamd",
    )
    max_size: Size | None = Field(
        None,
        ge=1024,
        examples=["512 KiB"],
        description="Largest message given to it; default 512 KiB for spamd, 25 MiB for clamd (its StreamMaxLength)",
    )
    verify: bool = Field(True, description="Verify the certificate of tls: servers")
    user: Literal["none", "recipient", "domain", "fixed"] = Field(
        "none", description="spamd's User: whose preferences hold; recipient and domain ask once for each"
    )
    user_name: str = Field("", pattern=r"^[!-~]{0,320}$", description="The name for user = fixed")
    spam_signatures: tuple[str, ...] = Field(
        (
            "PUA.*",
            "Heuristics.Phishing*",
            "Sanesecurity.*",
            "winnow.*",
            "SecuriteInfo.com.Spam*",
            "MBL_*",
            "Doppelstern.*",
            "INetMsg.*",
            "ScamNailer.*",
            "Porcupine.*",
            "Phishing*",
            "*.UNOFFICIAL.Spam*",
        ),
        description="clamd names that are a spam score instead of a virus",
    )
    spam_signature_score: float = Field(5.0, description="The score of such a name")
    unchecked_signatures: tuple[str, ...] = Field(
        ("Heuristics.Encrypted.*", "*.Limits.Exceeded*"), description="clamd names that mean: could not be looked into"
    )
