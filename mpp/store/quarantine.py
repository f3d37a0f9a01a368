"""What becomes of held copies: claimed for release, released, deleted, kept by order, expired. Always of one tenant.

A message held for three people is three copies, and each is a decision of its own. Every change is one transaction with its
event. A release is three steps: `claim` takes the copy for one process, then it is delivered, then `settle` says how that
ended. Whoever dies in between leaves a claim behind: `abandon` makes `unknown` of it, since the next hop may have taken the
mail, and it is never delivered again unless somebody asks for exactly that.
"""

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Label, Text, bindparam, func, literal, select, tuple_, update

from mpp.store import forget
from mpp.store.clock import now_ms
from mpp.store.events import Event, record
from mpp.store.quarantine_query import Key
from mpp.store.schema import copies

STALE_MS = (
    15 * 60_000
)  # no batch of deliveries takes so long: a claim that is older was abandoned, where nobody can ask its process
CHUNK = 500  # keys in one statement
_C = copies.c


@dataclass(frozen=True, slots=True)
class Settled:
    """How a release ended: `state` is released, unknown or, where nothing was delivered, what it was before."""

    key: Key
    state: str
    reply: str  # the next hop's, or why there is none
    host: str
    to: str  # where it went: the recipient, or elsewhere


def node_name() -> str:
    """Return the name under which processes of this machine claim."""
    return socket.gethostname()


def claim_of(node: str) -> str:
    """Return the name under which this process claims: its number, and when it began, since numbers are given again."""
    return f"{node}:{os.getpid()}:{_begun(os.getpid())}"


def claim(
    connection: Connection, tenant: str, keys: Sequence[Key], who: str, *, states: Sequence[str] = ("held",)
) -> set[Key]:
    """Take those of the copies that are in one of `states`, for one release; whoever comes second gets none of them."""
    now = now_ms()
    taken: set[Key] = set()
    for chunk in _chunks(keys):
        taking = (
            update(copies)
            .where(_C.tenant == tenant, _among(connection, chunk), _C.state.in_(states))
            .values(state="releasing", claim=who, changed=now)
            .returning(_C.message, _C.recipient)
        )
        taken |= {Key(*row) for row in connection.execute(taking)}
    return taken


def settle(connection: Connection, tenant: str, results: Sequence[Settled], who: str, actor: str) -> None:
    """Write down how releases ended, with their events. Nothing is changed, nor told, where the claim is another's by now."""
    mine = _claimed(connection, tenant, [each.key for each in results], who)
    settled = [each for each in results if each.key in mine]
    if not settled:
        return
    _end(connection, tenant, settled)
    words = {"released": "released", "unknown": "release-unknown"}
    record(
        connection,
        [
            Event(
                actor, words.get(each.state, "release-failed"), tenant, *each.key,
                {"reply": each.reply, "host": each.host, "to": each.to},
            )
            for each in settled
        ],
    )  # fmt: skip


def _end(connection: Connection, tenant: str, settled: Sequence[Settled]) -> None:
    """Write how each ended; all with one statement on PostgreSQL, where each costs a turn of the server's."""
    ended = update(copies).where(_C.tenant == tenant).values(claim="", changed=now_ms())
    values = [(*each.key, each.state, each.reply) for each in settled]
    if connection.dialect.name == "postgresql":
        message, recipient, state, reply = select(*_columns(values)).subquery("ends").c
        of = (_C.message == message, _C.recipient == recipient)
        connection.execute(ended.where(*of).values(state=state, reply=reply))
        return
    names = ("of_message", "of_recipient", "to_state", "to_reply")
    message, recipient, state, reply = map(bindparam, names)
    one = ended.where(_C.message == message, _C.recipient == recipient).values(state=state, reply=reply)
    connection.execute(one, [dict(zip(names, each, strict=True)) for each in values])


def _claimed(connection: Connection, tenant: str, keys: Sequence[Key], who: str) -> set[Key]:
    """Return those of the copies that `who` has claimed, and keep them so until the transaction ends."""
    found: set[Key] = set()
    for chunk in _chunks(keys):
        mine = select(_C.message, _C.recipient).where(_C.tenant == tenant, _among(connection, chunk), _C.claim == who)
        found |= {Key(*row) for row in connection.execute(mine.with_for_update())}
    return found


def abandon(connection: Connection, tenant: str, node: str) -> list[Key]:
    """Make `unknown` of what a process claimed that is no more: one of this node that has ended, or long ago.

    A process of this node that lives keeps its claims, however long it takes.
    """
    old = now_ms() - STALE_MS
    rows = connection.execute(
        select(_C.message, _C.recipient, _C.claim, _C.changed).where(
            _C.tenant == tenant, _C.state == "releasing", _C.claim != ""
        )
    )
    dead: dict[str, list[Key]] = {}
    for message, to, who, changed in rows:
        lives = _lives(who, node)
        if lives is False or (lives is None and changed < old):
            dead.setdefault(who, []).append(Key(message, to))
    lost = "the process that released it ended before the answer was written down"
    given_up: list[Key] = []
    for (
        who,
        keys,
    ) in dead.items():  # only where the claim is still this one: on PostgreSQL another may have come since the look
        given_up += _change(
            connection, tenant, keys, {"state": "unknown", "claim": "", "reply": lost}, "background", "release-unknown",
            states=("releasing",), claim=who,
        )  # fmt: skip
    return given_up


