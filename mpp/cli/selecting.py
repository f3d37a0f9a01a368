"""Which copies a command is about: ids, or filters; and what the one who asks may do with them."""

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mpp.cli.errors import fail
from mpp.cli.shown import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from mpp.cli.opened import Opened
    from mpp.store.quarantine_query import Filter, Row
    from mpp.verdict.roles import ReleaseRule, Right

Role = Literal["user", "helpdesk", "admin"]
_ROLES = ("user", "helpdesk", "admin")
_AGO = re.compile(r"(\d+)([mhd])")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the message, as in log and list.")]
IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids of messages.")]
AllOption = Annotated[bool, typer.Option("--all", help="All copies that the filters leave, instead of ids.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the event.")]
RoleOption = Annotated[
    str, typer.Option("--as", metavar="ROLE", help="user (with --recipient), helpdesk or admin: see [[release_rules]].")
]
RecipientOption = Annotated[str, typer.Option("--recipient", metavar="ADDRESS", help="Copies for this recipient.")]
DomainOption = Annotated[str, typer.Option("--domain", metavar="NAME", help="Copies for recipients of this domain.")]
SenderOption = Annotated[
    str, typer.Option("--sender", metavar="ADDRESS", help='From this sender; "@example.net": a domain; "<>": null.')
]
ClassOption = Annotated[
    str,
    typer.Option(
        "--class", metavar="CLASS", help="virus, banned, unchecked, forged-bounce, spam, stripped or undeliverable."
    ),
]
RuleOption = Annotated[str, typer.Option("--rule", metavar="KEY", help="Held by this settings key.")]
StateOption = Annotated[
    str, typer.Option("--state", metavar="STATE", help="held, releasing, unknown, released, deleted, expired or all.")
]
LeastOption = Annotated[float | None, typer.Option("--score-from", metavar="N", help="Of this score or more.")]
MostOption = Annotated[float | None, typer.Option("--score-to", metavar="N", help="Of this score or less.")]
SinceOption = Annotated[
    str, typer.Option("--since", metavar="TIME", help='Since then: "2026-11-27", "2026-11-27 08:00", "3d", "12h".')
]
UntilOption = Annotated[str, typer.Option("--until", metavar="TIME", help="Before then.")]
SubjectOption = Annotated[str, typer.Option("--subject", metavar="TEXT", help="With this in the subject.")]


def filter_of(
    *,
    recipient: str = "",
    domain: str = "",
    sender: str = "",
    verdict: str = "",
    rule: str = "",
    state: str = "",
    least: float | None = None,
    most: float | None = None,
    since: str = "",
    until: str = "",
    subject: str = "",
) -> "Filter":
    """Return the filter that the options stand for. Ends the command where one of them cannot be read."""
    from mpp.store.quarantine_query import OPEN, Filter

    states = OPEN if not state else () if state == "all" else tuple(state.split(","))
    return Filter(
        recipient=recipient, domain=domain, sender=sender, verdict=verdict, rule=rule, states=states, least_score=least,
        most_score=most, since=moment(since, "--since"), until=moment(until, "--until"), subject=subject,
    )  # fmt: skip


def moment(text: str, option: str) -> int | None:
    """Return milliseconds since 1970 of a date, a time (local) or an age."""
    if not text:
        return None
    if match := _AGO.fullmatch(text):
        return int((time.time() - int(match[1]) * {"m": 60, "h": 3600, "d": 86400}[match[2]]) * 1000)
    if _DAY.fullmatch(text):
        try:
            return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
        except ValueError:
            pass
    return fail(f'{option} is no time; write "2026-11-27", "2026-11-27 08:00", "3d" or "12h"')


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a role, and for `user` whose copies they are."""

    role: Role
    recipient: str

    def may_see(self, row: "Row") -> bool:
        return self.role != "user" or row.key.recipient.lower() == self.recipient.lower()


def asker_of(role: str, recipient: str) -> Asker:
    """Return who asks. Ends the command where the role is none, or a user is not named."""
    if role not in _ROLES:
        fail(f"--as: there is no such role; write one of {', '.join(_ROLES)}")
    if role == "user" and not recipient:
        fail("--as user: whose copies? Name the user with --recipient")
    return Asker(role, recipient)  # type: ignore[arg-type]


def copy_named(connection: "Connection", tenant: str, identifier: str, asker: Asker) -> "Row":
    """Return the copy of this message that the asker may see; with a recipient only theirs.

    A message held for several people needs a word for whom: ends the command where there is none, or nothing is found.
    """
    from mpp.store.quarantine_query import copies_of

    rows = [row for row in copies_of(connection, tenant, identifier) if asker.may_see(row)]
    if asker.recipient:
        rows = [row for row in rows if row.key.recipient.lower() == asker.recipient.lower()]
    if not rows:
        fail(f"{printable(identifier, 60)}: no such copy in the quarantine; `mpp quarantine list` shows what there is")
    if len(rows) > 1:
        whom = ", ".join(printable(row.key.recipient, 80) for row in rows[:5])
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        fail(f"{printable(identifier, 60)} is held for {whom}{more}; say for whom with --recipient")
    return rows[0]


def right_of(row: "Row", asker: Asker, rules: "Sequence[ReleaseRule]") -> "Right":
    """Return what the asker may do with a copy."""
    from mpp.verdict.roles import right

    return right(rules, asker.role, row.key.recipient, row.verdict)


def releasable(store: "Opened", identifier: str, asker: Asker) -> "Row":
    """Return the copy named, where the role may release it; else the command ends and says what may be done."""
    with store.catalog.read() as connection:
        row = copy_named(connection, store.tenant, identifier, asker)
    right = right_of(row, asker, store.settings.release_rules)
    if right != "release":
        cure = "ask for it: mpp quarantine request ID --reason TEXT" if right == "request" else "ask your postmaster"
        fail(f"{printable(row.key.message)}: a {asker.role} may not release {row.verdict} mail; {cure}")
    return row
