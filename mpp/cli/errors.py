"""How a command ends when it cannot do what was asked: plain lines on stderr and an exit code."""

from typing import NoReturn

import typer


def fail(text: str, code: int = 1) -> NoReturn:
    """Print `text` (escaped by the caller where it comes from outside) on stderr and end with `code`."""
    typer.echo(text, err=True)
    raise typer.Exit(code)
