"""From the settings' pools of scanners to running checks.

Called by the gateway's assembly for each revision of the settings, and by `mpp scan`. Raises ValueError and OSError
(ssl.SSLError) for servers that cannot be read or TLS material that cannot be loaded.
"""

from collections.abc import Iterable

from mpp.checks.layers import Check
from mpp.checks.scanners.clamd import ClamdCheck
from mpp.checks.scanners.scanner import Tools
from mpp.checks.scanners.settings import Scanner
from mpp.checks.scanners.spamd import SpamdCheck

_KINDS: dict[str, type[ClamdCheck] | type[SpamdCheck]] = {"spamd": SpamdCheck, "clamd": ClamdCheck}


def scanners(pools: Iterable[Scanner], tools: Tools) -> list[Check]:
    """Return a check for each pool, in the order of the settings."""
    return [_KINDS[pool.kind](pool, tools) for pool in pools]
