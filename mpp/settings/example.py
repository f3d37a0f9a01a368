"""The commented example file and the reference page, made from the model: nothing in them is written by hand.

In the example every setting stands behind a bare `#`, text behind `# `: taking the bare ones away gives a file that
reads back to the defaults, with one of each table that may be repeated.
"""

import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from mpp.settings.explain import Key, keys, kind_of
from mpp.settings.model import Section
from mpp.settings.write import toml_key, toml_value

NAME = "default"  # of the one example in a table of named tables


def example(model: type[Section], opening: str) -> str:
    """Return an example settings file: every key with its description, type, bounds and default."""
    return "\n".join([*_comment(opening), *_table(model, "")]) + "\n"


def reference(model: type[Section], opening: str) -> str:
    """Return the reference page (Markdown): a heading for each table, a row for each key."""
    return "\n".join([opening, *_page(model, "")]) + "\n"


def default_text(key: Key, model: type[Section]) -> str:
    """Return the default as the file would have it, "" where there is none to write."""
    if key.required or key.sections:
        return ""
    plain = _plain(key.name, key.default, model)
    return "" if plain is None else toml_value(plain)


def _plain(name: str, value: Any, model: type[Section]) -> Any:
    """A value of a field as a file has it: sizes and durations with their units."""
    adapter: TypeAdapter[Any] = TypeAdapter(dict[str, Any])
    dumped = model.model_construct(**{name: value}).model_dump(mode="json", include={name}, warnings=False)
    return adapter.validate_python(dumped)[name]


def _table(model: type[Section], path: str) -> Iterator[str]:
    described = list(keys(model))
    for key in described:
        if not key.sections:
            yield from ("", *_comment(_about(key)), _setting(key, model))
    for key in described:
        inner = f"{path}{toml_key(key.name)}" + (f".{NAME}" if key.many == "table" else "")
        header = f"#[[{inner}]]" if key.many == "list" else f"#[{inner}]"
        for section in key.sections:
            about = _many(key) + _doc(section)
            yield from ("", "", *_comment(about), header, *_table(section, f"{inner}."))


def _setting(key: Key, model: type[Section]) -> str:
    default = default_text(key, model)
    if default:
        return f"#{toml_key(key.name)} = {default}"
    shown = f"{toml_key(key.name)} = {toml_value(key.example)}"
    return f"#{shown}" if key.required else f"#   {shown}"


def _about(key: Key) -> str:
    kind = key.kind + (f", {key.bounds}" if key.bounds else "")
    need = " Required." if key.required else "" if key.default is not None or "off" in key.kind else " Not set."
    return f"{key.description} ({kind}).{need}"


def _many(key: Key) -> str:
    return {"list": "May be repeated. ", "table": "One table a name. ", "": ""}[key.many]


def _doc(section: type[Section]) -> str:
    return " ".join((section.__doc__ or "").split())


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False)]


def _page(model: type[Section], path: str) -> Iterator[str]:
    described = list(keys(model))
    plain = [key for key in described if not key.sections]
    if plain:
        yield from ("", "| key | type | default | meaning |", "|---|---|---|---|")
        yield from (_row(key, model) for key in plain)
    for key in described:
        inner = f"{path}{key.name}" + (".NAME" if key.many == "table" else "")
        header = f"`[[{inner}]]`" if key.many == "list" else f"`[{inner}]`"
        for section in key.sections:
            title = f"## {header}" + (f" of kind {kind_of(section)}" if len(key.sections) > 1 else "")
            yield from ("", title, "", _many(key) + _doc(section))
            yield from _page(section, f"{inner}.")


def _row(key: Key, model: type[Section]) -> str:
    default = default_text(key, model)
    shown = f"`{default}`" if default else "required" if key.required else ""
    kind = key.kind + (f", {key.bounds}" if key.bounds else "")
    cells = (f"`{key.name}`", kind, shown, key.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
