"""One action on many copies: named by ids or left by filters, in batches, with a progress bar on a terminal.

Copies are chosen first (keys only), so that what the action changes does not move the pages it walks on. Ctrl-C ends it
between two batches: what was begun is finished and written down.
"""

import json
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from mpp.cli import selecting as given
from mpp.cli.errors import fail
from mpp.cli.opened import Opened

if TYPE_CHECKING:
    from mpp.store.quarantine_query import Filter, Key, Row

BATCH = 1000

Work = Callable[["list[Key]"], "list[dict[str, Any]]"]
"""Does it for a batch; returns an object for each copy that says what became of it. Those left out were not to be had."""


def bulk(rows: "Sequence[Row]", work: Work, *, as_json: bool, word: str, batch: int = BATCH) -> None:
    """Do the work, tell of each copy (--json) or of how many, and end with 1 where not all became `word`."""
    keys = [row.key for row in rows]
    stopped = _Stopped()
    done = 0
    with _bar(len(keys), show=len(keys) > 1 and not as_json and sys.stderr.isatty()) as advance:
        for start in range(0, len(keys), batch):
            if stopped:
                break
            part = keys[start : start + batch]
            results = work(part)
            advance(len(part))
            done += sum(each["state"] == word for each in results)
            _tell(part, results, word, as_json=as_json, few=len(keys) <= 20)
    if not as_json:
        rest = f", {len(keys) - done} not" if done < len(keys) else ""
        typer.echo(f"{done} {word}{rest}" + (" (stopped)" if stopped else ""))
    if done < len(keys):
        raise typer.Exit(1)


def chosen(
    store: Opened, identifiers: Sequence[str], wanted: "Filter", asker: given.Asker, *, everything: bool
) -> "list[Row]":
    """Return the copies that ids or filters mean. Ends the command where neither does."""
    from mpp.store.quarantine_query import every

    if identifiers and everything:
        fail("ids and --all cannot be mixed; leave out one of them")
    if not identifiers and not everything:
        fail("name messages by their ids, or write --all with filters; `mpp quarantine list` shows what there is")
    if identifiers:
        with store.catalog.read() as connection:
            return [given.copy_named(connection, store.tenant, identifier, asker) for identifier in identifiers]
    with store.catalog.read() as connection:
        return [row for page in every(connection, store.tenant, wanted, limit=BATCH) for row in page]


def _tell(keys: "list[Key]", results: list[dict[str, Any]], word: str, *, as_json: bool, few: bool) -> None:
    from mpp.mail.escape import printable

    for each in results:
        if as_json:
            typer.echo(json.dumps(each))
        elif few or each["state"] != word:
            said = f": {printable(each['reply'], 300)}" if each.get("reply") else ""
            typer.echo(f"{each['id']} {printable(each['recipient'], 100)}: {each['state']}{said}")
    found = {(each["id"], each["recipient"]) for each in results}
    for key in keys:
        if key not in found:
            what = "not to be had: it is gone, on hold, or another's by now"
            if as_json:
                typer.echo(json.dumps({"id": key.message, "recipient": key.recipient, "state": "missed"}))
            else:
                typer.echo(f"{key.message} {printable(key.recipient, 100)}: {what}", err=True)


class _Stopped:
    """True once Ctrl-C or SIGTERM came."""

    def __init__(self) -> None:
        self._came = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, *_: object) -> None:
        self._came = True

    def __bool__(self) -> bool:
        return self._came


class _bar:  # noqa: N801 used as a function
    """A progress bar on stderr, or nothing."""

    def __init__(self, total: int, *, show: bool) -> None:
        self._total, self._show = total, show

    def __enter__(self) -> Callable[[int], None]:
        if not self._show:
            return lambda _: None
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        console = Console(stderr=True)
        self._progress = Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console)
        self._progress.start()
        task = self._progress.add_task("", total=self._total)
        return lambda number: self._progress.advance(task, number)

    def __exit__(self, *_: object) -> None:
        if self._show:
            self._progress.stop()
