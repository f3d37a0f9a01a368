"""The guards of one worker: messages that scanners are spared, and symbols and scanners that only mark for now.

Called by mpp.checks.layers.judge.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mpp.checks.guards.jumps import Jumps
from mpp.checks.guards.troubles import Troubles
from mpp.verdict.finding import SPARED, Finding, OnFailure


@dataclass(frozen=True, slots=True)
class Guard:
    troubles: Troubles
    jumps: Jumps
    most: int  # troubles of a scanner with a message; then it is spared

    def instead(self, scanner: str, digest: bytes, now: float) -> Finding | None:
        """Return the finding that stands in place of a scanner which is spared this message, None where it is asked."""
        times = self.troubles.of(scanner, digest, now)
        if times < self.most:
            return None
        text = "It crashed or stalled over this message and is not given it again"
        return Finding(scanner, SPARED, text=text, evidence=f"{times} times", failure=OnFailure.QUARANTINE)

    def limited(self, findings: list[Finding]) -> list[Finding]:
        return self.jumps.limited(findings)

    def note(self, findings: Iterable[Finding], mark_above: float | None, now: float) -> None:
        self.jumps.note(findings, mark_above, now)
