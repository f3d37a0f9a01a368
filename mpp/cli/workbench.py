"""`mpp filters import|test|stats|replay|suggest`: what rules do, before they do it to mail."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mpp.cli import options as given
from mpp.cli.errors import fail
from mpp.cli.filters import app, open_table
from mpp.cli.placed import store_of

if TYPE_CHECKING:
    from mpp.gateway.settings import Settings
    from mpp.gateway.trial import Trial, Tried
    from mpp.mail.message import Message
    from mpp.verdict.plan import Plan

OnOption = Annotated[list[Path], typer.Option("--on", metavar="FILE", help="Mails: files, mboxes, folders of them.")]
_SOURCES = ("header_checks", "body_checks", "mime_header_checks", "access")


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(metavar="|".join(_SOURCES), help="What the table is in main.cf.")],
    table: Annotated[str, typer.Argument(metavar="[pcre:|regexp:]FILE", help="The table; pcre where not said.")],
    where: Annotated[
        Literal["sender", "recipient", "client", "helo"],
        typer.Option("--where", help="What an access table is asked for."),
    ] = "sender",
    live: Annotated[bool, typer.Option("--live", help="One rule that follows the file itself.")] = False,
) -> None:
    """Print a table of Postfix as rules for the settings file; on stderr what cannot carry over, by line, and what to do."""
    from mpp.checks.content.importing import import_table
    from mpp.mail.escape import printable
    from mpp.settings.write import toml_key, toml_value

    if source not in _SOURCES:
        fail(f"{printable(source, 60)} is no kind of table; write one of {', '.join(_SOURCES)}", 2)
    name = table if table.startswith(("pcre:", "regexp:")) else f"pcre:{table}"
    kind, _, path = name.partition(":")
    stem = (
        "".join(each if each.isalnum() and each.isascii() else "-" for each in Path(path).name).strip("-")[:40]
        or "table"
    )
    place = {"header_checks": "header", "mime_header_checks": "header", "body_checks": "line"}.get(source, where)
    read = open_table(name)
    if live:
        rules: Sequence[dict[str, object]] = [{"name": stem, "where": place, "map": f"{kind}:{Path(path).absolute()}"}]
        left = [f"line {each.line}: {each.text}; mend it, Postfix leaves it out too" for each in read.warnings]
    else:
        imported = import_table(read, source, where, stem)  # type: ignore[arg-type]
        rules = imported.rules
        left = [f"line {each.line}: {each.why}; {each.cure}" for each in imported.left]
    for rule in rules:
        lines = [f"{toml_key(key)} = {toml_value(value)}" for key, value in rule.items()]
        typer.echo("\n".join(["[[filters]]", *lines, ""]))
    for text in left:
        typer.echo(f"{printable(name, 200)}, {printable(text, 400)}", err=True)
    typer.echo(f"{len(rules)} rules, {len(left)} lines to look at", err=True)


@app.command("test")
def try_(
    on: OnOption,
    rule: Annotated[
        str, typer.Argument(metavar="[RULE]", help='A rule\'s name, or "PLACE=PATTERN"; none: all rules.')
    ] = "",
    settings: given.SettingsOption = None,
    as_json: given.JsonOption = False,
) -> None:
    """Say which mails a rule would hold for, and what it matched. Exit 0 if any, else 1."""
    from mpp.mail.escape import printable

    value = _with_rule(given.scan_settings(settings, given.Options(), 2), rule)
    count, found = 0, 0
    for name, tried in _tried(_trial(value), on):
        count += 1
        fate = next(iter(tried.plan.fates.values()))
        for finding in tried.findings:
            found += 1
            if as_json:
                row = {"mail": name, "rule": finding.symbol, "matched": finding.evidence, "text": finding.text}
                typer.echo(json.dumps({**row, "disposition": fate.disposition, "by": fate.rule}))
            else:
                typer.echo(
                    f"{printable(name)}: {finding.symbol}: {finding.evidence} ({finding.text}; {fate.disposition})"
                )
    if not as_json:
        typer.echo(f"{found} hits in {count} mails", err=True)
    raise typer.Exit(0 if found else 1)


def _with_rule(settings: "Settings", rule: str) -> "Settings":
    """Return the settings with that rule alone."""
    from pydantic import ValidationError

    from mpp.checks.content.problems import filter_problems
    from mpp.checks.content.settings import Filter
    from mpp.mail.escape import printable

    named = tuple(each for each in settings.filters if each.name == rule)
    where, equals, pattern = rule.partition("=")
    if not rule:
        named = settings.filters
    elif not named and equals:
        try:
            named = (Filter(name="test", where=where, match=(pattern,)),)
        except ValidationError as error:
            fail(f"{printable(rule, 100)}: {printable(error.errors()[0]['msg'], 300)}", 2)
    for problem in filter_problems(named, set(settings.policies)):
        if problem.severity == "error" and not settings.filters:
            fail(problem.text, 2)
    if not named:
        known = ", ".join(each.name for each in settings.filters)
        fail(f'there is no rule {printable(rule, 100)}; there are: {known or "none"}; or write "subject=PATTERN"', 2)
    return settings.model_copy(update={"filters": named})


def _trial(settings: "Settings") -> "Trial":
    from mpp.gateway.trial import Trial
    from mpp.mail.escape import printable

    try:
        return Trial(settings)
    except (OSError, ValueError) as error:
        fail(f"the filters cannot be made: {printable(str(error), 300)}; `mpp settings check` says where", 2)


def _tried(trial: "Trial", paths: Sequence[Path]) -> Iterator[tuple[str, "Tried"]]:
    from mpp.gateway.trial import message_of

    for name, raw in _mails(paths):
        yield name, trial.judge(message_of(raw))


def _mails(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    from mpp.mail.escape import printable
    from mpp.mail.mailbox_files import mails

    for path in paths:
        try:
            yield from mails(path)
        except OSError as error:
            fail(f"{printable(str(path), 200)}: {error.strerror or error}; name files that can be read", 2)


@app.command()
def replay(
    new: Annotated[Path, typer.Option("--new", metavar="FILE", help="The settings that are to be applied.")],
    on: Annotated[
        list[Path] | None, typer.Option("--on", metavar="FILE", help="Mails: files, mboxes, folders of them.")
    ] = None,
    stored: Annotated[int, typer.Option("--stored", metavar="DAYS", help="The stored mails of so many days too.")] = 0,
    tenant: Annotated[str, typer.Option("--tenant", help="Whose stored mails.")] = "default",
    settings: given.SettingsOption = None,
    as_json: given.JsonOption = False,
) -> None:
    """Say which mails would fare differently under new settings, by their filters alone. Exit 0: none; 1: some."""
    from mpp.mail.escape import printable

    if not on and not stored:
        fail("there is nothing to replay; write --on FILE or --stored DAYS", 2)
    current = given.read_file(_file(settings), 2)
    before, after = _trial(current), _trial(given.read_file(new, 2))
    count, changed = 0, 0
    hits: dict[str, int] = {}
    for name, message, sender, recipient in _replayed(on or (), stored, tenant, current):
        count += 1
        old, then = before.judge(message, sender, recipient), after.judge(message, sender, recipient)
        for finding in then.findings:
            hits[finding.symbol] = hits.get(finding.symbol, 0) + 1
        if (row := _change(old.plan, then.plan)) is None:
            continue
        changed += 1
        row = {"mail": name, "message_id": message.text(b"message-id"), **row}
        if as_json:
            typer.echo(json.dumps(row))
        else:
            typer.echo(printable(f"{name} {row['message_id']}: {row['was']} -> {row['becomes']} ({row['by']})", 500))
    for rule, number in sorted(hits.items()):
        if number * 2 > count > 20:
            typer.echo(f"warning: {rule} holds for {number} of {count} mails", err=True)
    typer.echo(f"{changed} of {count} mails would fare differently", err=True)
    raise typer.Exit(1 if changed else 0)


def _replayed(
    paths: Sequence[Path], days: int, tenant: str, settings: "Settings"
) -> Iterator[tuple[str, "Message", str, str]]:
    """Yield name, mail, reverse-path and recipient ("" where the mail itself has to tell)."""
    import time

    from mpp.gateway.trial import message_of
    from mpp.store.recent import recent

    for name, raw in _mails(paths):
        yield name, message_of(raw), "", ""
    if not days:
        return
    with store_of(settings, 2, "the store cannot be read: ") as (catalog, reader):
        for stored in recent(catalog, reader, tenant, int((time.time() - days * 86400) * 1000)):
            recipient = stored.envelope.recipients[0].address
            yield stored.id, message_of(stored.raw), stored.envelope.reverse_path, recipient


def _file(settings: Path | None) -> Path:
    return settings if settings is not None else given.DEFAULT_FILE


def _change(old: "Plan", new: "Plan") -> dict[str, Any] | None:
    was, becomes = next(iter(old.fates.values())), next(iter(new.fates.values()))
    same = (was.disposition, was.to, was.copies, was.edits) == (
        becomes.disposition,
        becomes.to,
        becomes.copies,
        becomes.edits,
    )
    if same:
        return None
    return {"was": was.disposition.value, "becomes": becomes.disposition.value, "by": becomes.rule, "was_by": was.rule}


@app.command()
def stats(settings: given.SettingsOption = None, as_json: given.JsonOption = False) -> None:
    """Hits and cost of each rule from live traffic, rules that never hit or never decide, slow patterns, near-duplicates."""
    from mpp.checks.content.count import Line, read_counts
    from mpp.checks.content.importing import near_duplicates

    value = given.read_file(_file(settings), 2)
    count = read_counts(value.node.data / "filters")
    trial = _trial(value)
    slow: dict[str, list[str]] = {}
    for name, pattern in trial.rules.slow():
        slow.setdefault(name, []).append(pattern)
    near = list(near_duplicates({each.name: list(each.match) for each in value.filters}))
    for rule in value.filters:
        line = count.rules.get(rule.name, Line())
        row = {
            "rule": rule.name,
            "hits": line.hits,
            "share": round(line.hits / count.messages, 6) if count.messages else 0.0,
            "cost_us": round(line.cost_s * 1e6 / max(line.hits, 1), 1),
            "given_up": line.given_up,
            "last": line.last or None,
            "shadowed_by": line.by if line.hits and line.beaten == line.hits else None,
            "dry_run": rule.dry_run,
            "slow": slow.get(rule.name, []),
            "like": [
                other for one, two, _ in near for other in (one, two) if rule.name in (one, two) and other != rule.name
            ],
        }
        typer.echo(json.dumps(row) if as_json else _told(row))
    if not as_json:
        typer.echo(f"{count.messages} messages counted", err=True)


def _told(row: dict[str, Any]) -> str:
    notes = ["never held"] if not row["hits"] else [f"{row['cost_us']} us each"]
    notes += [f"given up {row['given_up']} times"] if row["given_up"] else []
    notes += [f"shadowed: whenever it held, {row['shadowed_by']} decided"] if row["shadowed_by"] else []
    notes += ["slow: hyperscan cannot take it"] if row["slow"] else []
    notes += [f"nearly the same as {', '.join(row['like'])}"] if row["like"] else []
    notes += ["dry run"] if row["dry_run"] else []
    return f"{row['rule']}: {row['hits']} ({row['share']:.2%}); {', '.join(notes)}"


@app.command()
def suggest(
    these: Annotated[
        list[Path], typer.Option("--these", metavar="FILE", help="Mails to be held: files, mboxes, folders.")
    ],
    ham: Annotated[list[Path], typer.Option("--not", metavar="FILE", help="Mails that are not to be hit.")],
    most_false: Annotated[float, typer.Option("--most-false", help="Largest share of those that may be hit.")] = 0.0,
    as_json: given.JsonOption = False,
) -> None:
    """Suggest patterns for what these mails have in common and the others have not, with the hits on both."""
    from mpp.checks.content.suggest import suggest as suggested

    chosen = list(_features(these))
    found = suggested(chosen, _features(ham), most_false=most_false)
    for each in found:
        row = {"where": each.where, "pattern": each.pattern, "hits": each.hits, "false": each.false, "new": each.new}
        if as_json:
            typer.echo(json.dumps(row))
        else:
            typer.echo(f"{each.where}: {each.pattern}  ({each.hits} of {len(chosen)}, {each.false} others)")
    raise typer.Exit(0 if found else 1)


def _features(paths: Sequence[Path]) -> Iterator[set[tuple[str, str]]]:
    from mpp.checks.content.scopes import Scopes
    from mpp.checks.content.suggest import features
    from mpp.gateway.trial import message_of
    from mpp.mail.envelope import Client, Envelope

    for _, raw in _mails(paths):
        message = message_of(raw)
        yield features(message, Scopes(message, Envelope("", ()), Client(""), limit=1 << 16, links=False))
