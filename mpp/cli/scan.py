"""`mpp scan`: the whole pipeline on files, without delivery: what the checks find, what is decided, and why.

Files may have LF or CRLF ends; they are judged as the gateway would have got them, with CRLF. A leading mbox line
`From ` is skipped.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mpp.cli import options as given
from mpp.cli.errors import fail
from mpp.cli.shown import console

if TYPE_CHECKING:
    from mpp.gateway.settings import Listener, Settings
    from mpp.mail.message import Message
    from mpp.store.lists import KnownLists
    from mpp.verdict.finding import Finding
    from mpp.verdict.plan import Plan
    from mpp.verdict.transaction import Transaction

CLEAN, FOUND, FAILED = 0, 1, 2  # exit codes
_MBOX = re.compile(rb"From [^\r\n]*\r?\n")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What became of one file; `error` where it could not be read."""

    file: str
    plan: "Plan | None" = None
    findings: "Sequence[Finding]" = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who is said to have sent the files, and to whom."""

    reverse_path: str
    recipients: tuple[str, ...]
    address: str
    helo: str


def scan(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Mail files (RFC 5322).")],
    settings: given.SettingsOption = None,
    scanner: given.ScannerOption = None,
    no_checks: given.NoChecksOption = False,
    sender: given.SenderOption = "",
    rcpt: Annotated[
        list[str] | None, typer.Option("--rcpt", metavar="ADDRESS", help="A recipient; may be repeated.")
    ] = None,
    ip: given.ClientOption = "127.0.0.1",
    helo: Annotated[str, typer.Option("--helo", metavar="NAME", help="Name that the client gave.")] = "localhost",
    listener: Annotated[
        str, typer.Option("--listener", metavar="NAME", help="Judge as for this listener; default: the first one.")
    ] = "",
    as_json: given.JsonOption = False,
) -> None:
    """Scan mail files. Exit 0: clean; 1: another verdict; 2: a scanner failed or a file could not be read."""
    value = given.scan_settings(settings, given.Options(scanners=tuple(scanner or ()), no_checks=no_checks), FAILED)
    place = listener_of(value, listener)
    who = Sender(*addresses_of(sender, rcpt or ["recipient@localhost"]), _address(ip), helo)
    code = CLEAN
    shown = _json_line if as_json else _table
    by_file = not scanner and not no_checks and (settings is not None or given.DEFAULT_FILE.exists())
    for scanned in _scan_all(files, value, place, who, _lists(value, by_file), is_ours=not rcpt):
        shown(scanned)
        code = max(code, exit_code(scanned))
    raise typer.Exit(code)


def exit_code(scanned: Scanned) -> int:
    """0 clean; 2 where it is unchecked because a scanner failed, or was not read; else 1."""
    from mpp.verdict.finding import OnFailure, Verdict

    if scanned.plan is None:
        return FAILED
    if scanned.plan.verdict is Verdict.CLEAN:
        return CLEAN
    failed = any(finding.failure not in (None, OnFailure.CONTINUE) for finding in scanned.findings)
    return FAILED if failed and scanned.plan.verdict is Verdict.UNCHECKED else FOUND


def as_object(scanned: Scanned) -> dict[str, Any]:
    """Return the object that `--json` prints."""
    if scanned.plan is None:
        return {"file": scanned.file, "error": scanned.error}
    plan = scanned.plan
    return {
        "file": scanned.file,
        "verdict": plan.verdict.value,
        "disposition": {recipient: fate.disposition.value for recipient, fate in plan.fates.items()},
        "score": plan.score,
        "findings": [
            {key: getattr(finding, key) for key in ("check", "symbol", "score", "text", "evidence")}
            for finding in scanned.findings
        ],
        "why": list(plan.why),
    }


def _scan_all(
    files: Sequence[Path],
    settings: "Settings",
    listener: "Listener | None",
    who: Sender,
    lists: "KnownLists",
    *,
    is_ours: bool,
) -> Iterator[Scanned]:
    """One after the other, as answers come. Files are read outside the loop, so that Ctrl-C ends a slow read."""
    import asyncio

    from mpp.checks.attachments.inspector import Inspector
    from mpp.checks.layers.build import layers_of
    from mpp.checks.scanners.scanner import Tools
    from mpp.gateway.assembly import Judges, attachments_of, rules_of
    from mpp.gateway.pipeline import judge
    from mpp.net.tls import client_contexts
    from mpp.settings.tenants import Directory
    from mpp.verdict.decide import decide

    tools = Tools(contexts=client_contexts(settings.tls), resolvers=settings.node.resolvers)
    inspector = Inspector()
    judges = Judges(
        settings,
        rules_of(settings),
        attachments_of(settings, inspector),
        layers_of(settings.scanners, settings.layers, settings.votes, tools),
        Directory(settings.tenants, settings.groups),
        lists,
    )
    with asyncio.Runner() as runner:
        for file in files:
            try:
                message = message_of(file.read_bytes(), settings)
            except OSError as error:
                yield Scanned(str(file), error=f"cannot be read: {error.strerror or error}")
                continue
            transaction = transaction_of(message, settings, listener, who, is_ours)
            findings: Sequence[Finding] = ()
            if settings.checks:
                until = time.monotonic() + settings.limits.checks_timeout
                findings = runner.run(judge(message, transaction, until, judges)).findings
            yield Scanned(str(file), decide(transaction, settings.marks, findings), findings)
        runner.run(inspector.close())


def _lists(settings: "Settings", by_file: bool) -> "KnownLists":
    """Return the lists as the gateway's workers know them, without writing anything; none in a trial by options, which has no store."""
    from contextlib import closing

    from mpp.gateway.watching import known_lists
    from mpp.mail.escape import printable
    from mpp.settings.tenants import Directory
    from mpp.store.errors import StoreError
    from mpp.store.lists import KnownLists, lists_of
    from mpp.store.opening import open_store_catalog

    data, store = settings.node.data, settings.store
    known = KnownLists(lambda: open_store_catalog(data, store), data)
    if not by_file or not (store.catalog or (data / "catalog.db").exists()):
        return known
    try:
        with closing(open_store_catalog(data, store)) as catalog, catalog.read() as connection:
            known.current = lists_of(connection, Directory(settings.tenants, settings.groups).names)
    except (StoreError, OSError) as error:
        typer.echo(f"lists are those known last, the catalog cannot be asked: {printable(str(error), 300)}", err=True)
        return known_lists(settings)
    return known


