"""Reads a settings file into a typed value, or says in one go everything that is wrong with it, line by line.

Called at start, at reload and by `mpp settings check` (through mpp.gateway.load). Nothing is read from the file
system here. Values are taken strictly: a number in quotes is a text, and `1` is not `true`.
"""

import copy
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from mpp.mail.escape import printable
from mpp.settings.explain import problems_of
from mpp.settings.model import Section
from mpp.settings.positions import positions
from mpp.settings.problem import Lines, Path, Problem, Rule, SettingsError, report

__all__ = ["Loaded", "SettingsError", "examine", "load"]

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """Settings that hold, with what is odd about them."""

    settings: S
    name: str  # of the file, as it stands in messages
    warnings: tuple[str, ...] = ()  # a line each
    problems: tuple[Problem, ...] = ()  # the same as values
    lines: Lines = field(default_factory=dict)  # of every key that the file has


def load(text: str, name: str, model: type[S], rules: Sequence[Rule] = ()) -> Loaded[S]:
    """Return the settings of a TOML text. Raises SettingsError with a line for each fault, sorted by line."""
    values, lines = _parse(text, name)
    settings, problems = examine(values, model, rules)
    told = report(problems, name, lines)
    if settings is None:
        raise SettingsError(told, problems, lines)
    return Loaded(settings, name, tuple(told), tuple(problems), lines)


def examine(values: Mapping[str, Any], model: type[S], rules: Sequence[Rule] = ()) -> tuple[S | None, list[Problem]]:
    """Return the settings, None where there is an error, and all problems.

    Where the model refuses values, the rules look at what is left without them, and what they say of a table that lost
    one is kept back: it might not hold once that value is mended.
    """
    problems = list(_dates(values, ()))
    if problems:
        return None, problems
    try:
        settings = model.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        problems = list(problems_of(error, model, values))
        return None, problems + _of_the_rest(values, model, rules, [problem.path for problem in problems])
    problems = [problem for rule in rules for problem in rule(settings)]
    if any(problem.severity == "error" for problem in problems):
        return None, problems
    return settings, problems


def _of_the_rest(
    values: Mapping[str, Any], model: type[S], rules: Sequence[Rule], refused: Sequence[Path]
) -> list[Problem]:
    """Return what the rules say of the values without those that were refused."""
    rest: dict[str, Any] = copy.deepcopy(dict(values))
    for path in refused:
        _take_out(rest, path)
    try:
        settings = model.model_validate_json(json.dumps(rest), strict=True)
    except ValidationError:
        return []  # something needed is missing now: nothing can be said before that is mended
    hurt = {path[:-1] for path in refused}
    found = [problem for rule in rules for problem in rule(settings)]
    return [problem for problem in found if not any(problem.path[: len(table)] == table for table in hurt if table)]


def _take_out(values: dict[str, Any], path: Path) -> None:
    """Take the innermost key on the path out of its table; positions in lists stay as they are."""
    table: Any = values
    holder, key = values, path[0] if path else ""
    for step in path:
        if isinstance(table, dict):
            holder, key = table, step
            table = table.get(step)
        elif isinstance(table, list) and isinstance(step, int) and step < len(table):
            table = table[step]
    holder.pop(str(key), None)


def _parse(text: str, name: str) -> tuple[dict[str, Any], Lines]:
    try:
        return tomllib.loads(text), positions(text)
    except tomllib.TOMLDecodeError as error:
        message, line = _place(str(error), text)
        raise SettingsError(
            [f"{name}:{line}: is no TOML: {printable(message)}; write it as in `mpp settings example`"]
        ) from None
    except RecursionError:
        raise SettingsError(
            [f"{name}:1: lists or tables are nested too deeply; no setting needs more than four levels"]
        ) from None


def _place(message: str, text: str) -> tuple[str, int]:
    """Split tomllib's message into what and line: `... (at line 3, column 5)` or `... (at end of document)`."""
    what, _, place = message.rpartition(" (at ")
    if place.startswith("line "):
        return what, int(place[5:].partition(",")[0])
    return what or message, text.count("\n", 0, len(text.rstrip())) + 1


def _dates(value: object, path: Path) -> Iterator[Problem]:
    """TOML has dates and times, no setting takes one, and JSON could not carry it to the model."""
    if isinstance(value, (date, datetime, time)):
        yield Problem(
            path, f"is a date or time ({value}), which no setting takes", "write a text in quotes or a number"
        )
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _dates(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _dates(inner, (*path, number))
