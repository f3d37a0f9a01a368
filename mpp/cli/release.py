"""`mpp quarantine release|learn|request|requests|answer`: held mail goes on its way, or somebody asks for it."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpp.cli import selecting as given
from mpp.cli.errors import fail
from mpp.cli.opened import TenantOption, opened
from mpp.cli.options import JsonOption, SettingsOption
from mpp.cli.shown import named, printable, time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpp.checks.scanners.learning import Learnt, Lesson
    from mpp.checks.scanners.settings import Scanner
    from mpp.cli.opened import Opened
    from mpp.gateway.release import Order, Releaser
    from mpp.gateway.settings import Settings
    from mpp.store.quarantine_query import Key, Row
    from mpp.store.reader import Reader
    from mpp.verdict.roles import ReleaseRule


def release(
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
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="Send it there, where the role may.")] = "",
    again: Annotated[
        bool,
        typer.Option("--again", help="Those of which it is unknown whether they were delivered: it may come twice."),
    ] = False,
    role: given.RoleOption = "admin",
    as_json: JsonOption = False,
) -> None:
    """Deliver held copies to their recipients; done only where the next hop said 250, which is shown."""
    from mpp.cli.bulk import chosen
    from mpp.gateway.release import Order

    asker = given.asker_of(role, recipient)
    wanted = given.filter_of(
        recipient=recipient, domain=domain, sender=sender, verdict=verdict, rule=rule,
        state="unknown" if again else "held", least=least, most=most, since=since, until=until, subject=subject,
    )  # fmt: skip
    with opened(settings, tenant, records=True) as store:
        _give_up(store)
        rows = chosen(store, identifiers or [], wanted, asker, everything=everything)
        rows = _permitted(rows, asker, store.settings.release_rules, elsewhere=bool(to))
        _release(store, rows, Order(tenant, store.acting_as(role), to, again=again), as_json=as_json)


def _give_up(store: "Opened") -> None:
    """Make `unknown` of what a process that has ended was about to release."""
    from mpp.store.quarantine import abandon, node_name

    with store.catalog.write() as connection:
        abandon(connection, store.tenant, node_name())


def _release(store: "Opened", rows: "list[Row]", order: "Order", *, as_json: bool) -> None:
    """Deliver the copies, which the role may release, and tell what became of them. Ends the command with 1 where one was not."""
    import asyncio

    from mpp.cli.bulk import bulk
    from mpp.gateway.release import BATCH, Releaser

    with store.reader() as reader, asyncio.Runner() as runner:
        releaser = runner.run(_made(lambda: Releaser(store.settings, store.catalog, reader)))

        def work(keys: "list[Key]") -> list[dict[str, Any]]:
            return [
                {**named(each.key), "state": each.state, "reply": each.reply, "host": each.host, "to": each.to}
                for each in runner.run(releaser.release(keys, order))
            ]

        try:
            bulk(rows, work, as_json=as_json, word="released", batch=BATCH)
        finally:
            runner.run(releaser.close())


async def _made(make: "Callable[[], Releaser]") -> "Releaser":
    return make()


def _permitted(
    rows: "list[Row]", asker: given.Asker, rules: "Sequence[ReleaseRule]", *, elsewhere: bool
) -> "list[Row]":
    """Return the rows that the role may release. Ends the command where it may release none of them, and says of others how many."""
    from mpp.verdict.roles import Right, rule_for

    free = [row for row in rows if given.right_of(row, asker, rules) is Right.RELEASE]
    if elsewhere:
        free = [row for row in free if rule_for(rules, asker.role, row.key.recipient).elsewhere]
    if rows and not free:
        what = "send held mail elsewhere" if elsewhere else f"release {rows[0].verdict} mail"
        fail(f"A {asker.role} may not {what}; ask for it: mpp quarantine request ID --reason TEXT")
    if len(free) < len(rows):
        typer.echo(f"{len(rows) - len(free)} left out: a {asker.role} may not release them", err=True)
    return free


def learn(
    identifiers: given.IdsArgument = None,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
    domain: given.DomainOption = "",
    sender: given.SenderOption = "",
    verdict: given.ClassOption = "",
    since: given.SinceOption = "",
    until: given.UntilOption = "",
    subject: given.SubjectOption = "",
    everything: given.AllOption = False,
    spam: Annotated[bool, typer.Option("--spam", help="It is spam.")] = False,
    ham: Annotated[bool, typer.Option("--ham", help="It is none.")] = False,
    scanner: Annotated[str, typer.Option("--scanner", metavar="NAME", help="Only this one; default: each spamd.")] = "",
    role: given.RoleOption = "admin",
    as_json: JsonOption = False,
) -> None:
    """Teach SpamAssassin what held messages are (spamd --allow-tell)."""
    import asyncio

    from mpp.cli.bulk import bulk, chosen

    if spam == ham:
        fail("say what it is: --spam or --ham")
    lesson: Lesson = "spam" if spam else "ham"
    asker = given.asker_of(role, recipient)
    wanted = given.filter_of(
        recipient=recipient, domain=domain, sender=sender, verdict=verdict, since=since, until=until, subject=subject
    )
    with opened(settings, tenant, records=True) as store, store.reader() as reader, asyncio.Runner() as runner:
        teachers = _teachers(store.settings, scanner)

        def work(keys: "list[Key]") -> list[dict[str, Any]]:
            return runner.run(_teach_all(store, reader, teachers, keys, lesson, store.acting_as(role)))

        rows = chosen(store, identifiers or [], wanted, asker, everything=everything)
        bulk(rows, work, as_json=as_json, word="learnt", batch=20)


def _teachers(settings: "Settings", name: str) -> "list[Scanner]":
    found = [each for each in settings.scanners if each.kind == "spamd" and name in ("", each.name)]
    if not found:
        known = ", ".join(each.name for each in settings.scanners if each.kind == "spamd")
        fail(f"no spamd {'of this name ' if name else ''}in the settings" + (f"; there are: {known}" if known else ""))
    return found


async def _teach_all(
    store: "Opened", reader: "Reader", teachers: "list[Scanner]", keys: "list[Key]", lesson: "Lesson", actor: str
) -> list[dict[str, Any]]:
    """Teach each copy's message to all; it is `learnt` where every server gave an answer."""
    from mpp.checks.scanners.learning import learn as teach
    from mpp.net.tls import client_contexts
    from mpp.store.quarantine import note

    results = []
    contexts = client_contexts(store.settings.tls)
    for key in keys:
        with store.catalog.read() as connection:
            stored = reader.message(connection, store.tenant, key.message)
        if stored is None:
            continue
        said: list[Learnt] = []
        for scanner in teachers:
            said += await teach(scanner, stored.raw, lesson, key.recipient, contexts)
        failed = [f"{each.server}: {each.cause}" for each in said if each.cause]
        with store.catalog.write() as connection:
            note(connection, store.tenant, key, actor, f"learnt-{lesson}", {"failed": failed})
        state = "failed" if failed else "learnt"
        changed = "; ".join(failed) or ("new to it" if any(each.changed for each in said) else "known already")
        results.append({**named(key), "state": state, "reply": changed})
    return results


