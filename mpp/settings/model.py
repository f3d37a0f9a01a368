"""The base of every settings section: frozen, typed, unknown keys refused, each key with a sentence of documentation.

The description of a field is the comment in the example file, the manager's help and the documentation.
"""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One table of the settings file. Immutable; every field has a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
