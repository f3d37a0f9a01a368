"""Changes to a message as spans: what is not named leaves byte for byte as it came (design rule 3)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replace `length` octets at `offset` by `replacement`; length 0 inserts."""

    offset: int
    length: int
    replacement: bytes