def delete(connection: Connection, tenant: str, keys: Sequence[Key], actor: str) -> list[Key]:
    """Delete copies for good; what is kept by order, released or being released stays. Returns those that were deleted.

    `mpp.store.forget.overwrite` is due once the transaction is committed.
    """
    gone = _change(
        connection, tenant, keys, {"state": "deleted"}, actor, "deleted", states=("held", "unknown"), on_hold=False
    )
    _drop(connection, tenant, gone)
    return gone


def hold(connection: Connection, tenant: str, keys: Sequence[Key], actor: str, why: str, *, on: bool) -> list[Key]:
    """Keep copies by order (or end that): they are neither deleted nor do they expire. Returns those that changed."""
    return _change(
        connection, tenant, keys, {"on_hold": on}, actor, "hold" if on else "hold-released",
        states=("held", "unknown", "released", "releasing"), on_hold=not on, detail={"why": why},
    )  # fmt: skip


def expire(connection: Connection, tenant: str, *, most: int = 200) -> int:
    """Let go of at most `most` copies whose time is over. Returns how many: called again until it returns 0.

    For the background process, one short transaction a call; `forget.overwrite` is due afterwards.
    """
    due = connection.execute(
        select(_C.message, _C.recipient)
        .where(_C.tenant == tenant, _C.state == "held", _C.expires <= now_ms(), _C.on_hold.is_(False))
        .order_by(_C.expires)
        .limit(most)
    ).all()
    gone = _change(
        connection, tenant, [Key(*row) for row in due], {"state": "expired"}, "background", "expired",
        states=("held",), on_hold=False,
    )  # fmt: skip
    _drop(connection, tenant, gone)
    return len(gone)


def note(connection: Connection, tenant: str, key: Key, actor: str, action: str, detail: Mapping[str, Any]) -> None:
    """Write down what somebody did that changes nothing: looked at, downloaded, taught."""
    record(connection, [Event(actor, action, tenant, *key, detail)])


def _change(
    connection: Connection,
    tenant: str,
    keys: Sequence[Key],
    values: Mapping[str, Any],
    actor: str,
    action: str,
    *,
    states: Sequence[str],
    on_hold: bool | None = None,
    claim: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> list[Key]:
    """Change those of the copies that are in one of `states`, and record an event for each of them."""
    changed: list[Key] = []
    for chunk in _chunks(keys):
        changing = update(copies).where(_C.tenant == tenant, _among(connection, chunk), _C.state.in_(states))
        if on_hold is not None:
            changing = changing.where(_C.on_hold.is_(on_hold))
        if claim is not None:
            changing = changing.where(_C.claim == claim)
        rows = connection.execute(changing.values(**values, changed=now_ms()).returning(_C.message, _C.recipient))
        changed += [Key(*row) for row in rows]
    if changed:
        record(connection, [Event(actor, action, tenant, *key, detail or {}) for key in changed])
    return changed


def _among(connection: Connection, keys: Sequence[Key]) -> ColumnElement[bool]:
    """Of these keys. PostgreSQL gets them as arrays, since it, its driver and SQLAlchemy would read a long list anew each time."""
    own = tuple_(_C.message, _C.recipient)
    return own.in_(select(*_columns(keys)) if connection.dialect.name == "postgresql" else keys)


def _columns(rows: Sequence[tuple[str, ...]]) -> list[Label[str]]:
    """Return the columns of rows of texts, for a select on PostgreSQL."""
    columns = [func.unnest(literal(list(column), ARRAY(Text))) for column in zip(*rows, strict=True)]
    return [column.label(f"c{number}") for number, column in enumerate(columns)]


def _drop(connection: Connection, tenant: str, gone: Iterable[Key]) -> None:
    identifiers = list(dict.fromkeys(key.message for key in gone))
    for chunk in _chunks(identifiers):
        forget.drop(connection, tenant, chunk, now_ms=now_ms())


def _chunks(items: Sequence[Any]) -> Iterable[list[Any]]:
    return (list(items[start : start + CHUNK]) for start in range(0, len(items), CHUNK))


def _lives(who: str, node: str) -> bool | None:
    """True where a claim is a living process of this node, False where that has ended; None where it cannot be told from here."""
    name, _, process = who.partition(":")
    number, _, begun = process.partition(":")
    if name != node or not number.isdigit():
        return None
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    found = _begun(int(number))
    return found == begun if found and begun else None


def _begun(process: int) -> str:
    """Return when a process began, in ticks since the machine did; "" where we may not see it (proc(5), /proc/PID/stat)."""
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return ""
