"""A job on its way through a pool, and its runs at servers. For the dispatcher and its shell."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mpp.net.pool.asking import Asking, PoolError

if TYPE_CHECKING:
    from mpp.net.pool.member import Member

How = Literal["refused", "broke", "silent"]  # not reached; reached, and no answer that counts; nothing in time


@dataclass(slots=True, eq=False)
class Ticket:
    """One job. It is over when it has an answer, when it failed for good, or when nobody wants it any longer."""

    asking: Asking
    arrived: float
    deadline: float
    over: bool = False
    copied: bool = False
    runs: list["Run"] = field(default_factory=list)  # those that go on
    barred: set["Member"] = field(default_factory=set)  # servers that have failed it, or are at it
    failures: int = 0  # runs that reached a server and gave no answer
    error: PoolError | None = None  # why it failed for good


@dataclass(slots=True, eq=False)
class Run:
    """One attempt of a ticket at a server, in one of its places."""

    ticket: Ticket
    member: "Member"
    place: int
    since: float
    busy: int  # places of the server in use at the node when it began, this one too
    finished: int  # what the node's places there had finished at its start
    patience: float  # seconds
    measuring: bool = False  # a copy that only shows how fast an idle server is
    overtook: bool = False  # those that were there when it began: none had its answer before
    ahead: bool = False  # sent to wait at the server itself; until it is known when its turn came
