"""What the model says about itself, in words for the operator: its keys, types, bounds and defaults, and its refusals.

The example file, the reference page, `mpp settings show` and the error messages are all made from this.
"""

import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mpp.mail.escape import printable
from mpp.settings.model import Section
from mpp.settings.problem import Path, Problem, dotted
from mpp.settings.values import Duration, EndpointValue, Limit, NetworkValue, Size, Threshold

_NAMED = {
    id(type_): name
    for type_, name in (
        (Size, "size"),
        (Duration, "duration"),
        (NetworkValue, "network"),
        (EndpointValue, "address"),
        (Threshold, 'number or "off"'),
        (Limit, 'duration, "usual" or "off"'),
    )
}
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", FilePath: "path"}
_REFUSED = {
    "string_type": ("text", "write a text in quotes"),
    "int_type": ("whole number", "write a whole number without quotes"),
    "int_from_float": ("whole number", "write a whole number"),
    "float_type": ("number", "write a number without quotes"),
    "finite_number": ("finite number", "write a finite number"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "tuple_type": ("list", "write a list in square brackets"),
    "path_type": ("path", "write a path in quotes"),
    "dict_type": ("table", "write a table"),
    "model_type": ("table", "write a table"),
    "model_attributes_type": ("table", "write a table"),
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section, as documentation shows it."""

    name: str
    description: str
    kind: str  # "size", "one of "none", "may"", "list of network"
    bounds: str  # "1 to 256", "at least 1", ""
    required: bool
    default: Any  # as the field has it; None where required or unset
    example: Any  # a value to show where there is no default
    sections: tuple[type[Section], ...]  # of the table, list of tables or table of tables; several: one a kind
    many: Literal["", "list", "table"]  # how the sections stand in the file


def keys(model: type[Section]) -> Iterator[Key]:
    """Describe each key of a section in the model's order."""
    for name, info in model.model_fields.items():
        sections, many = _sections(info)
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        yield Key(
            name=name,
            description=info.description or "",
            kind=type_text(info),
            bounds=_bounds(info),
            required=info.is_required(),
            default=default,
            example=info.examples[0] if info.examples else None,
            sections=sections,
            many=many,
        )


def _sections(info: FieldInfo) -> tuple[tuple[type[Section], ...], Literal["", "list", "table"]]:
    annotation = info.annotation
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return (annotation,), ""
    for inner in get_args(annotation):
        found = tuple(each for each in _members(inner) if isinstance(each, type) and issubclass(each, Section))
        if found:
            return found, "table" if get_origin(annotation) is dict else "list"
    return (), ""


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types that a union told apart by its `kind` is made of; the type itself where it is none."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def kind_of(section: type[Section]) -> str:
    """Return the kind that a section is for, where its table holds several kinds; "" else."""
    info = section.model_fields.get("kind")
    names = get_args(info.annotation) if info and get_origin(info.annotation) is Literal else ()
    return str(names[0]) if len(names) == 1 else ""


def type_text(info: FieldInfo) -> str:
    """Name the type of a key in the operator's words."""
    annotation: Any = info.annotation
    if info.metadata:  # pydantic takes the parts of an Annotated type apart
        annotation = Annotated[(annotation, *info.metadata)]
    return _type_text(annotation)


def _type_text(annotation: Any) -> str:
    name = _named(annotation)
    if name:
        return name
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_text(inner[0])
    if origin is Literal:
        return "one of " + ", ".join(f'"{value}"' for value in inner)
    if origin is tuple:
        return f"list of {_type_text(inner[0])}s"
    if origin in (Union, types.UnionType):
        return " or ".join(_type_text(each) for each in inner if each is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(f'"{member.value}"' for member in annotation)
    return _PLAIN.get(annotation, "table")


def _named(annotation: Any) -> str:
    """A type of mpp.settings.values is known by the function that reads it."""
    for marker in getattr(annotation, "__metadata__", ()):
        for type_ in (Size, Duration, NetworkValue, EndpointValue, Threshold, Limit):
            if marker == get_args(type_)[1]:
                return _NAMED[id(type_)]
    return ""


def _bounds(info: FieldInfo) -> str:
    low = next((mark for mark in info.metadata if isinstance(mark, (Ge, Gt))), None)
    high = next((mark for mark in info.metadata if isinstance(mark, (Le, Lt))), None)
    words = []
    if isinstance(low, Ge):
        words.append(f"at least {_plain(low.ge)}")
    elif isinstance(low, Gt):
        words.append(f"more than {_plain(low.gt)}")
    if isinstance(high, Le):
        words.append(f"at most {_plain(high.le)}")
    elif isinstance(high, Lt):
        words.append(f"less than {_plain(high.lt)}")
    if any(isinstance(mark, MinLen) for mark in info.metadata):
        words.append("at least one")
    return ", ".join(words)


def problems_of(error: ValidationError, model: type[Section], values: Mapping[str, Any]) -> Iterator[Problem]:
    """Turn pydantic's refusals into problems in the operator's words; `values` is what was read."""
    for detail in error.errors(include_url=False):
        path = _cut(detail["loc"], values)
        yield _problem(path, detail, model, values)


def _cut(location: Sequence[str | int], values: Any) -> Path:
    """Drop what pydantic adds to a location (the kind of a table, names of union members), which is no key of the file."""
    path: list[str | int] = []
    for number, part in enumerate(location):
        is_map = isinstance(values, Mapping)
        if is_map and path and isinstance(path[-1], int) and part == values.get("kind") and number < len(location) - 1:
            continue
        is_there = is_map and part in values
        is_item = isinstance(values, list) and isinstance(part, int) and part < len(values)
        path.append(part)
        if not (is_there or is_item):
            return tuple(path) if is_map and number == len(location) - 1 else tuple(path[:-1])
        values = values[part]
    return tuple(path)


def _problem(path: Path, detail: ErrorDetails, model: type[Section], values: Mapping[str, Any]) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(path, model, values)
    if kind == "union_tag_not_found":
        return Problem((*path, "kind"), "is missing and has no default", "add it: it says which settings follow")
    if kind == "union_tag_invalid":
        return _not_one_of((*path, "kind"), context["tag"], str(context["expected_tags"]))
    if kind == "missing":
        key = next((key for key in keys(_model_at(path[:-1], model, values) or model) if key.name == path[-1]), None)
        return Problem(path, "is missing and has no default", f"add it: {key.description}" if key else "add it")
    if kind in _REFUSED:
        wanted, cure = _REFUSED[kind]
        return Problem(path, f"is {_kind_of(detail['input'])}, not a {wanted}".replace("a true", "true"), cure)
    if kind in ("literal_error", "enum"):
        return _not_one_of(path, detail["input"], str(context["expected"]))
    if kind == "value_error":
        what, _, cure = str(context["error"]).partition("; ")
        return Problem(path, f"{_shown(detail['input'])} {what}", cure or "see `mpp settings example`")
    if kind == "too_short":
        return Problem(path, "is an empty list", "name at least one")
    bound = next((word for key, word in _BOUNDS.items() if key in context), None)
    if bound:
        limit = next(context[key] for key in _BOUNDS if key in context)
        return Problem(path, f"{_shown(detail['input'])} is out of range", f"write {bound} {_plain(limit)}")
    return Problem(
        path, f"{_shown(detail['input'])} is refused: {printable(detail['msg'])}", "see `mpp settings example`"
    )


_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _unknown(path: Path, model: type[Section], values: Mapping[str, Any]) -> Problem:
    """An unknown key: of another kind, of the section that has one of that name, else the nearest one of its own."""
    section = _model_at(path[:-1], model, values)
    own = list(section.model_fields) if section else []
    table = tuple(part for part in path if not isinstance(part, int))
    elsewhere: dict[Path, str] = {}
    for place, kind in _places(model):
        if place[-1] == path[-1]:
            elsewhere.setdefault(place, kind)
    if section and elsewhere.get(table):
        what = f'is no setting of kind "{kind_of(section)}"'
        return Problem(path, what, f'remove it; kind "{elsewhere[table]}" has one of that name')
    if elsewhere:
        return Problem(path, "is no setting here", f"write it as {' or '.join(map(dotted, elsewhere))}")
    near = difflib.get_close_matches(str(path[-1]), own, 1)
    if near:
        return Problem(path, "is no setting", f'did you mean "{near[0]}"?')
    return Problem(path, "is no setting", f"remove it; there are here: {', '.join(own)}")


def _places(model: type[Section], path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Each key of the model with the kind of its table."""
    for key in keys(model):
        yield (*path, key.name), kind_of(model)
        for section in key.sections:
            yield from _places(section, (*path, key.name))


def _model_at(path: Path, model: type[Section], values: Any) -> type[Section] | None:
    """The section that a path leads to: list numbers and the names of named tables are stepped over.

    Of several the one of the kind that `values` has there; None where it has none.
    """
    sections: tuple[type[Section], ...] = (model,)
    named = False
    for part in path:
        values = values[part]  # pydantic names only what is there
        if isinstance(part, int) or named:
            named = False
        else:
            info = sections[0].model_fields.get(part) if sections else None
            sections, many = _sections(info) if info else ((), "")
            named = many == "table"
        if len(sections) > 1 and isinstance(values, Mapping):
            sections = tuple(each for each in sections if kind_of(each) == values.get("kind"))
    return sections[0] if sections else None


def _not_one_of(path: Path, value: object, expected: str) -> Problem:
    choices = expected.replace(" or ", ", ").replace("'", '"')
    near = difflib.get_close_matches(str(value), [choice.strip('"') for choice in choices.split(", ")], 1)
    cure = f'did you mean "{near[0]}"? It is one of {choices}' if near else f"write one of {choices}"
    return Problem(path, f"{_shown(value)} is not one of its values", cure)


def _plain(bound: object) -> str:
    return str(int(bound)) if isinstance(bound, float) and bound.is_integer() else str(bound)


def _shown(value: object) -> str:
    """A value of the file, short and escaped."""
    if isinstance(value, str):
        return f'"{printable(value, 60)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable(str(value), 60)


def _kind_of(value: object) -> str:
    kinds = {
        bool: f"{_shown(value)}",
        str: f"the text {_shown(value)}",
        int: f"the number {value}",
        float: f"the number {value}",
    }
    return kinds.get(type(value)) or ("a list" if isinstance(value, (list, tuple)) else "a table")
