"""`mpp settings diff|apply|history|rollback`: revisions of the settings, with who made them, when and why."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpp.cli.errors import fail
from mpp.cli.opened import Opened, TenantOption, opened
from mpp.cli.options import DEFAULT_FILE, JsonOption, SettingsOption, load_file
from mpp.cli.shown import printable, time_text

if TYPE_CHECKING:
    from mpp.gateway.settings import Settings
    from mpp.settings.read import Loaded
    from mpp.settings.revisions import Change, Revision

WhyOption = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; it stands in the history.")]


def diff(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Compare this file; default: the gateway's.")
    ] = None,
    old: Annotated[
        int, typer.Option("--from", metavar="N", help="Compare with this revision; default: the newest.")
    ] = 0,
    new: Annotated[int, typer.Option("--to", metavar="N", help="Compare that revision instead of a file.")] = 0,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show what differs: each key with the line of the file. Exit 1 if anything does."""
    from mpp.settings.revisions import differences

    with opened(settings, tenant) as store:
        if not store.provider and not (file or new):
            fail("name the tenant's file, or two revisions: --from N --to N")
        before = _read(_numbered(store, old), store)
        after = _read(_numbered(store, new), store) if new else _load(file or settings or DEFAULT_FILE, store)
    changes = differences(before.settings, after.settings, after.lines)
    for each in changes:
        typer.echo(json.dumps(_change(each, after.name)) if as_json else _line(each, after.name))
    if changes:
        raise typer.Exit(1)
    if not as_json:
        typer.echo(f"{after.name} says what {before.name} says")


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The settings to apply.")],
    why: WhyOption,
    over: Annotated[
        int | None,
        typer.Option("--over", metavar="N", help="Although revision N, which you have looked at, says otherwise."),
    ] = None,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
) -> None:
    """Make a revision of a file; running gateways take it within seconds. What a node needs to start is left out.

    Refused where a sample ([[samples]]) would not become what it must.
    """
    own = file.resolve() == (settings or DEFAULT_FILE).resolve()
    with opened(settings, tenant, records=True) as store:
        if store.provider:
            _apply_all(file, why, over, store, own=own)
        else:
            _apply_own(file, why, over, store)


def _apply_all(file: Path, why: str, over: int | None, store: Opened, *, own: bool) -> None:
    """Make a revision of the provider's settings; `own`: of the very file that the gateway reads."""
    from mpp.settings.revisions import Standing, body_of, differences, digest, standing
    from mpp.store.revisions import append, newest

    loaded = load_file(file)
    for warning in loaded.warnings:
        typer.echo(warning, err=True)
    _refuse_broken(loaded)
    body = body_of(loaded.settings)
    with store.catalog.write() as connection:
        last = newest(connection, store.tenant)
        number = last.number if last else 0
        if last and standing(body, last) is Standing.SAME:
            typer.echo(f"{last.name} says the same already")
            return
        if over is not None and over != number:
            fail(f"--over: the newest revision is {number}; look at it: mpp settings diff {printable(str(file))}")
        if last and own and over is None and standing(body, last) is Standing.BOTH:
            for each in differences(_read(last, store).settings, loaded.settings, loaded.lines):
                typer.echo(_line(each, loaded.name), err=True)
            fail(
                f"the file and the catalog have both changed ({last.name} by {printable(last.who)}: {printable(last.why)}); "
                f"bring them together, or apply it all the same with --over {number}"
            )
        said = digest(body) if own or last is None else last.file
        if last is None and not own:
            said = digest(body_of(store.settings))
        made = append(connection, store.tenant, body, who=store.actor, why=why, file=said, after=number)
    typer.echo(f"{made.name} holds")


def _apply_own(file: Path, why: str, over: int | None, store: Opened) -> None:
    """Make a revision of what a tenant says itself (mpp.settings.own)."""
    from mpp.settings.write import write
    from mpp.store.revisions import append

    loaded, last = _load(file, store), _numbered(store, 0)
    body = write(loaded.settings)
    if body == last.body:
        typer.echo(f"{last.name} of {store.tenant} says the same already")
        return
    if over not in (None, last.number):
        fail(
            f"--over: the newest revision is {last.number}; look at it: mpp settings diff --tenant {store.tenant} FILE"
        )
    with store.catalog.write() as connection:
        made = append(connection, store.tenant, body, who=store.actor, why=why, file=b"", after=last.number)
    typer.echo(f"{made.name} of {store.tenant} holds")


