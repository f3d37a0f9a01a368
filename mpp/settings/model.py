"""The base of every settings section: frozen, typed, unknown keys refused, each key with a sentence of documentation.

The description of a field is the comment in the example file, the manager's help and the documentation.
"""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Section(BaseModel):
    """One table of the settings file. Immutable; every field has a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _visible(cls, value: Any) -> Any:
        """No setting holds a control character: they end up in header fields, replies, paths and logs."""
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and _CONTROL.search(text):
                raise ValueError("holds a control character; remove it")
        return value
