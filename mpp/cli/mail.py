"""`mpp mail`: looking into messages as they lie in files.

Offsets and digests are those of the file's own octets; nothing is sent, judged or changed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpp.cli.errors import fail
from mpp.cli.options import JsonOption

if TYPE_CHECKING:
    from mpp.mail.message import Message
    from mpp.mail.part import Part

app = typer.Typer(name="mail", help="Look into messages in files.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def mail() -> None:
    """Look into messages in files."""


@app.command()
def parts(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Messages, one a file.", show_default=False)],
    as_json: JsonOption = False,
    extract: Annotated[
        Path | None,
        typer.Option(
            "--extract",
            metavar="DIR",
            help="Write each decoded part to DIR/<file name>/<path>, those of further readings to <reading>~<path>.",
        ),
    ] = None,
) -> None:
    """List the parts of messages: type, name, size, digest, place; where MIME is broken, in every way that it can be read."""
    import json

    from mpp.mail.escape import printable

    if extract is not None:
        _refuse_twins(files)
    failed = False
    for file in files:
        try:
            message, skipped = _read(file)
            if extract is not None:
                _extract(message, extract / file.name)
        except OSError as error:
            typer.echo(
                f"{printable(str(file))}: {_reason(error)}; name files that can be read, and for --extract a folder"
                " that can be written to",
                err=True,
            )
            failed = True
            continue
        row = {"file": str(file), **describe(message, skipped)}
        typer.echo(json.dumps(row) if as_json else "\n".join(_lines(row)))
    if failed:
        raise typer.Exit(1)


def describe(message: "Message", skipped: int) -> dict[str, Any]:
    """Return what `--json` shows of a message; `skipped` octets of the file stand before it."""
    return {
        "parts": [_describe(part, skipped) for part in message.leaves()],
        "defects": [*message.defects, *(f"limit-{name}" for name in message.exceeded)],
        "readings": [[_describe(part, skipped) for part in reading.leaves] for reading in message.readings],
    }


def _describe(part: "Part", skipped: int) -> dict[str, Any]:
    from hashlib import sha256

    decoded = part.decode()
    return {
        "path": part.path,
        "type": part.type,
        "name": part.name,
        "size": len(decoded),
        "sha256": sha256(decoded).hexdigest(),
        "offset": None if part.offset is None else part.offset + skipped,
        "length": part.length,
    }


def _lines(row: dict[str, Any]) -> Sequence[str]:
    from mpp.mail.escape import printable

    lines = [printable(row["file"]), *_rows(row["parts"])]
    for number, reading in enumerate(row["readings"], start=1):
        lines += [f"  or, as reading {number}:", *_rows(reading)]
    if row["defects"]:
        lines.append(f"  defects: {', '.join(row['defects'])}")
    return lines


def _rows(parts: Sequence[dict[str, Any]]) -> list[str]:
    from mpp.mail.escape import printable

    rows = []
    for part in parts:
        name = f"  {printable(part['name'], 200)}" if part["name"] is not None else ""
        rows.append(f"  {part['path']}  {printable(part['type'], 100)}  {part['size']} octets{name}")
    return rows


def _read(file: Path) -> tuple["Message", int]:
    """Read a file; a leading mbox `From ` line is no part of the message. Raises OSError."""
    from mpp.mail.message import Message

    raw = file.read_bytes()
    skipped = 0
    if raw.startswith(b"From "):
        skipped = raw.find(b"\n") + 1 or len(raw)
    return Message(raw[skipped:] if skipped else raw), skipped


def _refuse_twins(files: Sequence[Path]) -> None:
    from mpp.mail.escape import printable

    seen: set[str] = set()
    for file in files:
        if file.name in seen:
            fail(
                f"{printable(str(file))}: another FILE is called {printable(file.name)} too, and --extract writes to a"
                " folder of that name; rename one, or extract them to different folders",
                2,
            )
        seen.add(file.name)


def _extract(message: "Message", folder: Path) -> None:
    """Write the leaves. Their paths are numbers and dots of our own making: no name of the message is used. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, "", message.leaves())
    for number, reading in enumerate(message.readings, start=1):
        _write(folder, f"{number}~", reading.leaves)


def _write(folder: Path, before: str, leaves: Sequence["Part"]) -> None:
    for part in leaves:
        target = folder / f"{before}{part.path or '0'}"
        if target.is_symlink():
            raise OSError(f"{target} is a symbolic link")
        target.write_bytes(part.decode())


def _reason(error: OSError) -> str:
    from mpp.mail.escape import printable

    return printable(error.strerror or str(error))
