"""`mpp why`: what became of a message, and why, as a story or as data."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from mpp.cli.errors import fail
from mpp.cli.options import JsonOption, SettingsOption
from mpp.cli.placed import FolderOption, catalog_of, settings_of

if TYPE_CHECKING:
    from mpp.store.events import Event
    from mpp.store.trace import Trace


def why(
    word: Annotated[
        str,
        typer.Argument(
            metavar="[WORD]",
            help="Id (as in replies and log), Message-ID, queue id at the next hop, address of sender or recipient, client's "
            "address. Without it: the newest.",
        ),
    ] = "",
    last: Annotated[int, typer.Option("--last", metavar="N", min=1, max=1000, help="How many, newest first.")] = 5,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="Only what this tenant may see; default: all.")
    ] = None,
    as_json: JsonOption = False,
    settings: SettingsOption = None,
    data: FolderOption = None,
) -> None:
    """Tell what became of a message, and why. Exit 1 where nothing is known of it."""
    from mpp.gateway.recorder import spool_folder
    from mpp.insights.story import story
    from mpp.insights.why import done_later
    from mpp.insights.why import why as find
    from mpp.mail.escape import printable
    from mpp.store.trace_days import TraceDays, traces_folder

    value = settings_of(settings, data)
    with catalog_of(value) as catalog, closing(TraceDays(catalog, traces_folder(value.node.data))) as days:
        found = find(days, spool_folder(value.node.data), word, tenant, last)
        told = list(zip(found, done_later(catalog, found), strict=True))
    if not told:
        what = f"of {printable(word, 200)}" if word else "yet"
        days_kept = round(value.store.keep_traces / 86400)
        fail(f"Nothing is known {what}. Traces are kept {days_kept} days and come a second or two after the reply.")
    if as_json:
        _json_lines(told)
        return
    typer.echo("\n\n".join("\n".join(story(trace, events)) for trace, events in told))


def _json_lines(told: "list[tuple[Trace, list[Event]]]") -> None:
    import json

    from mpp.store.events import as_object as event_object
    from mpp.store.trace_line import write

    for trace, events in told:
        typer.echo(json.dumps({**json.loads(write(trace)), "events": [event_object(event) for event in events]}))
