"""`mpp lists add|remove|show|test`: allow and block lists in the catalog. Running workers take a change within seconds."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpp.cli import fitting
from mpp.cli.errors import fail
from mpp.cli.opened import TenantOption, opened
from mpp.cli.options import ClientOption, JsonOption, SettingsOption
from mpp.cli.selecting import moment
from mpp.cli.shown import printable, time_text

if TYPE_CHECKING:
    from mpp.verdict.lists import Entry, Level

app = typer.Typer(name="lists", help="Allow and block lists.", no_args_is_help=True, rich_markup_mode=None)

_LEVELS = ("user", "group", "domain", "tenant", "global")

PatternArgument = Annotated[
    str,
    typer.Argument(
        metavar="PATTERN",
        help='Whom it is about: "bob@example.net", "@example.net", "@.example.net" with subdomains, "@." all, or a network.',
    ),
]
LevelOption = Annotated[str, typer.Option("--level", metavar="LEVEL", help="user, group, domain, tenant or global.")]
OwnerOption = Annotated[
    str, typer.Option("--owner", metavar="WHO", help="Whose list: the user's address, the group, the domain.")
]


@app.command()
def add(
    action: Annotated[str, typer.Argument(metavar="allow|block")],
    pattern: PatternArgument,
    level: LevelOption = "tenant",
    owner: OwnerOption = "",
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network", metavar="NETWORK", help="An allow entry counts for mail from there. May be repeated."
        ),
    ] = None,
    override: Annotated[
        bool, typer.Option("--override", help="RISKY: allow without proof of who sends; anybody can write any sender.")
    ] = False,
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help='Until then: "2026-12-31", or "+30d".')
    ] = "",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why it is there.")] = "",
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
) -> None:
    """Add an entry, or change the one that the list has for this pattern."""
    from mpp.settings.values import read_network
    from mpp.store import events
    from mpp.store.lists import put
    from mpp.verdict.lists import Entry

    if action not in ("allow", "block"):
        fail("write allow or block, then whom")
    place, whose, whom = _place(level, owner, pattern)
    try:
        networks = tuple(map(read_network, network or ()))
    except ValueError as error:
        fail(f"--network {error}")
    entry = Entry(action, place, whose, whom, networks, override, _expiry(expires), note)  # type: ignore[arg-type]
    with opened(settings, tenant, records=True) as store, store.catalog.write() as connection:
        if place.name == "GROUP" and whose not in store.settings.groups:
            fail(f"--owner: there is no group {printable(whose)} in the settings; add [groups.{printable(whose)}]")
        put(connection, tenant, entry, store.actor)
        events.record(connection, [events.Event(store.actor, "list-added", tenant, detail={"entry": str(entry)})])
    typer.echo(f"added: {printable(str(entry))}")
    _warn(entry)


@app.command()
def remove(
    pattern: PatternArgument,
    level: LevelOption = "tenant",
    owner: OwnerOption = "",
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
) -> None:
    """Remove an entry."""
    from mpp.store import events
    from mpp.store import lists as kept

    place, whose, whom = _place(level, owner, pattern)
    shown = f"{whom} ({level} {whose}".rstrip() + ")"
    with opened(settings, tenant, records=True) as store, store.catalog.write() as connection:
        if not kept.remove(connection, tenant, place, whose, whom):
            fail(f"{printable(shown)}: there is no such entry; `mpp lists show` shows what there is")
        events.record(connection, [events.Event(store.actor, "list-removed", tenant, detail={"entry": shown})])
    typer.echo(f"removed: {printable(shown)}")


@app.command()
def show(settings: SettingsOption = None, tenant: TenantOption = "default", as_json: JsonOption = False) -> None:
    """Show the tenant's entries and those for all, with who made them."""
    from mpp.store.lists import GLOBAL, entries

    with opened(settings, tenant) as store, store.catalog.read() as connection:
        found = [*entries(connection, tenant), *entries(connection, GLOBAL)]
    if as_json:
        for entry, about in found:
            typer.echo(json.dumps(_as_object(entry) | {"who": about["who"], "at": time_text(about["at"])}))
        return
    _table([(entry, about["who"]) for entry, about in found])


