"""What all scanner adapters have in common: the pool of servers, the size limit, and what failure and size mean.

Defaults that depend on the kind of scanner are resolved here, once, and nowhere else.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Literal

from mpp.checks.scanners.settings import Scanner
from mpp.net.connect import Server, server_of
from mpp.net.pool import Pool
from mpp.verdict.finding import SCANNER_FAILED, TOO_LARGE, Finding, OnFailure

OnOversize = Literal["continue", "reject", "defer"]


@dataclass(frozen=True, slots=True)
class KindDefaults:
    layer: int
    on_failure: OnFailure
    on_oversize: OnOversize
    max_size: int  # octets


DEFAULTS = {
    "clamd": KindDefaults(2, OnFailure.DEFER, "reject", 25 << 20),
    "spamd": KindDefaults(3, OnFailure.CONTINUE, "continue", 512 << 10),
}
_OVERSIZE_REPLIES: dict[OnOversize, str] = {
    "continue": "",
    "reject": "552 5.3.4 Message too large to be scanned",
    "defer": "452 4.3.1 Message too large to be scanned now",
}


class ScannerCheck:
    """The base of the adapters: a Check whose servers are a pool of one kind."""

    def __init__(self, settings: Scanner) -> None:
        defaults = DEFAULTS[settings.kind]
        self.settings = settings
        self.name = settings.name
        self.layer = defaults.layer if settings.layer is None else settings.layer
        self.on_failure = settings.on_failure or defaults.on_failure
        self.on_oversize = settings.on_oversize or defaults.on_oversize
        self.max_size = defaults.max_size if settings.max_size is None else settings.max_size
        servers: list[Server] = [server_of(text) for text in settings.servers]
        self.pool = Pool(servers, connections=settings.connections)
        self.context = client_context(settings) if any(server.tls for server in servers) else None

    def deadline(self) -> float:
        """Return the moment by which an answer asked for now must be there."""
        return asyncio.get_running_loop().time() + self.settings.timeout

    def connect_deadline(self, deadline: float) -> float:
        """Return the moment by which a connection begun now must be open."""
        return min(deadline, asyncio.get_running_loop().time() + self.settings.connect_timeout)

    def failed(self, server: str, cause: str, recipients: frozenset[str] = frozenset()) -> Finding:
        """Return the finding that says that no server gave an answer, with what the settings make of that."""
        evidence = f"{server}: {cause}" if server else cause
        return Finding(self.name, SCANNER_FAILED, evidence=evidence, failure=self.on_failure, recipients=recipients)

    def too_large(self, size: int, limit: str) -> Finding:
        """Return the finding for a message over a limit; it refuses or defers where the settings say so."""
        return Finding(
            self.name, TOO_LARGE, evidence=f"{size} octets, limit {limit}", refusal=_OVERSIZE_REPLIES[self.on_oversize]
        )


def client_context(settings: Scanner) -> ssl.SSLContext:
    """Return how tls: servers of a pool are spoken to."""
    context = ssl.create_default_context()
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
