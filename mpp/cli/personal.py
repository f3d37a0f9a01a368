"""`mpp settings show --for RECIPIENT`: each value as it holds for somebody, with the level and the revision that set it."""

import json
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any

import typer

from mpp.cli.errors import fail
from mpp.cli.shown import time_text

if TYPE_CHECKING:
    from mpp.gateway.personal import Made, Value
    from mpp.gateway.settings import Settings
    from mpp.settings.revisions import Revision

MOST = 500  # revisions that are looked through


def show_for(settings: "Settings", recipient: str, listener: str, direction: str, *, as_json: bool) -> None:
    """Print what holds: by the newest revision where there is one, else by the file. Ends the command for what is no address."""
    from mpp.gateway.personal import moments, personal, since
    from mpp.mail.address import AddressError, parse_address
    from mpp.mail.escape import printable
    from mpp.settings.revisions import Standing, body_of, standing
    from mpp.settings.tenants import Directory

    try:
        parse_address(recipient)
    except AddressError as error:
        fail(f"--for: {printable(recipient, 80)}: {printable(str(error))}; write user@example.org")
    if listener and listener not in {each.name for each in settings.listeners}:
        fail(
            f"--listener: there is none of this name; there are: {', '.join(each.name for each in settings.listeners)}"
        )
    tenant = Directory(settings.tenants, settings.groups).tenant(recipient)
    kept, own = _revisions(settings, tenant)
    timeline = moments(kept, own, tenant, settings)
    newest = next(timeline, None)
    if kept and newest is None:
        fail(f"{kept[0].name} does not hold with the node's own settings in this file: mpp settings diff")
    if kept and standing(body_of(settings), kept[0]) is not Standing.SAME:
        typer.echo(f"{kept[0].name} holds; the file says otherwise: mpp settings diff", err=True)
    held = newest[1] if newest else settings
    values = personal(held, recipient, listener, direction)
    said = (
        (made, personal(then, recipient, listener, direction))
        for made, then in chain([newest] if newest else [], timeline)
    )
    set_by = since(values, said)
    for name, value in values.items():
        made = set_by.get(name)
        typer.echo(json.dumps(_object(name, value, made)) if as_json else _line(name, value, made))


def _revisions(settings: "Settings", tenant: str) -> "tuple[list[Revision], list[Revision]]":
    """Return the provider's revisions and the tenant's own, the newest first; none, with a word on stderr, without the catalog."""
    from mpp.mail.escape import printable
    from mpp.settings.tenants import DEFAULT_TENANT
    from mpp.store.errors import StoreError
    from mpp.store.opening import open_store_catalog
    from mpp.store.revisions import history

    try:
        with closing(open_store_catalog(settings.node.data, settings.store)) as catalog, catalog.read() as connection:
            kept = history(connection, DEFAULT_TENANT, MOST)
            return kept, history(connection, tenant, MOST) if tenant != DEFAULT_TENANT else []
    except (StoreError, OSError) as error:
        typer.echo(f"revisions are not known, the file's values are shown: {printable(str(error), 300)}", err=True)
        return [], []


def _object(name: str, value: "Value", made: "Made | None") -> dict[str, Any]:
    told: dict[str, Any] = {"key": name, "value": value.value, "level": value.level, "by": value.by or None}
    if made is None:
        return {**told, "revision": None}
    by = made.revision
    about = {"revision": by.number, "tenant": made.tenant, "at": time_text(by.at_ms), "who": by.who, "why": by.why}
    return {**told, **about}


def _line(name: str, value: "Value", made: "Made | None") -> str:
    from mpp.mail.escape import printable
    from mpp.settings.write import toml_value

    shown = "(not set)" if value.value is None else printable(toml_value(value.value))
    by = f": {value.by}" if value.by else ""
    of = f", {made.name} at {time_text(made.revision.at_ms)} by {printable(made.revision.who)}" if made else ""
    return f"{name} = {shown}  # {value.level}{by}{of}"