def history(
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="So many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List revisions, the newest first."""
    from mpp.store.revisions import history as kept

    with opened(settings, tenant) as store, store.catalog.read() as connection:
        found = kept(connection, tenant, limit)
    for each in found:
        about = {"revision": each.number, "at": time_text(each.at_ms), "who": each.who, "why": each.why}
        shown = f"{each.number:>5}  {about['at']}  {printable(each.who)}: {printable(each.why)}"
        typer.echo(json.dumps(about) if as_json else shown)
    if not found and not as_json:
        first = (
            "`mpp serve` makes the first one of its settings file"
            if tenant == "default"
            else "the provider's settings hold"
        )
        typer.echo(f"There is no revision yet: {first}.")


def rollback(
    number: Annotated[int, typer.Argument(metavar="N", help="The revision to go back to.")],
    why: WhyOption,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
) -> None:
    """Make a new revision that says what an older one said."""
    from mpp.settings.revisions import differences
    from mpp.store.revisions import append

    with opened(settings, tenant, records=True) as store:
        wanted, last = _numbered(store, number), _numbered(store, 0)
        then = _read(wanted, store)
        changes = differences(_read(last, store).settings, then.settings)
        if changes and store.provider:
            _refuse_broken(then)
        if not changes:
            typer.echo(f"{last.name} says the same already")
            return
        with store.catalog.write() as connection:
            made = append(connection, tenant, wanted.body, who=store.actor, why=why, file=last.file, after=last.number)
    for each in changes:
        typer.echo(str(each))
    typer.echo(f"{made.name} holds, which says what {wanted.name} said")


def _refuse_broken(loaded: "Loaded[Any]") -> None:
    """End the command where a sample would not become what it must under these settings, or their filters cannot be made."""
    from mpp.gateway.trial import sample_problems
    from mpp.settings.problem import report

    try:
        broken = list(sample_problems(loaded.settings))
    except (OSError, ValueError) as error:
        fail(f"{loaded.name}: the filters cannot be made: {printable(str(error))}; mend them, nothing was applied")
    if broken:
        told = report(broken, loaded.name, loaded.lines)
        fail("\n".join([*told, "nothing was applied: a sample would not become what it must"]))


def _numbered(store: Opened, number: int) -> "Revision":
    """Return a revision, the newest one for 0, of a tenant that has none an empty one. Ends the command where there is none."""
    from mpp.settings.revisions import Revision
    from mpp.store.revisions import newest, numbered

    with store.catalog.read() as connection:
        found = numbered(connection, store.tenant, number) if number else newest(connection, store.tenant)
    if found is None and not number and not store.provider:
        return Revision(0, 0, "", "", "", b"")
    if found is None:
        fail(f"there is no revision {number or ''}".rstrip() + "; `mpp settings history` shows what there is")
    return found


def _read(revision: "Revision", store: Opened) -> "Loaded[Any]":
    """Return what a revision says: all settings, or what a tenant says itself."""
    from mpp.gateway.revising import read, read_own
    from mpp.settings.problem import SettingsError

    try:
        if store.provider:
            return read(revision, store.settings)
        return read_own(revision, store.tenant, _provided(store))
    except SettingsError as error:
        fail(str(error))


def _load(file: Path, store: Opened) -> "Loaded[Any]":
    """Return what a file says, in the same way."""
    from mpp.gateway.load import text_of
    from mpp.settings.own import Own, own_rule
    from mpp.settings.problem import SettingsError
    from mpp.settings.read import load

    if store.provider:
        return load_file(file)
    provided = _provided(store)
    rule = own_rule(store.tenant, provided.tenants, provided.groups)
    try:
        return load(text_of(file), printable(str(file)), Own, (rule,))
    except SettingsError as error:
        fail(str(error))


def _provided(store: Opened) -> "Settings":
    """Return the provider's settings that hold."""
    from mpp.gateway.revising import read
    from mpp.settings.problem import SettingsError
    from mpp.settings.tenants import DEFAULT_TENANT
    from mpp.store.revisions import newest

    with store.catalog.read() as connection:
        last = newest(connection, DEFAULT_TENANT)
    try:
        return read(last, store.settings).settings if last else store.settings
    except SettingsError as error:
        fail(str(error))


def _line(change: "Change", name: str) -> str:
    return f"{name}:{change.line}: {change}" if change.line else str(change)


def _change(change: "Change", name: str) -> dict[str, Any]:
    from mpp.settings.problem import dotted

    return {"key": dotted(change.path), "old": change.old, "new": change.new, "file": name, "line": change.line}


COMMANDS = (diff, apply, history, rollback)
