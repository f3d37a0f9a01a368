"""How commands show what they found: outside text escaped and cut, times, copies as objects, tables without surprises.

Imports stand in the functions: a command that only says one line stays quick.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from mpp.store.quarantine_query import Key, Row


def printable(text: str, limit: int = 200) -> str:
    """Return outside text as it may be shown: escaped, of at most `limit` characters."""
    from mpp.mail.escape import printable

    return printable(text, limit)


def time_text(at_ms: float) -> str:
    """Return "2026-11-27T08:00:00Z" for milliseconds since 1970."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def console(width: int | None = None) -> "Console":
    """Return a console that takes nothing in a text for markup."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False, width=width)


def named(key: "Key") -> dict[str, Any]:
    return {"id": key.message, "recipient": key.recipient}


def as_object(row: "Row") -> dict[str, Any]:
    """Return a copy as --json shows it."""
    return {
        **named(row.key),
        "received": time_text(row.received),
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
        "expires": time_text(row.expires),
        "reply": row.reply,
    }
