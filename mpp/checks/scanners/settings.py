"""The settings that scanners share: a base for virus scanners, one for spam scanners, one for those that are servers.

A kind of scanner is one model on these bases (mpp.checks.scanners.kinds has ours); it makes its own running check.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from mpp.checks.layers.scale import ScalePoint, scale_problems
from mpp.net.pool.asking import Strategy
from mpp.settings.model import Section
from mpp.settings.problem import Path, Problem
from mpp.settings.values import Duration, Name, Server, Size
from mpp.verdict.finding import OnFailure

if TYPE_CHECKING:
    from mpp.checks.layers.judge import Check
    from mpp.checks.scanners.scanner import Tools

OnOversize = Literal["continue", "reject", "defer"]


def _layer(default: int) -> Any:
    return Field(default, ge=1, le=9, description="Layers run in order, lower first")


def _on_failure(default: OnFailure) -> Any:
    return Field(default, description="What it means when no answer came: defer, continue without, or quarantine")


def _on_oversize(default: OnOversize) -> Any:
    return Field(default, description="What a message over max_size means: continue without, reject (552), or defer")


def _max_size(default: int) -> Any:
    return Field(default, ge=1024, description="Largest message given to it")


class Scanner(Section):
    """The base of every kind: what layers, verdict and rules know of a scanner."""

    name: Name = Field(examples=["scanner"], description="Its name in findings, logs and metrics")
    kind: str = Field(description="What it is and what is spoken")
    layer: int = _layer(2)
    timeout: Duration = Field(40.0, gt=0, description="Time for one answer")
    on_failure: OnFailure = _on_failure(OnFailure.DEFER)
    on_oversize: OnOversize = _on_oversize("reject")
    max_size: Size = _max_size(25 << 20)
    weight: float = Field(1.0, gt=0, le=100, description="What a point of it counts on the scale of the policies")
    scale: tuple[ScalePoint, ...] = Field(
        (),
        examples=[["0 = 0", "6 = 4", "15 = 15"]],
        description="A table in place of weight: its sum of points, ascending, and what that counts; between them by the line",
    )
    shadow: bool = Field(False, description="It runs and is recorded, and what it finds does not count")

    def check(self, tools: "Tools") -> "Check":
        """Return the running check. Called within the loop. Raises OSError for what it cannot load."""
        raise NotImplementedError

    def problems(self, path: Path) -> Iterator[Problem]:
        """What these settings say against themselves; `path` is where they stand."""
        yield from scale_problems(path, self.weight, self.scale)


class VirusScanner(Scanner):
    """A scanner without which nothing is to pass."""


class Signatures(VirusScanner):
    """A virus scanner that names what it found."""

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
        description="Names that are a spam score instead of a virus",
    )
    spam_signature_score: float = Field(5.0, description="The score of such a name")
    unchecked_signatures: tuple[str, ...] = Field(
        ("Heuristics.Encrypted.*", "*.Limits.Exceeded*"), description="Names that mean: could not be looked into"
    )


class SpamScanner(Scanner):
    """A scanner that gives scores, and without which mail goes on."""

    layer: int = _layer(3)
    on_failure: OnFailure = _on_failure(OnFailure.CONTINUE)
    on_oversize: OnOversize = _on_oversize("continue")
    max_size: Size = _max_size(512 << 10)


class Served(Scanner):
    """A pool: servers that do the same job."""

    speaks_tls: ClassVar[bool] = True

    servers: tuple[Server, ...] = Field(
        min_length=1,
        examples=[["127.0.0.1:783"]],
        description='"HOST:PORT", "[IPv6]:PORT", "unix:PATH", "tls:HOST:PORT"; each address of a name is a server',
    )
    connections: int = Field(
        0,
        ge=0,
        le=250,
        description="Messages given to one server at a time, by all workers together: its children; 0: learned",
    )
    balance: Strategy = Field(
        "expected",
        description="Which free server is given a message: expected (soonest answer, by what was learned), weighted, round-robin, two-choices, hash-user or hash-message (the same one for the same user or message, while it has room)",
    )
    weights: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (), examples=[[1, 1, 2]], description="One for each of servers, for balance = weighted; none: all alike"
    )
    groups: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        examples=[[1, 1, 2]],
        description="One for each of servers: a higher group is used while the lower ones are busy or dead; none: one group",
    )
    connect_timeout: Duration = Field(3.0, gt=0, description="Time for one connect")
    verify: bool = Field(True, description="Verify the certificate of tls: servers")

    def problems(self, path: Path) -> Iterator[Problem]:
        yield from super().problems(path)
        for item, server in enumerate(self.servers):
            if server.startswith("tls:") and not self.speaks_tls:
                what = f"asks for TLS, which {self.kind} does not speak"
                yield Problem((*path, "servers", item), what, 'remove "tls:"')
        for key in ("weights", "groups"):
            given = len(getattr(self, key))
            if given not in (0, len(self.servers)):
                what = f"has {given} entries for {len(self.servers)} servers"
                yield Problem((*path, key), what, "write one for each server, or none")
        if self.weights and self.balance != "weighted":
            yield Problem(
                (*path, "weights"), f"has no say with balance = {self.balance}", 'write balance = "weighted"', "warning"
            )
        if self.connect_timeout > self.timeout:
            what = f"{self.connect_timeout:g} s is never reached: timeout ({self.timeout:g} s) ends it first"
            yield Problem((*path, "connect_timeout"), what, "write a shorter time", "warning")
