"""`mpp quarantine ...`: what is held, why, and what becomes of it. Every action is one copy's, and leaves an event."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpp.cli import selecting as given
from mpp.cli.errors import fail
from mpp.cli.opened import JsonOption, Opened, TenantOption, opened
from mpp.cli.options import SettingsOption

if TYPE_CHECKING:
    from mpp.store.quarantine_query import Key, Row

app = typer.Typer(
    name="quarantine", help="What is held, and what becomes of it.", no_args_is_help=True, rich_markup_mode=None
)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the message, as in log and list.")]
IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids of messages.")]
AllOption = Annotated[bool, typer.Option("--all", help="All copies that the filters leave, instead of ids.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the event.")]


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
            typer.echo(json.dumps(_as_object(row)))
        return
    _table(rows)
    if more:
        typer.echo(f"More: --after '{more}'")


@app.command()
def show(
    identifier: IdArgument,
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
    with opened(settings, tenant) as store, store.reader() as reader:
        with store.catalog.read() as connection:
            rows = [row for row in copies_of(connection, tenant, identifier) if asker.may_see(row)]
            stored = reader.message(connection, tenant, identifier) if rows else None
            events = about(connection, tenant, identifier, recipient)
            asked = [request_for(connection, tenant, row.key) for row in rows]
        if not rows or stored is None:
            fail(_nothing(identifier))
        with store.catalog.write() as connection:
            note(connection, tenant, rows[0].key, _actor(store, role), "viewed", {})
    shown = {
        **preview(stored),
        "copies": [_as_object(row) for row in rows],
        "requests": [
            {"recipient": each.key.recipient, "state": each.state, "by": each.asked_by, "reason": each.reason, "answer": each.answer}
            for each in asked if each
        ],
        "events": [
            {"at": _time(each.at_ms), "actor": each.actor, "action": each.action, "recipient": each.recipient, **each.detail}
            for each in events
        ],
    }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(shown))
    else:
        _story(shown)


@app.command()
def download(
    identifier: IdArgument,
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
    with opened(settings, tenant) as store, store.reader() as reader:
        row = _releasable(store, identifier, asker)
        with store.catalog.read() as connection:
            stored = reader.message(connection, tenant, identifier)
        if stored is None:
            fail(_nothing(identifier))
        with store.catalog.write() as connection:
            note(connection, tenant, row.key, _actor(store, role), "downloaded", {})
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(stored.raw)
        except OSError as error:
            fail(f"{_printable(str(output))}: {error.strerror}; name another file")
    typer.echo(f"{_printable(str(output))}: {len(stored.raw)} octets")


@app.command()
def delete(
    identifiers: IdsArgument = None,
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
    everything: AllOption = False,
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
    with opened(settings, tenant) as store:

        def work(keys: "list[Key]") -> list[dict[str, Any]]:
            with store.catalog.write() as connection:
                gone = held.delete(connection, tenant, keys, _actor(store, role))
            return [{**_named(key), "state": "deleted"} for key in gone]

        rows = chosen(store, identifiers or [], wanted, asker, everything=everything)
        bulk(rows, work, as_json=as_json, word="deleted")
        while forget.overwrite(store.catalog, store.settings.node.data):
            pass


@app.command()
def hold(
    identifier: IdArgument,
    reason: ReasonOption,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
) -> None:
    """Keep a copy by order: until that is ended it is neither deleted nor does it expire."""
    _hold(settings, tenant, identifier, recipient, reason, on=True)


@app.command(name="release-hold")
def release_hold(
    identifier: IdArgument,
    reason: ReasonOption,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
) -> None:
    """End what `hold` ordered; the copy stays held until it expires or is released."""
    _hold(settings, tenant, identifier, recipient, reason, on=False)


def _hold(settings: Path | None, tenant: str, identifier: str, recipient: str, reason: str, *, on: bool) -> None:
    from mpp.store import quarantine as held

    with opened(settings, tenant) as store, store.catalog.write() as connection:
        row = given.copy_named(connection, tenant, identifier, given.asker_of("admin", recipient))
        if not held.hold(connection, tenant, [row.key], store.actor, reason, on=on):
            fail(f"{_printable(identifier)}: {'is on hold already' if on else 'is not on hold'}, or is no more")
    typer.echo("on hold" if on else "no longer on hold")


def _releasable(store: Opened, identifier: str, asker: given.Asker) -> "Row":
    """Return the copy named, where the role may release it; else the command ends and says what may be done."""
    with store.catalog.read() as connection:
        row = given.copy_named(connection, store.tenant, identifier, asker)
    right = given.right_of(row, asker, store.settings.release_rules)
    if right != "release":
        cure = "ask for it: mpp quarantine request ID --reason TEXT" if right == "request" else "ask your postmaster"
        fail(f"{_printable(row.key.message)}: a {asker.role} may not release {row.verdict} mail; {cure}")
    return row


def _cursor(text: str) -> Any:
    from mpp.store.quarantine_query import Cursor

    if not text:
        return None
    received, _, rest = text.partition(",")
    message, _, recipient = rest.partition(",")
    if not received.isdigit() or not message:
        fail("--after is no place in a list; copy it from the end of the page before")
    return Cursor(int(received), message, recipient)


def _actor(store: Opened, role: str) -> str:
    return store.actor if role == "admin" else f"{store.actor} as {role}"


def _named(key: "Key") -> dict[str, Any]:
    return {"id": key.message, "recipient": key.recipient}


def _as_object(row: "Row") -> dict[str, Any]:
    return {
        **_named(row.key),
        "received": _time(row.received),
        "state": row.state,
        "on_hold": row.on_hold,
        "class": row.verdict,
        "rule": row.rule,
        "score": row.score,
        "sender": row.sender,
        "author": row.author,
        "subject": row.subject,
        "message_id": row.message_id,
        "size": row.size,
        "expires": _time(row.expires),
        "reply": row.reply,
    }


def _time(at_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    from mpp.mail.escape import printable

    return printable(text, 200)


def _nothing(identifier: str) -> str:
    return f"{_printable(identifier)}: no such message in the quarantine; `mpp quarantine list` shows what there is"


@contextmanager
def _console() -> Iterator[Any]:
    from rich.console import Console

    yield Console(markup=False, highlight=False, emoji=False)


def _table(rows: "list[Row]") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("id", "received", "class", "score", "sender", "recipient", "subject", "state"):
        table.add_column(name, overflow="fold", no_wrap=name in ("id", "received", "class"))
    for row in rows:
        state = row.state + (", on hold" if row.on_hold else "")
        cells = (
            row.key.message, _time(row.received)[:16].replace("T", " "), row.verdict, f"{row.score:g}",
            row.sender or "<>", row.key.recipient, row.subject, state,
        )  # fmt: skip
        table.add_row(*(Text(_printable(cell)) for cell in cells))
    with _console() as console:
        console.print(table if rows else "Nothing is held that fits.")


def _story(shown: dict[str, Any]) -> None:
    with _console() as console:
        for name in ("id", "from", "client", "received", "size"):
            console.print(f"{name + ':':<13}{_printable(str(shown[name]))}", soft_wrap=True)
        console.print("\nWhy it is here")
        for each in shown["copies"]:
            hold = ", on hold" if each["on_hold"] else ""
            said = f"; {each['reply']}" if each["reply"] else ""
            text = f"  {each['recipient']}: {each['class']}, score {each['score']:g}, by {each['rule']}; {each['state']}{hold}{said}"
            console.print(_printable(text), soft_wrap=True)
        for sentence in shown["why"]:
            console.print(f"  {_printable(sentence)}", soft_wrap=True)
        console.print("\nHeader")
        for line in shown["header"]:
            console.print(f"  {_printable(line)}", soft_wrap=True)
        console.print("\nText")
        for line in shown["text"]:
            console.print(f"  {_printable(line)}", soft_wrap=True)
        if shown["attachments"]:
            console.print("\nAttachments")
            for each in shown["attachments"]:
                console.print(
                    f"  {_printable(each['name'] or '(no name)')}, {_printable(each['type'])}, {each['size']} octets"
                )
        for title in ("requests", "events"):
            if shown[title]:
                console.print(f"\n{title.capitalize()}")
                for each in shown[title]:
                    console.print(
                        "  " + _printable(", ".join(f"{each[key]}" for key in each if each[key])), soft_wrap=True
                    )
