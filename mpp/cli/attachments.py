"""`mpp attachments`: what the files of a mail are, looked at as the gateway would look at them.

The work is done in a confined process of its own; nothing is unpacked to disk, and nothing is sent, judged or changed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpp.cli import options as given
from mpp.cli.scan import Sender, addresses_of, listener_of, message_of, transaction_of
from mpp.mail.escape import printable

if TYPE_CHECKING:
    from mpp.checks.attachments.item import Item
    from mpp.checks.attachments.policy import Ruling
    from mpp.gateway.settings import Settings
    from mpp.mail.message import Message
    from mpp.verdict.transaction import Transaction

app = typer.Typer(name="attachments", help="Look into attached files.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def attachments() -> None:
    """Look into attached files."""


@app.command()
def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Mails or bare files.", show_default=False)],
    as_json: given.JsonOption = False,
) -> None:
    """Say of each file, and of those inside it, what it is and what is to be feared of it."""
    for file, _, items in _inspected(files):
        row = {"file": str(file), "items": [_described(item) for item in items]}
        typer.echo(json.dumps(row) if as_json else "\n".join(_lines(row)))


@app.command("test")
def try_rules(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Mails or bare files.", show_default=False)],
    settings: given.SettingsOption = None,
    sender: given.SenderOption = "",
    to: Annotated[
        list[str] | None, typer.Option("--to", metavar="ADDRESS", help="A recipient; may be repeated.")
    ] = None,
    ip: given.ClientOption = "127.0.0.1",
    as_json: given.JsonOption = False,
) -> None:
    """Say which rule for attachments acts on which file, for whom and why. Nothing but these rules is asked."""
    from mpp.checks.attachments.policy import Rulebook

    value = given.scan_settings(settings, given.Options(), 1)
    book = Rulebook(value.attachments, value.attachment_lists)
    who = Sender(*addresses_of(sender, to or ["recipient@localhost"]), ip, "localhost")
    for file, data, items in _inspected(files):
        message = message_of(data, value)
        transaction = transaction_of(message, value, listener_of(value, ""), who, is_ours=not to)
        row: dict[str, Any] = {"file": str(file), "rules": [], "recipients": {}}
        for numbers, addresses in book.groups(transaction).items():
            rulings = book.judge(numbers, items)
            row["rules"] += [_ruled(each, addresses) for each in rulings]
            row["recipients"] |= _become(rulings, message, transaction, value, addresses)
        typer.echo(json.dumps(row) if as_json else "\n".join(_rule_lines(row)))


def _ruled(ruling: "Ruling", addresses: list[str]) -> dict[str, Any]:
    return {
        "path": ruling.item.path,
        "rule": ruling.rule.name,
        "action": ruling.rule.action,
        "why": ruling.why,
        "recipients": addresses,
    }


def _become(
    rulings: "list[Ruling]", message: "Message", transaction: "Transaction", settings: "Settings", addresses: list[str]
) -> dict[str, Any]:
    """Return what becomes of the mail for these recipients, by these rules alone."""

    from mpp.checks.attachments.acting import act
    from mpp.verdict.decide import decide

    found = act(rulings, message, transaction, settings.inspection, {})
    plan = decide(transaction, settings.marks, [each._replace(recipients=frozenset(addresses)) for each in found])
    return {address: plan.fates[address].disposition.value for address in addresses}


def _rule_lines(row: dict[str, Any]) -> list[str]:
    lines = [printable(row["file"])]
    for each in row["rules"]:
        whom = ", ".join(printable(address) for address in each["recipients"])
        lines.append(f"  {printable(each['path'], 200)}: rule {each['rule']}, {each['action']}, for {whom}")
        lines.append(f"    {printable(each['why'], 300)}")
    if not row["rules"]:
        lines.append("  no rule holds")
    return lines + [f"  {printable(address)}: {fate}" for address, fate in row["recipients"].items()]


def _inspected(files: list[Path]) -> "Iterator[tuple[Path, bytes, list[Item]]]":
    """Yield each file with its octets and what is said of them. Ends the command with 1 where one could not be read."""
    from mpp.checks.attachments.helper import Helper
    from mpp.checks.attachments.item import Limits
    from mpp.checks.attachments.unpacking import find_unpacker

    failed = False
    with Helper(find_unpacker()) as helper:
        for file in files:
            try:
                data = file.read_bytes()
            except OSError as error:
                reason = printable(error.strerror or str(error))
                typer.echo(f"{printable(str(file))}: {reason}; name files that can be read", err=True)
                failed = True
                continue
            yield file, data, helper.inspect_whole(data, file.name, Limits())
    if failed:
        raise typer.Exit(1)


def _described(item: "Item") -> dict[str, Any]:
    return {
        "path": item.path,
        "name": item.name,
        "declared": item.declared,
        "type": item.type,
        "size": item.size,
        "sha256": item.sha256,
        "flags": sorted(item.flags),
    }


def _lines(row: dict[str, Any]) -> list[str]:
    lines = [printable(row["file"])]
    for item in row["items"]:
        flags = f"  {', '.join(item['flags'])}" if item["flags"] else ""
        lines.append(f"  {printable(item['path'], 200)}  {printable(item['type'], 100)}  {item['size']} octets{flags}")
    return lines
