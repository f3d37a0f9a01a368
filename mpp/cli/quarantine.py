"""`mpp quarantine ...`: what is held, why, and what becomes of it. Every action is one copy's, and leaves an event."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpp.cli import fitting
from mpp.cli import selecting as given
from mpp.cli.errors import fail
from mpp.cli.opened import TenantOption, opened
from mpp.cli.options import JsonOption, SettingsOption
from mpp.cli.shown import as_object, console, named, printable, time_text

if TYPE_CHECKING:
    from mpp.store.quarantine_query import Key, Row

app = typer.Typer(
    name="quarantine", help="What is held, and what becomes of it.", no_args_is_help=True, rich_markup_mode=None
)


@app.command(name="list")
def list_(
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
    domain: given.DomainOption = "",
    sender: given.SenderOption = "",
    verdict: given.ClassOption = "",
    rule: given.RuleOption = "",
    state: given.StateOption = "",
    least: given.LeastOption = None,
    most: given.MostOption = None,
    since: given.SinceOption = "",
    until: given.UntilOption = "",
    subject: given.SubjectOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, metavar="N", help="Copies of a page.")] = 50,
    after: Annotated[str, typer.Option("--after", metavar="PLACE", help="Where the page before ended.")] = "",
    role: given.RoleOption = "admin",
    as_json: JsonOption = False,
) -> None:
    """List copies, newest first, a page at a time."""
    from mpp.store.quarantine_query import page

    given.asker_of(role, recipient)
    wanted = given.filter_of(
        recipient=recipient, domain=domain, sender=sender, verdict=verdict, rule=rule, state=state, least=least,
        most=most, since=since, until=until, subject=subject,
    )  # fmt: skip
    with opened(settings, tenant) as store:
        rows: list[Row] = []
        place = _cursor(after)
        while True:  # a page may end before it is full: go on until it is, or nothing is left
            with store.catalog.read() as connection:
                got = page(connection, tenant, wanted, after=place, limit=limit - len(rows))
            rows += got.rows
            place = got.more
            if place is None or len(rows) >= limit:
                break
    more = ",".join(map(str, place)) if place else ""
    if as_json:
        for row in rows:
            typer.echo(json.dumps(as_object(row)))
        return
    _table(rows)
    if more:
        typer.echo(f"More: --after '{more}'")


@app.command()
def show(
    identifier: given.IdArgument,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
    role: given.RoleOption = "admin",
    as_json: JsonOption = False,
) -> None:
    """Show a held message: its header, a safe preview of its text, its attachments, and why it is here."""
    from mpp.cli.preview import preview
    from mpp.store.events import about
    from mpp.store.quarantine import note
    from mpp.store.quarantine_query import copies_of
    from mpp.store.requests import request_for

    asker = given.asker_of(role, recipient)
    with opened(settings, tenant, records=True) as store, store.reader() as reader:
        with store.catalog.read() as connection:
            rows = [row for row in copies_of(connection, tenant, identifier) if asker.may_see(row)]
            stored = reader.message(connection, tenant, identifier) if rows else None
            events = about(connection, tenant, identifier, recipient)
            asked = [request_for(connection, tenant, row.key) for row in rows]
        if not rows or stored is None:
            fail(_nothing(identifier))
        with store.catalog.write() as connection:
            note(connection, tenant, rows[0].key, store.acting_as(role), "viewed", {})
    shown = {
        **preview(stored),
        "copies": [as_object(row) for row in rows],
        "requests": [
            {"recipient": each.key.recipient, "state": each.state, "by": each.asked_by, "reason": each.reason, "answer": each.answer}
            for each in asked if each
        ],
        "events": [
            {"at": time_text(each.at_ms), "actor": each.actor, "action": each.action, "recipient": each.recipient, **each.detail}
            for each in events
        ],
    }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(shown))
    else:
        _story(shown)


@app.command()
def download(
    identifier: given.IdArgument,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where to; it must not be there yet.")],
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
    role: given.RoleOption = "admin",
) -> None:
    """Write a held message to a file, octet for octet as it came. Only for who may release it."""
    import os

    from mpp.store.quarantine import note

    asker = given.asker_of(role, recipient)
    with opened(settings, tenant, records=True) as store, store.reader() as reader:
        row = given.releasable(store, identifier, asker)
        with store.catalog.read() as connection:
            stored = reader.message(connection, tenant, identifier)
        if stored is None:
            fail(_nothing(identifier))
        with store.catalog.write() as connection:
            note(connection, tenant, row.key, store.acting_as(role), "downloaded", {})
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(stored.raw)
        except OSError as error:
            fail(f"{printable(str(output))}: {error.strerror}; name another file")
    typer.echo(f"{printable(str(output))}: {len(stored.raw)} octets")


@app.command()
def delete(
    identifiers: given.IdsArgument = None,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
    domain: given.DomainOption = "",
    sender: given.SenderOption = "",
    verdict: given.ClassOption = "",
    rule: given.RuleOption = "",
    least: given.LeastOption = None,
    most: given.MostOption = None,
    since: given.SinceOption = "",
    until: given.UntilOption = "",
    subject: given.SubjectOption = "",
    everything: given.AllOption = False,
    role: given.RoleOption = "admin",
    as_json: JsonOption = False,
) -> None:
    """Delete copies for good; what is on hold stays."""
    from mpp.cli.bulk import bulk, chosen
    from mpp.store import forget
    from mpp.store import quarantine as held

    asker = given.asker_of(role, recipient)
    wanted = given.filter_of(
        recipient=recipient, domain=domain, sender=sender, verdict=verdict, rule=rule, state="held,unknown",
        least=least, most=most, since=since, until=until, subject=subject,
    )  # fmt: skip
    with opened(settings, tenant, records=True) as store:

        def work(keys: "list[Key]") -> list[dict[str, Any]]:
            with store.catalog.write() as connection:
                gone = held.delete(connection, tenant, keys, store.acting_as(role))
            return [{**named(key), "state": "deleted"} for key in gone]

        rows = chosen(store, identifiers or [], wanted, asker, everything=everything)
        bulk(rows, work, as_json=as_json, word="deleted")
        while forget.overwrite(store.catalog, store.settings.node.data):
            pass


@app.command()
def hold(
    identifier: given.IdArgument,
    reason: given.ReasonOption,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
) -> None:
    """Keep a copy by order: until that is ended it is neither deleted nor does it expire."""
    _hold(settings, tenant, identifier, recipient, reason, on=True)


@app.command(name="release-hold")
def release_hold(
    identifier: given.IdArgument,
    reason: given.ReasonOption,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
) -> None:
    """End what `hold` ordered; the copy stays held until it expires or is released."""
    _hold(settings, tenant, identifier, recipient, reason, on=False)


def _hold(settings: Path | None, tenant: str, identifier: str, recipient: str, reason: str, *, on: bool) -> None:
    from mpp.store import quarantine as held

    with opened(settings, tenant, records=True) as store, store.catalog.write() as connection:
        row = given.copy_named(connection, tenant, identifier, given.asker_of("admin", recipient))
        if not held.hold(connection, tenant, [row.key], store.actor, reason, on=on):
            fail(f"{printable(identifier)}: {'is on hold already' if on else 'is not on hold'}, or is no more")
    typer.echo("on hold" if on else "no longer on hold")


def _cursor(text: str) -> Any:
    from mpp.store.quarantine_query import Cursor

    if not text:
        return None
    received, _, rest = text.partition(",")
    message, _, recipient = rest.partition(",")
    if not received.isdigit() or not message:
        fail("--after is no place in a list; copy it from the end of the page before")
    return Cursor(int(received), message, recipient)


def _nothing(identifier: str) -> str:
    return f"{printable(identifier)}: no such message in the quarantine; `mpp quarantine list` shows what there is"


def _table(rows: "list[Row]") -> None:
    if not rows:
        typer.echo("Nothing is held that fits.")
        return
    fitting.show([_cells(row) for row in rows], _CUT, _LEFT_OUT)


_CUT = {"sender": 16, "recipient": 16, "subject": 16}  # may be cut to that many columns
_LEFT_OUT = ("score", "subject", "received", "state")  # in this order, where the terminal is too narrow


def _cells(row: "Row") -> dict[str, str]:
    cells = {
        "id": row.key.message, "received": time_text(row.received)[:16].replace("T", " "), "class": row.verdict,
        "score": f"{row.score:g}", "sender": row.sender or "<>", "recipient": row.key.recipient, "subject": row.subject,
        "state": row.state + (", on hold" if row.on_hold else ""),
    }  # fmt: skip
    return {name: printable(cell) for name, cell in cells.items()}


def _story(shown: dict[str, Any]) -> None:
    out = console()
    for name in ("id", "from", "client", "received", "size"):
        out.print(f"{name + ':':<13}{printable(str(shown[name]))}", soft_wrap=True)
    out.print("\nWhy it is here")
    for each in shown["copies"]:
        hold = ", on hold" if each["on_hold"] else ""
        said = f"; {each['reply']}" if each["reply"] else ""
        text = f"  {each['recipient']}: {each['class']}, score {each['score']:g}, by {each['rule']}; {each['state']}{hold}{said}"
        out.print(printable(text), soft_wrap=True)
    for sentence in shown["why"]:
        out.print(f"  {printable(sentence)}", soft_wrap=True)
    out.print("\nHeader")
    for line in shown["header"]:
        out.print(f"  {printable(line)}", soft_wrap=True)
    out.print("\nText")
    for line in shown["text"]:
        out.print(f"  {printable(line)}", soft_wrap=True)
    if shown["attachments"]:
        out.print("\nAttachments")
        for each in shown["attachments"]:
            out.print(f"  {printable(each['name'] or '(no name)')}, {printable(each['type'])}, {each['size']} octets")
    for title in ("requests", "events"):
        if shown[title]:
            out.print(f"\n{title.capitalize()}")
            for each in shown[title]:
                out.print("  " + printable(", ".join(f"{each[key]}" for key in each if each[key])), soft_wrap=True)
