"""`mpp attachments`: what the files of a mail are, looked at as the gateway would look at them.

The work is done in a confined process of its own; nothing is unpacked to disk, and nothing is sent, judged or changed.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mpp.checks.attachments.item import Item

app = typer.Typer(name="attachments", help="Look into attached files.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def attachments() -> None:
    """Look into attached files."""


@app.command()
def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Mails or bare files.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each file.")] = False,
) -> None:
    """Say of each file, and of those inside it, what it is and what is to be feared of it."""
    import json

    from mpp.checks.attachments.helper import Helper
    from mpp.checks.attachments.item import Limits
    from mpp.checks.attachments.unpacking import find_unpacker
    from mpp.mail.escape import printable

    failed = False
    helper = Helper(find_unpacker())
    for file in files:
        try:
            data = file.read_bytes()
        except OSError as error:
            reason = printable(error.strerror or str(error))
            typer.echo(f"{printable(str(file))}: {reason}; name files that can be read", err=True)
            failed = True
            continue
        items = helper.inspect_whole(data, file.name, Limits())
        row = {"file": str(file), "items": [_described(item) for item in items]}
        typer.echo(json.dumps(row) if as_json else "\n".join(_lines(row)))
    helper.close()
    if failed:
        raise typer.Exit(1)


def _described(item: "Item") -> dict[str, Any]:
    return {
        "path": item.path,
        "name": item.name,
        "declared": item.declared,
        "type": item.type,
        "size": item.size,
        "sha256": item.sha256,
        "flags": sorted(item.flags),
    }


def _lines(row: dict[str, Any]) -> list[str]:
    from mpp.mail.escape import printable

    lines = [printable(row["file"])]
    for item in row["items"]:
        flags = f"  {', '.join(item['flags'])}" if item["flags"] else ""
        lines.append(f"  {printable(item['path'], 200)}  {printable(item['type'], 100)}  {item['size']} octets{flags}")
    return lines
