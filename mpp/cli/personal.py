"""`mpp settings show --for RECIPIENT`: each value as it holds for somebody, with the level and the revision that set it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import typer

from mpp.cli.errors import fail
from mpp.cli.shown import time_text

if TYPE_CHECKING:
    from mpp.gateway.personal import Value
    from mpp.gateway.settings import Settings
    from mpp.settings.revisions import Revision

MOST = 500  # revisions that are looked through


def show_for(settings: "Settings", recipient: str, listener: str, direction: str, *, as_json: bool) -> None:
    """Print what holds: by the newest revision where there is one, else by the file. Ends the command for what is no address."""
    from mpp.gateway.personal import personal, since
    from mpp.gateway.revising import read
    from mpp.mail.address import AddressError, parse_address
    from mpp.mail.escape import printable
    from mpp.settings.problem import SettingsError
    from mpp.settings.revisions import Standing, body_of, standing

    try:
        parse_address(recipient)
    except AddressError as error:
        fail(f"--for: {printable(recipient, 80)}: {printable(str(error))}; write user@example.org")
    if listener and listener not in {each.name for each in settings.listeners}:
        fail(
            f"--listener: there is none of this name; there are: {', '.join(each.name for each in settings.listeners)}"
        )
    kept = _revisions(settings)
    held = settings
    if kept:
        try:
            held = read(kept[0], settings).settings
        except SettingsError as error:
            fail(str(error))
        if standing(body_of(settings), kept[0]) is not Standing.SAME:
            typer.echo(f"{kept[0].name} holds; the file says otherwise: mpp settings diff", err=True)

    def said() -> "Iterator[tuple[Revision, Mapping[str, Value]]]":
        for revision in kept:
            try:
                earlier = read(revision, settings).settings
            except SettingsError:  # of an MPP that knew other settings
                return
            yield revision, personal(earlier, recipient, listener, direction)

    values = personal(held, recipient, listener, direction)
    made = since(values, said())
    for name, value in values.items():
        typer.echo(json.dumps(_object(name, value, made.get(name))) if as_json else _line(name, value, made.get(name)))


def _revisions(settings: "Settings") -> "list[Revision]":
    """Return the revisions, the newest first; none, with a word on stderr, where the catalog cannot be asked."""
    from mpp.mail.escape import printable
    from mpp.settings.tenants import DEFAULT_TENANT
    from mpp.store.errors import StoreError
    from mpp.store.opening import open_store_catalog
    from mpp.store.revisions import history

    try:
        with closing(open_store_catalog(settings.node.data, settings.store)) as catalog, catalog.read() as connection:
            return history(connection, DEFAULT_TENANT, MOST)
    except (StoreError, OSError) as error:
        typer.echo(f"revisions are not known, the file's values are shown: {printable(str(error), 300)}", err=True)
        return []


def _object(name: str, value: "Value", revision: "Revision | None") -> dict[str, Any]:
    made = (
        {"revision": revision.number, "at": time_text(revision.at_ms), "who": revision.who, "why": revision.why}
        if revision
        else {"revision": None}
    )
    return {"key": name, "value": value.value, "level": value.level, "by": value.by or None, **made}


def _line(name: str, value: "Value", revision: "Revision | None") -> str:
    from mpp.mail.escape import printable
    from mpp.settings.write import toml_value

    shown = "(not set)" if value.value is None else printable(toml_value(value.value))
    by = f": {value.by}" if value.by else ""
    of = f", {revision.name} of {time_text(revision.at_ms)} by {printable(revision.who)}" if revision else ""
    return f"{name} = {shown}  # {value.level}{by}{of}"
