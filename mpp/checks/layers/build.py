"""From the settings to the running layers. Called by the gateway's assembly for each revision, and by `mpp scan`.

Raises OSError (ssl.SSLError) for TLS material that cannot be loaded.
"""

from collections.abc import Sequence

from mpp.checks.campaigns.memory import Memory
from mpp.checks.guards.guard import Guard
from mpp.checks.layers.judge import Layers, Terms
from mpp.checks.layers.scale import Scale, read_point
from mpp.checks.layers.settings import Layer, Vote
from mpp.checks.scanners.build import scanners
from mpp.checks.scanners.scanner import Tools
from mpp.checks.scanners.settings import Scanner


def layers_of(
    pools: Sequence[Scanner],
    layers: Sequence[Layer],
    votes: Sequence[Vote],
    tools: Tools,
    memory: Memory | None = None,
    guard: Guard | None = None,
) -> Layers:
    """Make the checks, put them into their layers, and note on which terms each counts."""
    return Layers(scanners(pools, tools), layers, votes, {pool.name: terms_of(pool) for pool in pools}, memory, guard)


def terms_of(scanner: Scanner) -> Terms:
    return Terms(Scale(scanner.weight, tuple(map(read_point, scanner.scale))), scanner.shadow)
