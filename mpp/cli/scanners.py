"""`mpp scanners status|drain|undrain`: the servers of scanners as the running gateway sees them."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mpp.cli.errors import fail
from mpp.cli.options import DEFAULT_FILE, JsonOption, SettingsOption, load_file
from mpp.cli.shown import console, printable

app = typer.Typer(
    name="scanners",
    help="Look at the servers of scanners, take them out of use.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The gateway's data folder; default: the settings say.")
]
PoolArgument = Annotated[str, typer.Argument(metavar="NAME", help="The scanner's name in the settings.")]
ServerArgument = Annotated[str, typer.Argument(metavar="SERVER", help="The server, as `status` shows it.")]
_COLUMNS = ("scanner", "server", "state", "in use", "waiting", "expected", "answers", "failures", "copies", "")


@app.command()
def status(
    settings: SettingsOption = None,
    data: DataOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again each second, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show each server: its state, what it has in hand, how fast it is, what it answered."""
    folder = _folder(settings, data)
    try:
        while True:
            servers = _ask(folder, {"do": "scanners"})
            _show(servers, as_json=as_json, again=watch)
            if not watch:
                return
            time.sleep(1)
    except KeyboardInterrupt:
        raise typer.Exit from None


@app.command()
def drain(pool: PoolArgument, server: ServerArgument, settings: SettingsOption = None, data: DataOption = None) -> None:
    """Give a server nothing new; what it has in hand it finishes. Holds until `undrain` or the gateway's end."""
    _ask(_folder(settings, data), {"do": "drain", "pool": pool, "server": server, "drained": True})
    typer.echo(f"{pool}: {server} is drained")


@app.command()
def undrain(
    pool: PoolArgument, server: ServerArgument, settings: SettingsOption = None, data: DataOption = None
) -> None:
    """Use a drained server again."""
    _ask(_folder(settings, data), {"do": "drain", "pool": pool, "server": server, "drained": False})
    typer.echo(f"{pool}: {server} is in use again")


def _folder(settings: Path | None, data: Path | None) -> Path:
    """Return the data folder of the gateway that is meant."""
    from mpp.gateway.settings import Settings

    if data is not None:
        return data
    if settings is None and not DEFAULT_FILE.exists():
        return Settings().node.data
    return load_file(settings or DEFAULT_FILE).settings.node.data


def _ask(folder: Path, order: dict[str, Any]) -> list[dict[str, Any]]:
    from mpp.gateway.control import ask

    try:
        answers = ask(folder, order)
    except OSError as error:
        what = printable(f"{folder}: {error.strerror or error}", 0)
        fail(f"no gateway answers there: {what}; start it, name its folder by --data, or become its user")
    for answer in answers:
        if "error" in answer:
            fail(f"{printable(answer['error'], 0)}; see `mpp scanners status`")
    return answers


def _show(servers: list[dict[str, Any]], *, as_json: bool, again: bool) -> None:
    if as_json:
        for server in servers:
            typer.echo(json.dumps(server))
        return
    from rich.table import Table
    from rich.text import Text

    width = None if sys.stdout.isatty() else 200  # in a file no line is broken
    out = console(width)
    if again:
        out.clear()
    if not servers:
        out.print("the gateway has asked no scanner yet")
        return
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for server in servers:
        expected = "" if server["expected_ms"] is None else f"{server['expected_ms']:g} ms"
        cells = (
            *(server[key] for key in ("pool", "server", "state")),
            f"{server['in_use']}/{server['places']}",
            server["waiting"],
            expected,
            *(server[key] for key in ("answers", "failures", "copies", "cause")),
        )
        table.add_row(*(Text(printable(str(cell), 200)) for cell in cells))
    out.print(table)
