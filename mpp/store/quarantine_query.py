"""Lists of held copies, a page at a time, newest first: always of one tenant, and never a walk over all of them at once.

Two ways to a page. Where a filter that has an index (recipient, sender, domain, class) leaves few rows, all of them are looked at.
Else rows are looked at in the order of their date, or of the most telling such filter, in two steps, until the page is full or LOOKED
of them were seen: the page then says how far it came (`more`), and the next one goes on there. So a page costs the same at ten
thousand rows and at ten million.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from mpp.store.mailbox import domain_range, mailbox
from mpp.store.schema import copies, messages

FEW = 1000  # rows that are sorted rather than walked
FIRST = 400  # rows of the first step of a walk, which often fills a page; the second one has all the others
LOOKED = 3000  # rows seen for one page
LOOKED_UP = 2000  # the same where the message of each row must be looked at too, which costs most
OPEN = ("held", "releasing", "unknown")  # what a list shows where no state is asked for


class Key(NamedTuple):
    """A held copy, within its tenant."""

    message: str
    recipient: str


class Cursor(NamedTuple):
    """Where a page ended: the next one begins below it."""

    received: int
    message: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Filter:
    """What is wanted; all that is set must hold. Times in milliseconds since 1970."""

    message: str = ""
    recipient: str = ""  # an address
    domain: str = ""  # of the recipient
    sender: str = ""  # an address, "@example.net" for a domain, "<>" for the null one
    verdict: str = ""
    rule: str = ""  # begins with this
    states: tuple[str, ...] = OPEN
    least_score: float | None = None
    most_score: float | None = None
    since: int | None = None
    until: int | None = None  # not itself
    subject: str = ""  # a part of it; letter case does not matter


@dataclass(frozen=True, slots=True)
class Row:
    """One copy as a list shows it. Texts of the mail are as they came: escape where shown."""

    key: Key
    received: int
    state: str
    on_hold: bool
    verdict: str
    rule: str
    score: float
    reply: str
    expires: int
    changed: int
    claim: str
    sender: str
    author: str
    subject: str
    message_id: str
    size: int

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.received, *self.key)


@dataclass(frozen=True, slots=True)
class Page:
    rows: tuple[Row, ...]
    more: Cursor | None  # where to go on; None where nothing is left


def page(connection: Connection, tenant: str, wanted: Filter, *, after: Cursor | None = None, limit: int = 50) -> Page:
    """Return at most `limit` rows below `after`. A page may hold fewer rows and still say that there are more."""
    narrow = _narrow(connection, tenant, wanted)
    if narrow is not None:
        rows = _rows(connection, tenant, wanted, narrow, after, limit + 1)
        return Page(tuple(rows[:limit]), rows[limit - 1].cursor if len(rows) > limit else None)
    found: list[Row] = []
    walk = _walk(tenant, wanted)
    for size in _steps(wanted, limit):
        rows, after = _walked(connection, walk, after or _top(wanted), size, limit + 1 - len(found))
        found += rows
        if len(found) > limit:
            return Page(tuple(found[:limit]), found[limit - 1].cursor)
        if after is None:
            break
    return Page(tuple(found), after)


def every(connection: Connection, tenant: str, wanted: Filter, *, limit: int = 1000) -> Iterator[list[Row]]:
    """Yield all rows, page by page, for what is done in bulk; rows that change meanwhile are seen at most once."""
    after: Cursor | None = None
    while True:
        got = page(connection, tenant, wanted, after=after, limit=limit)
        if got.rows:
            yield list(got.rows)
        if got.more is None:
            return
        after = got.more


def one(connection: Connection, tenant: str, key: Key) -> Row | None:
    """Return one copy, whatever its state."""
    wanted = Filter(message=key.message, states=())
    narrow = _narrow(connection, tenant, wanted)
    assert narrow is not None
    return next((row for row in _rows(connection, tenant, wanted, narrow, None, FEW) if row.key == key), None)


def copies_of(connection: Connection, tenant: str, message: str) -> list[Row]:
    """Return all copies of a message, whatever their state, in the order of recipients."""
    rows = page(connection, tenant, Filter(message=message, states=()), limit=10_000).rows
    return sorted(rows, key=lambda row: row.key)


def _narrow(connection: Connection, tenant: str, wanted: Filter) -> CTE | None:
    """Return the rows that one indexed filter leaves, where they are few; else None."""
    for query, *before in _indexed(tenant, wanted):
        if wanted.message or all(
            _few(connection, each) for each in (*before, query.with_only_columns(copies.c.message))
        ):
            return query.cte("few").prefix_with("MATERIALIZED")
    return None


def _few(connection: Connection, query: Select[Any]) -> bool:
    return bool(
        connection.execute(select(func.count()).select_from(query.limit(FEW + 1).subquery())).scalar_one() <= FEW
    )


def _indexed(tenant: str, wanted: Filter) -> Iterator[tuple[Select[Any], ...]]:
    """The filters that an index answers, the most telling first; behind each what must leave few rows before it is worth a look."""
    c, m = copies.c, messages.c
    of_copies = select(*_OF_COPY).where(c.tenant == tenant)
    if wanted.message:
        yield (of_copies.where(c.message == wanted.message),)
    if wanted.recipient:
        yield (of_copies.where(c.mailbox == mailbox(wanted.recipient)),)
    if wanted.sender:
        # Whatever the planner thinks, the few messages first and then their copies.
        from_them = select(m.id).where(m.tenant == tenant, _sender(wanted.sender, m.sender_box))
        sent = from_them.limit(FEW + 1).cte("sent").prefix_with("MATERIALIZED")
        yield of_copies.where(c.message.in_(select(sent.c.id))), from_them.with_only_columns(m.received)
    if wanted.domain:
        low, high = domain_range(wanted.domain)
        yield (of_copies.where(c.mailbox >= low, c.mailbox < high),)
    if wanted.verdict:
        yield (of_copies.where(c.verdict == wanted.verdict),)


def _steps(wanted: Filter, limit: int) -> Iterator[int]:
    """The rows of each step of a walk."""
    most = LOOKED_UP if wanted.sender or wanted.subject else LOOKED
    first = max(FIRST, 2 * limit)
    yield first
    if first < most:
        yield most - first


def _top(wanted: Filter) -> Cursor:
    """Above all that is wanted."""
    return Cursor(_LAST_MS if wanted.until is None else wanted.until, "", "")


def _below(after: "Cursor | _After", c: ReadOnlyColumnCollection[str, Any]) -> ColumnElement[bool]:
    """Rows behind a cursor in descending order."""
    same = or_(c.message < after.message, and_(c.message == after.message, c.recipient < after.recipient))
    return or_(c.received < after.received, and_(c.received == after.received, same))


def _walk(tenant: str, wanted: Filter) -> Select[Any]:
    """The next rows by date that match, below a cursor, and with each of them where the step ended and how many rows it had.

    Along the index of an equal filter where there is one; one statement, so that it is walked once.
    """
    c = copies.c
    step = select(*_OF_COPY).where(c.tenant == tenant, c.received <= _AFTER.received, _below(_AFTER, c))
    if wanted.recipient:
        step = step.where(c.mailbox == mailbox(wanted.recipient))
    elif wanted.verdict:
        step = step.where(c.verdict == wanted.verdict)
    if wanted.since is not None:
        step = step.where(c.received >= wanted.since)
    rows = step.order_by(*_newest(c)).limit(bindparam("size", type_=Integer)).cte("step").prefix_with("MATERIALIZED")
    order = (rows.c.received, rows.c.message, rows.c.recipient)
    end = select(*order, func.count().over().label("number")).order_by(*order).limit(1).subquery("last")
    found = _matching(tenant, wanted, rows, bindparam("wanted", type_=Integer)).subquery("found")
    return select(end, *found.c).select_from(end.outerjoin(found, true())).order_by(*_newest(found.c))


def _walked(
    connection: Connection, walk: Select[Any], after: Cursor, size: int, limit: int
) -> tuple[list[Row], Cursor | None]:
    """Return what matches in the next step, and where that ended, None where it was the last one."""
    rows = connection.execute(walk, {**after._asdict(), "size": size, "wanted": limit}).all()
    if not rows:
        return [], None
    return [_row(row[4:]) for row in rows if row[4] is not None], Cursor(*rows[0][:3]) if rows[0][3] == size else None


def _rows(
    connection: Connection, tenant: str, wanted: Filter, keys: CTE, after: Cursor | None, limit: int
) -> list[Row]:
    query = _matching(tenant, wanted, keys, limit)
    if after is not None:
        query = query.where(_below(after, keys.c))
    return [_row(row) for row in connection.execute(query)]


def _matching(tenant: str, wanted: Filter, keys: CTE, limit: int | BindParameter[int]) -> Select[Any]:
    """The newest of the copies in `keys` for which all holds; only those that hold so far are looked up among the messages."""
    k, m = keys.c, messages.c
    return (
        select(*(k[each.name] for each in _OF_COPY), *_OF_MESSAGE)
        .select_from(keys)
        .outerjoin(messages, and_(m.tenant == tenant, m.id == k.message))
        .where(*_conditions(wanted, k))
        .order_by(*_newest(k))
        .limit(limit)
    )


def _newest(c: ReadOnlyColumnCollection[str, Any]) -> tuple[ColumnElement[Any], ...]:
    return c.received.desc(), c.message.desc(), c.recipient.desc()


def _conditions(wanted: Filter, c: ReadOnlyColumnCollection[str, Any]) -> Iterator[ColumnElement[bool]]:
    """What must hold of a copy that is looked at, and of its message; no index of messages shall answer it, whatever a planner thinks."""
    m = messages.c
    if wanted.states:
        yield c.state.in_(wanted.states)
    if wanted.recipient:
        yield c.mailbox == mailbox(wanted.recipient)
    if wanted.domain:
        low, high = domain_range(wanted.domain)
        yield and_(c.mailbox >= low, c.mailbox < high)
    if wanted.sender:
        yield _sender(wanted.sender, func.coalesce(m.sender_box, "?"))
    if wanted.verdict:
        yield c.verdict == wanted.verdict
    if wanted.rule:
        yield c.rule.startswith(wanted.rule, autoescape=True)
    if wanted.least_score is not None:
        yield c.score >= wanted.least_score
    if wanted.most_score is not None:
        yield c.score <= wanted.most_score
    if wanted.since is not None:
        yield c.received >= wanted.since
    if wanted.until is not None:
        yield c.received < wanted.until
    if wanted.subject:
        yield func.lower(m.subject).contains(wanted.subject.lower(), autoescape=True)


def _sender(text: str, box: ColumnElement[str]) -> ColumnElement[bool]:
    if text.startswith("@"):
        low, high = domain_range(text[1:])
        return and_(box >= low, box < high)
    return box == ("" if text == "<>" else mailbox(text))


_LAST_MS = (1 << 63) - 1


class _After(NamedTuple):
    """A cursor that a statement is told when it is executed."""

    received: BindParameter[int]
    message: BindParameter[str]
    recipient: BindParameter[str]


_AFTER = _After(
    bindparam("received", type_=BigInteger), bindparam("message", type_=Text), bindparam("recipient", type_=Text)
)
_C, _M = copies.c, messages.c
_OF_COPY = (
    _C.message, _C.recipient, _C.received, _C.state, _C.on_hold, _C.verdict, _C.rule, _C.score, _C.reply, _C.expires,
    _C.changed, _C.claim, _C.mailbox,
)  # fmt: skip
_OF_MESSAGE = (_M.sender, _M.author, _M.subject, _M.message_id, _M.size)


def _row(row: Any) -> Row:
    message, recipient, *rest, sender, author, subject, message_id, size = row
    received, state, on_hold, verdict, rule, score, reply, expires, changed, claim, _ = rest
    return Row(
        Key(message, recipient), received, state, on_hold, verdict, rule, score, reply, expires, changed, claim,
        sender or "", author or "", subject or "", message_id or "", size or 0,
    )  # fmt: skip
