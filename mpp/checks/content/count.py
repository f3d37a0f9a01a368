"""How often each rule held and what it cost, for `mpp filters stats`: a file for each worker, which only it writes."""

import json
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from pathlib import Path

WRITE_S = 5.0


@dataclass(slots=True)
class Line:
    """Of one rule."""

    hits: int = 0
    cost_s: float = 0.0  # its own; hyperscan's scan and the words of a text are shared by all rules of a scope
    given_up: int = 0
    last: float = 0.0  # seconds since 1970
    beaten: int = 0  # of the hits, those in which another rule went first and this one changed nothing
    by: str = ""  # the last one that did


@dataclass(slots=True)
class Count:
    messages: int = 0
    rules: dict[str, Line] = field(default_factory=dict)
    since: float = field(default_factory=time.time)
    path: Path | None = None  # written there every few seconds
    _written: float = 0.0

    def hit(self, name: str, cost_s: float) -> None:
        line = self.rules.setdefault(name, Line())
        line.hits += 1
        line.cost_s += cost_s
        line.last = time.time()

    def beat(self, name: str, by: str) -> None:
        """Of a rule that was hit: another one decided."""
        line = self.rules.setdefault(name, Line())
        line.beaten, line.by = line.beaten + 1, by

    def gave_up(self, names: Iterable[str]) -> None:
        for name in names:
            self.rules.setdefault(name, Line()).given_up += 1

    def message(self, now: float) -> None:
        """Count a message, and write where that is due; a disk that is full costs the numbers, nothing else."""
        self.messages += 1
        if self.path is not None and now - self._written >= WRITE_S:
            self._written = now
            self.write(self.path)

    def follow(self, path: Path, names: Iterable[str]) -> None:
        """Write to `path` from now on, and go on from what it holds about the rules that still exist."""
        before = _read(path)
        if before is not None:
            kept = set(names)
            self.messages, self.since = before.messages, before.since
            self.rules = {name: line for name, line in before.rules.items() if name in kept}
        self.path = path

    def write(self, path: Path) -> None:
        rules = {name: [*astuple(line)] for name, line in self.rules.items()}
        fresh = path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"since": self.since, "messages": self.messages, "rules": rules}))
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)


def read_counts(folder: Path) -> Count:
    """Return the sum over the workers' files."""
    total = Count()
    for path in sorted(folder.glob("*.json")):
        found = _read(path)
        if found is None:
            continue
        total.messages += found.messages
        total.since = min(total.since, found.since)
        for name, each in found.rules.items():
            line = total.rules.setdefault(name, Line())
            line.hits += each.hits
            line.cost_s += each.cost_s
            line.given_up += each.given_up
            line.last = max(line.last, each.last)
            line.beaten += each.beaten
            line.by = each.by or line.by
    return total


def _read(path: Path) -> Count | None:
    """Read one file; None where there is none, or none that can be read: it is written again in seconds."""
    try:
        found = json.loads(path.read_text())
        rules = {name: Line(*line) for name, line in found["rules"].items()}
        return Count(found["messages"], rules, found["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
