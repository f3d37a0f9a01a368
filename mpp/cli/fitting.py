"""A table of one line a row, whatever the width: what names a row is never cut, texts are cut with an ellipsis, columns left out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from mpp.cli.shown import console

if TYPE_CHECKING:
    from rich.table import Table

GAP = 2  # columns between two cells


def show(rows: Sequence[Mapping[str, str]], cut: Mapping[str, int], left_out: Sequence[str]) -> None:
    """Print the table as wide as the terminal is, and say which columns found no room. There must be a row."""
    out = console()
    table, gone, width = fitted(rows, cut, left_out, out.width)
    console(width).print(table)
    if gone:
        typer.echo(f"Left out, as there are {out.width} columns: {', '.join(gone)}; --json shows all.")


def fitted(
    rows: Sequence[Mapping[str, str]], cut: Mapping[str, int], left_out: Sequence[str], width: int
) -> "tuple[Table, list[str], int]":
    """Return the table of rows that are alike, the columns that found no room in it, and its width: more than asked for where it must be.

    `cut`: how far a column may be cut; `left_out`: which columns may go, the first one first.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    wanted = {name: max(len(name), *(cell_len(row[name]) for row in rows)) for name in rows[0]}
    widths, gone = room(wanted, cut, left_out, width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    for name, columns in widths.items():
        table.add_column(name, width=columns, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(row[name]) for name in widths))
    return table, gone, max(width, _whole(widths))


def room(
    wanted: Mapping[str, int], cut: Mapping[str, int], left_out: Sequence[str], width: int
) -> tuple[dict[str, int], list[str]]:
    """Return the width of each column that is shown, and the names of the others. Pure."""
    widths = {name: min(columns, cut.get(name, columns)) for name, columns in wanted.items()}
    gone = []
    for name in left_out:
        if _whole(widths) <= width:
            break
        del widths[name]
        gone.append(name)
    for name in cut:
        if name in widths:
            widths[name] = min(wanted[name], widths[name] + max(0, width - _whole(widths)))
    return widths, gone


def _whole(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + GAP * len(widths)
