"""The settings of the check of a message's structure."""

from pydantic import Field

from mpp.settings.model import Section


class Structure(Section):
    """Mail whose MIME is broken so that programs see different things in it (docs/mime.md). It is looked into in every reading anyway."""

    ambiguous: bool = Field(True, description="Say so where files or text depend on who reads, with these scores")
    files_score: float = Field(
        3.0,
        ge=0,
        allow_inf_nan=False,
        description="Points where some programs see files that others do not, or with another end of their name",
    )
    text_score: float = Field(0.5, ge=0, allow_inf_nan=False, description="Points where the text alone differs")
