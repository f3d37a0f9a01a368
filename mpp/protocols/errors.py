"""What every codec raises and returns when it cannot go on (style: a codec).

LocalProtocolError is a bug of ours, RemoteProtocolError the peer's fault; NEED_DATA says that no whole event is there
yet.
"""

from enum import Enum


class ProtocolError(Exception):
    """The dialogue cannot go on."""


class LocalProtocolError(ProtocolError):
    """We tried to send what the protocol does not allow now."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol does not allow. The text may hold outside octets: escape it where shown."""


class ClosedEarlyError(RemoteProtocolError):
    """The peer closed before its answer was whole: it may have died over what it was asked."""


class NeedData(Enum):
    """The type of NEED_DATA, so that `event is NEED_DATA` narrows for type checkers."""

    NEED_DATA = "need data"


NEED_DATA = NeedData.NEED_DATA