def request(
    identifier: given.IdArgument,
    reason: given.ReasonOption,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
    role: given.RoleOption = "user",
) -> None:
    """Ask for a copy that the role may not release by itself."""
    from mpp.store.requests import ask
    from mpp.verdict.roles import Right

    asker = given.asker_of(role, recipient)
    with opened(settings, tenant, records=True) as store, store.catalog.write() as connection:
        row = given.copy_named(connection, tenant, identifier, asker)
        if given.right_of(row, asker, store.settings.release_rules) is Right.NOTHING:
            fail(f"{printable(identifier)}: a {role} may not ask for {row.verdict} mail; nobody would release it")
        ask(connection, tenant, row.key, f"{store.acting_as(role)} {asker.recipient}".strip(), reason)
    typer.echo("asked; `mpp quarantine requests` shows what waits")


def requests(
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    answered: Annotated[bool, typer.Option("--answered", help="Those too that were answered.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List requests, the oldest first."""
    from mpp.store.requests import requests_of

    with opened(settings, tenant) as store, store.catalog.read() as connection:
        found = requests_of(connection, tenant, waiting=not answered)
    for each in found:
        about = {
            **named(each.key), "by": each.asked_by, "at": time_text(each.asked_at), "reason": each.reason,
            "state": each.state, "answered_by": each.answered_by, "answer": each.answer,
        }  # fmt: skip
        shown = ", ".join(f"{name} {value}" for name, value in about.items() if value)
        typer.echo(json.dumps(about) if as_json else printable(shown))
    if not found and not as_json:
        typer.echo("No request waits.")


def answer(
    identifier: given.IdArgument,
    settings: SettingsOption = None,
    tenant: TenantOption = "default",
    recipient: given.RecipientOption = "",
    grant: Annotated[bool, typer.Option("--grant", help="Let it go: it is released by you.")] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="It stays.")] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What the one who asked is told.")] = "",
    role: given.RoleOption = "admin",
    as_json: JsonOption = False,
) -> None:
    """Answer a request; what is granted is released at once, as far as the role may."""
    from mpp.gateway.release import Order
    from mpp.store import requests as asked

    if grant == refuse:
        fail("say what the answer is: --grant or --refuse")
    asker = given.asker_of(role, recipient)
    with opened(settings, tenant, records=True) as store:
        row, who = given.releasable(store, identifier, asker), store.acting_as(role)
        with store.catalog.write() as connection:
            if not asked.answer(connection, tenant, row.key, who, reason, granted=grant):
                fail(f"{printable(identifier)}: no request waits for it; `mpp quarantine requests` shows what does")
        if grant:
            _give_up(store)
            _release(store, [row], Order(tenant, who), as_json=as_json)
        else:
            typer.echo("refused")


COMMANDS = (release, learn, request, requests, answer)
