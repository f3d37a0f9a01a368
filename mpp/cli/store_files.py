"""`mpp store check|rebuild|compact`: is all there that is held and archived, and the catalog made anew from the segments."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mpp.cli.options import JsonOption, SettingsOption
from mpp.cli.placed import FolderOption, settings_of, store_of, told

if TYPE_CHECKING:
    from mpp.store.catalog import Catalog


def check(settings: SettingsOption = None, data: FolderOption = None, as_json: JsonOption = False) -> None:
    """Read through everything that is stored, and name whatever is damaged, lost or without a row. Exit 1 where there is any damage."""
    from mpp.gateway.assembly import hostname_of
    from mpp.mail.escape import printable
    from mpp.store.check import Counts
    from mpp.store.check import check as look

    value = settings_of(settings, data)
    counts, faults = Counts(), 0
    with store_of(value) as (catalog, reader):
        for fault in look(catalog, value.node.data, reader, counts, hostname_of(value)):
            faults += not fault.note
            if as_json:
                typer.echo(json.dumps({"fault": fault.text, "note": fault.note}))
            else:
                typer.echo(("note: " if fault.note else "") + printable(fault.text), err=not fault.note)
    told = {"segments": counts.segments, "records": counts.records, "octets": counts.octets, "faults": faults}
    if as_json:
        typer.echo(json.dumps(told))
    else:
        typer.echo(
            f"{counts.segments} segments, {counts.records} records, {counts.octets >> 20} MiB: {faults or 'no'} faults"
        )
    if faults:
        raise typer.Exit(1)


def rebuild(settings: SettingsOption = None, data: FolderOption = None, as_json: JsonOption = False) -> None:
    """Add to the catalog all that it lacks, from segments, key files and event log. What it has stays, but for copies of which the event log says more. Refused while a gateway runs on this data."""
    from mpp.gateway.assembly import hostname_of
    from mpp.mail.escape import printable
    from mpp.store.alone import alone
    from mpp.store.catalog import prepare
    from mpp.store.forget import overwrite
    from mpp.store.journal import told as journal
    from mpp.store.opening import url_of
    from mpp.store.owner import as_owner
    from mpp.store.rebuild import Rebuilt
    from mpp.store.rebuild import rebuild as make

    value = settings_of(settings, data)
    done = Rebuilt()
    with ExitStack() as work:
        work.enter_context(told(1, "", OSError))
        work.enter_context(as_owner(value.node.data))
        work.enter_context(alone(value.node.data))
        prepare(url_of(value.node.data, value.store))  # an empty catalog where there is none: that is what this is for
        catalog, reader = work.enter_context(store_of(value))
        events = list(journal(value.node.data, catalog))
        for done in make(catalog, value.node.data, reader, events, hostname_of(value)):
            if not as_json:
                typer.echo(f"{done.octets >> 20} MiB read, {done.messages} messages", err=True)
        overwrite(catalog, value.node.data)
        unsettled = _unsettled(catalog, value.node.data)
    for fault in done.faults:
        typer.echo(json.dumps({"fault": fault.text}) if as_json else printable(fault.text), err=not as_json)
    told_last = {
        "messages": done.messages,
        "attachments": done.attachments,
        "forgotten": done.gone,
        "settled": done.settled,
        "octets": done.octets,
        "lists": done.lists,
    }
    summary = f"{done.messages} messages and {done.attachments} attachments are in the catalog, {done.gone} were deleted for good"
    typer.echo(json.dumps(told_last) if as_json else summary)
    if done.settled and not as_json:
        typer.echo(f"{done.settled} copies were older in the catalog than in the event log, and are as that says")
    if done.lists and not as_json:
        typer.echo(f"{done.lists} entries of allow and block lists are back, as this node knew them last")
    if unsettled:
        typer.echo(unsettled, err=True)
    if done.faults:
        raise typer.Exit(1)


def _unsettled(catalog: "Catalog", data: Path) -> str:
    """Return what is to be done where revisions of the settings are lost: at its start the gateway would go by its file alone."""
    from mpp.mail.escape import printable
    from mpp.store.revisions import newest

    good = data / "settings.good.toml"
    with catalog.read() as connection:
        if newest(connection, "default") or not good.exists():
            return ""
    return f"the history of the settings is lost; what held last is in {printable(str(good))}: before the gateway starts, mpp settings apply it"


def compact(settings: SettingsOption = None, data: FolderOption = None, as_json: JsonOption = False) -> None:
    """Free the room of what was deleted or has expired: segments that are mostly empty are written anew without it. Refused while a gateway, which does so each hour, runs on this data."""
    from mpp.gateway.assembly import hostname_of
    from mpp.store.alone import alone
    from mpp.store.compact import compact as once
    from mpp.store.forget import overwrite
    from mpp.store.owner import as_owner
    from mpp.store.segment import Limits

    value = settings_of(settings, data)
    freed = 0
    with told(1, "", OSError), as_owner(value.node.data), alone(value.node.data), store_of(value) as (catalog, reader):
        overwrite(catalog, value.node.data)
        while done := once(catalog, value.node.data, reader, hostname_of(value), Limits.of(value.store)):
            freed += done.freed
            if as_json:
                typer.echo(json.dumps(done._asdict()))
    if not as_json:
        typer.echo(f"{freed >> 20} MiB are free again")
