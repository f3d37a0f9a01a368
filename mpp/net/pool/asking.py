"""What a pool is asked for, and how it says that nobody did it.

The whole of what an adapter meets: it hands over a job, with what the pool must know of it, and gets the job's result
or a PoolError (mpp.checks.scanners). A job is an async function of a server and of the moment (the loop's monotonic
seconds) by which it must be done; it may run more than once, and at two servers at a time.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, TypeVar

from mpp.net.connect import Server

T = TypeVar("T")
Job = Callable[[Server, float], Awaitable[T]]
Strategy = Literal["expected", "weighted", "round-robin", "two-choices", "hash-user", "hash-message"]
Probe = Callable[[Server, float], Awaitable[None]]


class Asking(NamedTuple):
    """What the pool knows of a job beside what it does."""

    size: int = 0  # octets: how long an answer takes is learned against it
    tenant: str = ""  # who shares fairly with the others while places are short
    key: str = ""  # the same key goes to the same server where the strategy is a hash
    copies: bool = True  # may be given to a second server while the first is silent; never for what changes a server


class PoolError(Exception):
    """No server did the job; `server` and `cause` name the last one tried and what went wrong there."""

    def __init__(self, server: str, cause: str) -> None:
        super().__init__(f"{server}: {cause}")
        self.server, self.cause = server, cause
