"""Writes settings as TOML: what `--print-settings` prints and `settings.good.toml` holds.

Reading it gives the same value.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mpp.settings.model import Section


def write(settings: Section) -> str:
    """Return the TOML text of a section: only what differs from the defaults, in the model's order."""
    return "\n".join(_table((), settings.model_dump(mode="json", exclude_defaults=True))).lstrip("\n") + "\n"


def toml_value(value: Any) -> str:
    """Return one value on one line: text, number, true or false, list, inline table. Raises TypeError for another."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml_value(inner)}" for key, inner in value.items()) + " }"
    raise TypeError(f"TOML has no {type(value).__name__}")


def toml_key(key: str) -> str:
    """Return a key, in quotes where it needs them."""
    return key if key.isascii() and key.replace("-", "_").isidentifier() else toml_value(key)


def _table(path: tuple[str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a table: its plain values first, since what follows a header belongs to that header."""
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping) or _is_tables(value)}
    for key, value in values.items():
        if key not in tables and value is not None:
            yield f"{toml_key(key)} = {toml_value(value)}"
    for key, value in tables.items():
        inner_path = (*path, toml_key(key))
        header = ".".join(inner_path)
        if isinstance(value, Mapping):
            yield from ("", f"[{header}]", *_table(inner_path, value))
            continue
        for item in value:
            yield from ("", f"[[{header}]]", *_table(inner_path, item))


def _is_tables(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, Mapping) for item in value)
