"""What a bench found: rows with a target, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One number. `met` is None where there is no target, or nothing was measured."""

    name: str
    measured: str
    target: str = ""
    met: bool | None = None
    values: dict[str, object] = field(default_factory=dict)  # what --json shows beside it

    @property
    def judged(self) -> str:
        return "-" if self.met is None else "ok" if self.met else "missed"


def at_most(name: str, value: float, limit: float, unit: str, **values: object) -> Row:
    return Row(name, f"{short(value)} {unit}", f"<= {short(limit)} {unit}", value <= limit, {"value": value, **values})


def at_least(name: str, samples: Sequence[float], limit: float, unit: str, **values: object) -> Row:
    """A ratio measured pair by pair; its median is judged."""
    value = median(samples)
    spread = f"{short(value)} {unit} ({short(min(samples))} to {short(max(samples))})"
    return Row(
        name, spread, f">= {short(limit)} {unit}", value >= limit, {"value": value, "pairs": list(samples), **values}
    )


def short(value: float) -> str:
    """Three figures that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: Sequence[Row]) -> str:
    lines = [("name", "measured", "target", "")] + [(row.name, row.measured, row.target, row.judged) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) + f"  {line[3]}"
        for line in lines
    )