def message_of(data: bytes, settings: "Settings") -> "Message":
    from mpp.mail.line_ends import normalise
    from mpp.mail.message import Limits, Message

    limits = settings.limits
    bounds = Limits(
        parts=limits.parts, depth=limits.depth, header_fields=limits.header_fields, header_size=limits.header_size
    )
    mbox = _MBOX.match(data)
    return Message(normalise(data[mbox.end() :] if mbox else data), bounds)


def transaction_of(
    message: "Message", settings: "Settings", listener: "Listener | None", who: Sender, is_ours: bool
) -> "Transaction":
    """What the session would have made of it. Without --rcpt the recipient counts as one of ours."""
    from mpp.gateway.assembly import hostname_of
    from mpp.gateway.routes import RouteTable
    from mpp.mail.address import parse_address
    from mpp.mail.envelope import Client, Envelope, Recipient
    from mpp.net.networks import matcher
    from mpp.verdict.select import PolicySelector
    from mpp.verdict.transaction import Transaction

    routes, trusted = RouteTable(settings), matcher(settings.networks.trusted)(who.address)
    found = {recipient: routes.find(parse_address(recipient)) for recipient in who.recipients}
    ours = frozenset(
        recipient for recipient, route in found.items() if is_ours or not settings.routes or (route and route.ours)
    )
    directions: dict[str, Literal["inbound", "internal", "outbound"]] = {
        recipient: "inbound" if not trusted else "internal" if recipient in ours else "outbound" for recipient in found
    }
    select, name = (
        PolicySelector(settings.policies, settings.policy_rules, settings.groups, settings.tenants),
        listener.name if listener else "",
    )
    return Transaction(
        id="scan",
        envelope=Envelope(who.reverse_path, tuple(map(Recipient, who.recipients))),
        client=Client(who.address, helo=who.helo),
        message=message,
        size=len(message.raw),
        listener=name,
        stage=listener.stage if listener else "edge",
        direction=directions[who.recipients[0]],
        trusted=trusted,
        ours=ours,
        policies={recipient: select.choose(name, recipient, directions[recipient]) for recipient in who.recipients},
        hostname=hostname_of(settings),
        contact=settings.node.contact,
    )


def listener_of(settings: "Settings", name: str) -> "Listener | None":
    if not name:
        return settings.listeners[0] if settings.listeners else None
    listener = next((each for each in settings.listeners if each.name == name), None)
    if listener is None:
        known = ", ".join(each.name for each in settings.listeners)
        fail(f"--listener: there is no listener of this name; there are: {known or 'none'}", FAILED)
    return listener


def addresses_of(sender: str, recipients: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    from mpp.mail.address import AddressError, parse_address
    from mpp.mail.escape import printable

    try:
        for address in (*recipients, *([sender] if sender else [])):
            parse_address(address)
    except AddressError as error:
        fail(f"{printable(address, 80)}: {printable(str(error))}; write user@example.org", FAILED)
    return sender, tuple(dict.fromkeys(recipients))


def _address(text: str) -> str:
    import ipaddress

    from mpp.mail.escape import printable

    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        fail(f"--ip {printable(text, 60)} is no address; write for example 192.0.2.1", FAILED)


def _json_line(scanned: Scanned) -> None:
    typer.echo(json.dumps(as_object(scanned)))


def _table(scanned: Scanned) -> None:
    """For people: a table of the findings, then the decision and why. Outside text is escaped, markup is off."""
    from rich.table import Table
    from rich.text import Text

    from mpp.mail.escape import printable

    file = printable(scanned.file)
    if scanned.plan is None:
        typer.echo(f"{file}: {printable(scanned.error)}; name a file that can be read", err=True)
        return
    out = console()
    plan = scanned.plan
    out.print(f"{file}: {plan.verdict.value}, score {plan.score:g}", soft_wrap=True)
    if scanned.findings:
        table = Table("check", "symbol", "score", "what it saw", box=None, pad_edge=False)
        for finding in scanned.findings:
            text = " ".join(filter(None, (finding.text, finding.evidence)))
            cells = (finding.check, finding.symbol, f"{finding.score:g}", text)
            table.add_row(*(Text(printable(cell, 300)) for cell in cells))
        out.print(table)
    for recipient, fate in plan.fates.items():
        out.print(f"  {printable(recipient)}: {fate.disposition.value} ({printable(fate.rule)})", soft_wrap=True)
    for sentence in plan.why:
        out.print(f"  {printable(sentence)}", soft_wrap=True)
    out.print()
