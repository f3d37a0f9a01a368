"""Every value that holds, flat, with the path by which a file's line for it is found."""

from collections.abc import Iterator, Mapping
from typing import Any

from mpp.settings.model import Section
from mpp.settings.problem import Path


def effective(settings: Section) -> Iterator[tuple[Path, Any]]:
    """Yield (path, plain value) of each key in the model's order; tables are walked into, empty ones left out."""
    yield from _walk((), settings.model_dump(mode="json"))


def _walk(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk((*path, key), inner)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value):
            yield from _walk((*path, number), item)
    else:
        yield path, value
