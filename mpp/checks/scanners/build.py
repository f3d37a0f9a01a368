"""From the settings' scanners to running checks.

Called by the gateway's assembly for each revision of the settings, and by `mpp scan`. Raises OSError (ssl.SSLError) for
TLS material that cannot be loaded.
"""

from collections.abc import Iterable

from mpp.checks.layers.judge import Check
from mpp.checks.scanners.scanner import Tools
from mpp.checks.scanners.settings import Scanner


def scanners(pools: Iterable[Scanner], tools: Tools) -> list[Check]:
    """Return a check for each scanner, in the order of the settings."""
    made = [pool.check(tools) for pool in pools]
    tools.pools.keep({check.name for check in made})
    return made
