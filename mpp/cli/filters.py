"""`mpp filters`: the content filter on files and tables, without a running gateway."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpp.cli.errors import fail

if TYPE_CHECKING:
    from mpp.checks.content.postfix.read import Table

app = typer.Typer(name="filters", help="Try and import content filters.", no_args_is_help=True, rich_markup_mode=None)


POSTFIX_LIMIT = 10_000_000  # steps of a search: PCRE2's own, which Postfix leaves as it is


@app.callback()
def filters() -> None:
    """Try and import content filters."""


@app.command("map")
def map_(
    table: Annotated[str, typer.Argument(metavar="pcre:FILE|regexp:FILE", help="A table of Postfix.")],
    jsonl: Annotated[
        bool,
        typer.Option("--jsonl", help='Lines {"key": ...} in, {"key": ..., "answer": ...} out; octets as ISO-8859-1.'),
    ] = False,
) -> None:
    """Answer the keys on stdin as `postmap -u -q -` does. Exit 0 if any matched, else 1; 2 if it cannot be asked."""
    from mpp.checks.content.pcre import LimitExceeded, Match
    from mpp.checks.content.postfix.lookup import lookup
    from mpp.checks.content.postfix.read import Condition
    from mpp.mail.escape import printable

    def search(condition: Condition, key: bytes) -> Match | None:
        try:
            return condition.pattern.search(key)
        except LimitExceeded:
            typer.echo(f"warning: {table}: {printable(condition.text, 80)} takes too long: it does not hold", err=True)
            raise

    read = open_table(table, POSTFIX_LIMIT)
    for warned in read.warnings:
        typer.echo(f"warning: {table}, line {warned.line}: {warned.text}", err=True)
    found = False
    for key in _json_keys() if jsonl else _plain_keys():
        answer = lookup(read, key.partition(b"\0")[0], search)
        found = found or answer is not None
        if jsonl:
            text = answer.text.decode("latin-1") if answer else None
            typer.echo(json.dumps({"key": key.decode("latin-1"), "answer": text}))
        elif answer:
            sys.stdout.buffer.write(b"%b\t%b\n" % (key.partition(b"\0")[0], answer.text))
    sys.stdout.buffer.flush()
    raise typer.Exit(0 if found else 1)


def open_table(name: str, limit: int | None = None) -> "Table":
    """Read a table named as Postfix names it; ends the command where that fails."""
    from mpp.checks.content.pcre import MATCH_LIMIT
    from mpp.checks.content.postfix.read import read_table
    from mpp.mail.escape import printable

    kind, colon, path = name.partition(":")
    if not colon or not path or kind not in ("pcre", "regexp"):
        fail(f"{printable(name, 200)} is no table; write pcre:FILE or regexp:FILE", 2)
    try:
        return read_table(Path(path).read_bytes(), "pcre" if kind == "pcre" else "regexp", limit or MATCH_LIMIT)
    except OSError as error:
        fail(f"{printable(path, 200)}: {printable(error.strerror or str(error))}; name a file that can be read", 2)


def _plain_keys() -> Iterator[bytes]:
    for line in sys.stdin.buffer:
        yield line.removesuffix(b"\n")


def _json_keys() -> Iterator[bytes]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            key = json.loads(line)["key"].encode("latin-1")
        except (ValueError, KeyError, TypeError, AttributeError):
            fail(f'line {number} of the input is no {{"key": "..."}} of octets as ISO-8859-1; write one a line', 2)
        yield key
