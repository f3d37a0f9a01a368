"""The order of an SMTP or LMTP dialogue: which command a state refuses, with which reply, and what must have been offered.

Tables for the server codec (RFC 5321, 4.1.4; RFC 2033, 4.2; RFC 3030, 2; RFC 3207, 4.2; Postfix XCLIENT_README).
"""

from enum import IntEnum
from functools import lru_cache

from mpp.protocols.smtp.commands import (
    Bdat,
    Data,
    Mail,
    Rcpt,
    StartTls,
    Xclient,
    Xforward,
)
from mpp.protocols.smtp.reply import Reply


class State(IntEnum):
    """Where the dialogue stands."""

    NEW = 0  # before HELO, EHLO or LHLO
    READY = 1
    MAIL = 2  # MAIL accepted, no recipient yet
    RCPT = 3  # at least one recipient accepted
    CHUNKS = 4  # at least one chunk begun


_HELLO_FIRST = Reply(503, "5.5.1", "Send HELO or EHLO first")
_MAIL_FIRST = Reply(503, "5.5.1", "Send MAIL first")
_NESTED = Reply(503, "5.5.1", "Nested MAIL command")
_NO_RECIPIENT = Reply(554, "5.5.1", "No valid recipients")
_NO_RECIPIENT_LMTP = Reply(503, "5.5.1", "No valid recipients")
_CHUNKS_BEGUN = Reply(503, "5.5.1", "BDAT has begun, only BDAT or RSET may follow")
_IN_TRANSACTION = Reply(503, "5.5.1", "Mail transaction in progress")
_NOT_AVAILABLE = Reply(502, "5.5.1", "Command not available here")
_NOT_AUTHORIZED = Reply(550, "5.7.0", "Not allowed from this client")

# By state, in the order of State; None: in order. A command not named here is always in order.
_REFUSED: dict[type, tuple[Reply | None, ...]] = {
    Mail: (_HELLO_FIRST, None, _NESTED, _NESTED, _CHUNKS_BEGUN),
    Rcpt: (_HELLO_FIRST, _MAIL_FIRST, None, None, _CHUNKS_BEGUN),
    Data: (_HELLO_FIRST, _MAIL_FIRST, _NO_RECIPIENT, None, _CHUNKS_BEGUN),
    Bdat: (_HELLO_FIRST, _MAIL_FIRST, _NO_RECIPIENT, None, None),
    StartTls: (_HELLO_FIRST, None, _IN_TRANSACTION, _IN_TRANSACTION, _IN_TRANSACTION),
    Xclient: (None, None, _IN_TRANSACTION, _IN_TRANSACTION, _IN_TRANSACTION),
    Xforward: (None, None, _IN_TRANSACTION, _IN_TRANSACTION, _IN_TRANSACTION),
}
_OFFERED_AS: dict[type, tuple[str, Reply]] = {
    Bdat: ("CHUNKING", _NOT_AVAILABLE),
    StartTls: ("STARTTLS", _NOT_AVAILABLE),
    Xclient: ("XCLIENT", _NOT_AUTHORIZED),
    Xforward: ("XFORWARD", _NOT_AUTHORIZED),
}
# By state: the commands of every message that are in order, and need not have been offered.
IN_ORDER: tuple[frozenset[type], ...] = tuple(
    frozenset(kind for kind in (Mail, Rcpt, Data) if _REFUSED[kind][state] is None) for state in State
)
PARAMETER_OFFERED_AS = {
    "SIZE": "SIZE",
    "BODY": "8BITMIME",
    "SMTPUTF8": "SMTPUTF8",
    "RET": "DSN",
    "ENVID": "DSN",
    "NOTIFY": "DSN",
    "ORCPT": "DSN",
}


@lru_cache(1024)
def out_of_order(kind: type, state: State, offered: frozenset[str], lmtp: bool) -> Reply | None:
    """Return the refusal of a kind of command that is not offered, or not in order in this state."""
    needed = _OFFERED_AS.get(kind)
    if needed is not None and needed[0] not in offered:
        return needed[1]
    refusals = _REFUSED.get(kind)
    refusal = None if refusals is None else refusals[state]
    return _NO_RECIPIENT_LMTP if lmtp and refusal is _NO_RECIPIENT else refusal
