"""`mpp store check|rebuild|compact`: is all there that is held and archived, and the catalog made anew from the segments."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mpp.cli.errors import fail
from mpp.cli.options import SettingsOption
from mpp.cli.placed import FolderOption, settings_of

if TYPE_CHECKING:
    from mpp.gateway.settings import Settings
    from mpp.store.catalog import Catalog
    from mpp.store.reader import Reader

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def check(settings: SettingsOption = None, data: FolderOption = None, as_json: JsonOption = False) -> None:
    """Read through everything that is stored, and name whatever is damaged, lost or without a row. Exit 1 where there is any damage."""
    from mpp.mail.escape import printable
    from mpp.store.check import Counts
    from mpp.store.check import check as look

    value = settings_of(settings, data)
    catalog, reader = _opened(value)
    counts, faults = Counts(), 0
    for fault in look(catalog, value.node.data, reader, counts):
        faults += not fault.note
        if as_json:
            typer.echo(json.dumps({"fault": fault.text, "note": fault.note}))
        else:
            typer.echo(("note: " if fault.note else "") + printable(fault.text), err=not fault.note)
    reader.close()
    catalog.close()
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
    """Add to the catalog all that it lacks, from segments, key files and event log. What it has stays. Stop the gateway first."""
    from mpp.gateway.assembly import hostname_of
    from mpp.mail.escape import printable
    from mpp.store.errors import StoreError
    from mpp.store.forget import overwrite
    from mpp.store.journal import told
    from mpp.store.rebuild import Rebuilt
    from mpp.store.rebuild import rebuild as make

    value = settings_of(settings, data)
    _prepare(value)
    catalog, reader = _opened(value)
    done = Rebuilt()
    try:
        events = list(told(value.node.data, catalog))
        for done in make(catalog, value.node.data, reader, events, hostname_of(value)):
            if not as_json:
                typer.echo(f"{done.octets >> 20} MiB read, {done.messages} messages", err=True)
        overwrite(catalog, value.node.data)
    except (StoreError, OSError) as error:
        fail(printable(str(error)))
    finally:
        reader.close()
        catalog.close()
    for fault in done.faults:
        typer.echo(json.dumps({"fault": fault.text}) if as_json else printable(fault.text), err=not as_json)
    told_last = {
        "messages": done.messages,
        "attachments": done.attachments,
        "forgotten": done.gone,
        "octets": done.octets,
    }
    summary = f"{done.messages} messages and {done.attachments} attachments are in the catalog, {done.gone} were deleted for good"
    typer.echo(json.dumps(told_last) if as_json else summary)
    if done.faults:
        raise typer.Exit(1)


def compact(settings: SettingsOption = None, data: FolderOption = None, as_json: JsonOption = False) -> None:
    """Free the room of what was deleted or has expired: segments that are mostly empty are written anew without it."""
    from mpp.gateway.assembly import hostname_of
    from mpp.mail.escape import printable
    from mpp.store.compact import compact as once
    from mpp.store.errors import StoreError
    from mpp.store.forget import overwrite
    from mpp.store.segment import Limits

    value = settings_of(settings, data)
    catalog, reader = _opened(value)
    freed = 0
    try:
        overwrite(catalog, value.node.data)
        while done := once(catalog, value.node.data, reader, hostname_of(value), Limits.of(value.store)):
            freed += done.freed
            if as_json:
                typer.echo(json.dumps(done._asdict()))
    except (StoreError, OSError) as error:
        fail(printable(str(error)))
    finally:
        reader.close()
        catalog.close()
    if not as_json:
        typer.echo(f"{freed >> 20} MiB are free again")


def _prepare(value: "Settings") -> None:
    """Make an empty catalog where there is none: that is what this is for."""
    from mpp.mail.escape import printable
    from mpp.store.catalog import prepare
    from mpp.store.errors import StoreError
    from mpp.store.opening import url_of

    try:
        prepare(url_of(value.node.data, value.store))
    except StoreError as error:
        fail(printable(str(error)))


def _opened(value: "Settings") -> "tuple[Catalog, Reader]":
    from mpp.mail.escape import printable
    from mpp.store.errors import StoreError
    from mpp.store.opening import open_store_catalog
    from mpp.store.reader import Reader

    try:
        reader = Reader.open(value.node.data, value.store.master_key)
        return open_store_catalog(value.node.data, value.store), reader
    except StoreError as error:
        fail(printable(str(error)))
