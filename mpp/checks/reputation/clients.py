"""What DNS lists say of a client while it still talks: asked when it connects, heard at RCPT.

For mpp.gateway.session. A lookup that fails lets the client go on: the list is asked again, from its cache, when the message is
examined, and says then that it failed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mpp.checks.reputation.dnslist import DnsListCheck
from mpp.checks.scanners.kinds import DnsList
from mpp.checks.scanners.scanner import Tools
from mpp.checks.scanners.settings import Scanner


@dataclass(frozen=True, slots=True)
class Standing:
    """How a client stands with the lists that RCPT heeds."""

    refused_by: str = ""  # the zone
    delay_s: float = 0.0


class ClientLists:
    """The lists of the settings that say what RCPT answers; false where there is none."""

    def __init__(self, scanners: Sequence[Scanner], tools: Tools) -> None:
        heeded = [each for each in scanners if isinstance(each, DnsList) and each.at_rcpt != "none" and not each.shadow]
        self._lists = [DnsListCheck(each, tools) for each in heeded]

    def __bool__(self) -> bool:
        return bool(self._lists)

    async def ask(self, address: str) -> Standing:
        """Return how a client stands. Never raises."""
        listed = await asyncio.gather(*(each.listed(address) for each in self._lists))
        standing = [each.settings for each, is_listed in zip(self._lists, listed, strict=True) if is_listed]
        refusing = [each.zone for each in standing if each.at_rcpt == "refuse"]
        delays = [each.delay for each in standing if each.at_rcpt == "delay"]
        return Standing(refusing[0] if refusing else "", max(delays, default=0.0))
