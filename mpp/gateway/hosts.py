"""The limits of one client host, alike for all workers of the node: asked at connect, and when XCLIENT names another host.

Trusted clients and proxies are exempt: a mail server of ours may have many connections, and a proxy speaks for many.
"""

from mpp.gateway import replies
from mpp.gateway.assembly import Assembly
from mpp.net.metrics import Counter
from mpp.protocols.smtp.reply import Reply


def exempt(parts: Assembly, host: str) -> bool:
    """True where no limit by host or network holds; a unix socket has no host."""
    return not host or parts.trusted(host) or parts.proxies(host)


def refusal_of(parts: Assembly, host: str, now: float) -> tuple[Reply, Counter] | None:
    """Return how a host is turned away, and what that counts as; None where it is welcome. `now`: monotonic seconds."""
    if exempt(parts, host):
        return None
    limits, table = parts.settings.limits, parts.table
    if table.connections_of(host) >= limits.connections_by_host:
        return replies.BY_HOST, Counter.REFUSED_HOST_LIMIT
    if table.refusals_of(host, now) >= limits.errors_by_host:
        return replies.OFFENDER, Counter.REFUSED_HOST_ERRORS
    return None