@app.command(name="test")
def try_(
    sender: Annotated[str, typer.Argument(metavar="FROM", help='Address of the sender; "<>": the null one.')],
    recipient: Annotated[str, typer.Argument(metavar="TO", help="Address of the recipient.")],
    ip: ClientOption = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which entry wins for a mail from FROM to TO, and why. Exit 0: one holds; 1: none does."""
    from mpp.settings.tenants import Directory
    from mpp.store.lists import lists_of
    from mpp.verdict.lists import Recipient, Sender

    with opened(settings, "default") as store, store.catalog.read() as connection:
        directory = Directory(store.settings.tenants, store.settings.groups)
        tenant = directory.tenant(recipient)
        lists = lists_of(connection, [tenant])
    whom = Recipient(recipient, tenant, directory.groups(recipient))
    match = lists.find(Sender(("" if sender == "<>" else sender,), ip), whom, time.time())
    holds = match.entry
    if as_json:
        passed = [{**_as_object(entry), "why": why} for entry, why in match.passed]
        entry = _as_object(holds) if holds else None
        typer.echo(
            json.dumps({"tenant": tenant, "entry": entry, "why": match.why, "risky": match.risky, "passed": passed})
        )
    else:
        for each, why in match.passed:
            typer.echo(f"does not count: {printable(str(each))}: {printable(why)}")
        typer.echo(f"{printable(str(holds))}: {printable(match.why)}" if holds else "no entry holds: the checks decide")
    if holds is None:
        raise typer.Exit(1)


def _place(level: str, owner: str, pattern: str) -> "tuple[Level, str, str]":
    from mpp.verdict.lists import Level, read_owner, read_pattern

    if level not in _LEVELS:
        fail(f"--level: there is no such level; write one of {', '.join(_LEVELS)}")
    place = Level[level.upper()]
    try:
        whose = read_owner(place, owner)
    except ValueError as error:
        fail(f"--owner {printable(owner)} {error}")
    try:
        return place, whose, read_pattern(pattern)
    except ValueError as error:
        fail(f"{printable(pattern)} {error}")


def _expiry(text: str) -> float:
    """Return seconds since 1970, 0 for never."""
    if not text:
        return 0.0
    if text.startswith("+"):
        return 2 * time.time() - (moment(text[1:], "--expires") or 0) / 1000  # as far ahead as the age lies back
    return (moment(text, "--expires") or 0) / 1000


def _warn(entry: "Entry") -> None:
    if entry.action != "allow" or "@" not in entry.pattern or entry.networks:
        return
    if entry.override:
        typer.echo("RISKY: it holds for whoever writes such a sender; --network says from where it counts", err=True)
    else:
        typer.echo(
            "It counts only where the sender is proved, which no check does yet: name --network, or take the risk with --override",
            err=True,
        )


def _as_object(entry: "Entry") -> dict[str, Any]:
    return {
        "action": entry.action,
        "level": entry.level.name.lower(),
        "owner": entry.owner,
        "pattern": entry.pattern,
        "networks": list(map(str, entry.networks)),
        "override": entry.override,
        "expires": time_text(entry.expires * 1000) if entry.expires else None,
        "note": entry.note,
    }


def _table(found: "list[tuple[Entry, str]]") -> None:
    if not found:
        typer.echo("The lists are empty.")
        return
    fitting.show([_cells(entry, who) for entry, who in found], _CUT, _LEFT_OUT)


_CUT = {"counts from": 16, "note": 16}  # may be cut to that many columns
_LEFT_OUT = ("by", "note", "until")  # in this order, where the terminal is too narrow


def _cells(entry: "Entry", who: str) -> dict[str, str]:
    cells = {
        "action": entry.action,
        "whom": entry.pattern,
        "whose": f"{entry.level.name.lower()} {entry.owner}".rstrip(),
        "counts from": "RISKY: anywhere" if entry.override else " ".join(map(str, entry.networks)),
        "until": time_text(entry.expires * 1000)[:16].replace("T", " ") if entry.expires else "",
        "note": entry.note,
        "by": who,
    }
    return {name: printable(cell) for name, cell in cells.items()}
