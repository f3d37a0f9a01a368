"""`mpp settings show|check|example|docs`: what holds and where it comes from, what is wrong, what there is to set."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mpp.cli.errors import fail
from mpp.cli.options import DEFAULT_FILE, JsonOption, SettingsOption, load_file

if TYPE_CHECKING:
    from mpp.gateway.settings import Settings
    from mpp.settings.read import Loaded

app = typer.Typer(
    name="settings", help="Show, check and explain the settings.", no_args_is_help=True, rich_markup_mode=None
)

Direction = Literal["inbound", "outbound", "internal"]

EXAMPLE_OPENING = (
    "Settings of MPP. Everything here is a comment: a line that begins with # and no space shows a setting with its "
    "default, or an example where there is none. Take the # away to change it, and check the file with "
    "`mpp settings check FILE` before you reload."
)
DOCS_OPENING = """# Settings

Made from the model by `mpp settings docs`; do not edit it here. One TOML file holds everything: `mpp serve --settings
FILE`, by default `mpp.toml` in the working folder. `mpp settings example` prints a commented file, `mpp settings check
FILE` says what is wrong with one, `mpp settings show` which values hold and where each comes from.

Sizes are octets or texts such as `"50 MiB"`, durations seconds or texts such as `"45s"`, `"5m"`, `"4h"`. Addresses are
`"HOST:PORT"`, `"[IPv6]:PORT"` or `"unix:PATH"`, with `lmtp:` before them where LMTP is spoken."""


@app.command()
def show(
    settings: SettingsOption = None,
    recipient: Annotated[
        str, typer.Option("--for", metavar="RECIPIENT", help="As they hold for this address, with level and revision.")
    ] = "",
    listener: Annotated[str, typer.Option("--listener", metavar="NAME", help="With --for: for mail by this one.")] = "",
    direction: Annotated[Direction, typer.Option("--direction", help="With --for: of this way.")] = "inbound",
    as_json: JsonOption = False,
) -> None:
    """Show the values that hold, each with the line of the file it comes from, or "default"."""
    from mpp.cli.personal import show_for
    from mpp.mail.escape import printable
    from mpp.settings.effective import effective
    from mpp.settings.problem import dotted
    from mpp.settings.write import toml_value

    loaded = _load(settings)
    if recipient:
        show_for(loaded.settings, recipient, listener, direction, as_json=as_json)
        return
    for path, value in effective(loaded.settings):
        line = loaded.lines.get(path)
        if as_json:
            place = {"file": loaded.name if line else None, "line": line}
            typer.echo(json.dumps({"key": dotted(path), "value": value, **place}))
            continue
        shown = "(not set)" if value is None else printable(toml_value(value))
        typer.echo(f"{dotted(path)} = {shown}  # {f'{loaded.name}:{line}' if line else 'default'}")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The settings file to check.")] = DEFAULT_FILE,
    as_json: JsonOption = False,
) -> None:
    """Check a settings file: every fault with its line, in one go. Exit 1 if there is an error."""
    from mpp.cli.check import json_lines
    from mpp.gateway.load import load_settings
    from mpp.settings.problem import SettingsError

    try:
        loaded = load_settings(file)
    except SettingsError as error:
        if as_json and error.problems:
            json_lines(error.problems, str(file), error.at)
            raise typer.Exit(1) from None
        fail(str(error))
    if as_json:
        json_lines(loaded.problems, loaded.name, loaded.lines)
        return
    for warning in loaded.warnings:
        typer.echo(warning, err=True)
    typer.echo(f"{loaded.name}: settings hold")


@app.command()
def example() -> None:
    """Print a commented example file with every setting and its default."""
    from mpp.gateway.settings import Settings
    from mpp.settings.example import example

    typer.echo(example(Settings, EXAMPLE_OPENING), nl=False)


@app.command()
def docs() -> None:
    """Print the reference page of all settings (Markdown)."""
    typer.echo(reference_page(), nl=False)


def reference_page() -> str:
    """Return the text of docs/settings.md."""
    from mpp.gateway.settings import Settings
    from mpp.settings.example import reference

    return reference(Settings, DOCS_OPENING)


def _load(file: Path | None) -> "Loaded[Settings]":
    """Return the file's settings, or the defaults where there is none."""
    from mpp.gateway.settings import Settings
    from mpp.settings.read import Loaded

    path = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    return load_file(path) if path else Loaded(Settings(), "")
