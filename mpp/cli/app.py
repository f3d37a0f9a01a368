"""The command `mpp`: one file a group of commands, put together here.

Modules of mpp.cli import only typer at their top; what a command needs it imports when it runs, so that
`mpp --version` and completion stay quick.
"""

from typing import Annotated

import typer

from mpp import __version__
from mpp.cli import (  # workbench adds to filters
    attachments,
    filters,
    lists,
    mail,
    quarantine,
    release,
    revisions,
    scanners,
    settings,
    store,
    workbench,  # noqa: F401
)
from mpp.cli.check import check
from mpp.cli.demo import demo
from mpp.cli.engines import compare, victims
from mpp.cli.scan import scan
from mpp.cli.serve import serve
from mpp.cli.why import why

app = typer.Typer(
    name="mpp",
    help="MPP: an email security gateway.",
    no_args_is_help=True,
    rich_markup_mode=None,  # texts of others never count as markup
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mpp {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """MPP: an email security gateway."""


app.command()(serve)
app.command()(scan)
app.command()(demo)
app.command()(check)
app.command()(why)
for revising in revisions.COMMANDS:
    settings.app.command()(revising)
app.add_typer(settings.app)
app.add_typer(store.app)
app.add_typer(mail.app)
app.add_typer(attachments.app)
scanners.app.command()(compare)
scanners.app.command()(victims)
app.add_typer(scanners.app)
app.add_typer(filters.app)
for each in release.COMMANDS:
    quarantine.app.command()(each)
app.add_typer(quarantine.app)
app.add_typer(lists.app)
