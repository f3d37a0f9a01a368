"""DNS lists: asks a zone about the client, the names it and the sender give, and the hosts of links (RFC 5782).

A lookup that fails is a failure of the scanner, never a listing, and a listing of another name counts beside it. Listed
clients can be refused or kept waiting at RCPT too: they are asked for as soon as they connect.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from mpp.checks.content.scopes import Scopes
from mpp.checks.reputation.names import address_name, domain_names, points_of, read_code
from mpp.checks.scanners.kinds import DnsList
from mpp.checks.scanners.scanner import ScannerCheck, Tools
from mpp.mail.address import AddressError, a_labels, parse_address
from mpp.mail.mailboxes import MOST, addresses
from mpp.mail.message import Message
from mpp.net.dns import DnsError
from mpp.settings.problem import Path, Problem
from mpp.verdict.finding import SPAM_SCANNED, Finding
from mpp.verdict.transaction import Transaction

_TEST = {"client": "2.0.0.127", "helo": "test", "from": "test", "links": "test"}  # RFC 5782, 5: always listed


@dataclass(frozen=True, slots=True)
class _Asked:
    name: str  # in DNS
    what: str  # "client 192.0.2.1": for people


class DnsListCheck(ScannerCheck[DnsList]):
    """The Check that asks a list."""

    def __init__(self, settings: DnsList, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._codes = [read_code(code) for code in settings.codes]
        self._lookups = tools.lookups(settings.resolvers, settings.timeout / 2)

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return a finding for each thing that is listed; and the failure where a lookup failed."""
        asked = list(dict.fromkeys(self._asked(message, transaction)))
        listings = await asyncio.gather(*(self._listing(each) for each in asked))
        found = [each for each in listings if each.failure is None and each.symbol != SPAM_SCANNED]
        failures = [each for each in listings if each.failure is not None]
        seen = {finding.evidence: finding for finding in found}  # one listing of a thing, by whichever of its names
        return [Finding(self.name, SPAM_SCANNED), *seen.values(), *failures[:1]]

    async def listed(self, address: str) -> bool:
        """Is this client listed? For RCPT: a lookup that fails says no. Never raises."""
        name = address_name(address, self.settings.zone)
        return bool(name) and (await self._listing(_Asked(name, f"client {address}"))).score > 0

    def _asked(self, message: Message, transaction: Transaction) -> Iterable[_Asked]:
        ask, zone = self.settings.ask, self.settings.zone
        if "client" in ask and not transaction.trusted:
            name = address_name(transaction.client.address, zone)
            if name:
                yield _Asked(name, f"client {transaction.client.address}")
        if "helo" in ask and not transaction.trusted:
            yield from self._domain(transaction.client.helo, "HELO")
        if "from" in ask:
            yield from self._domain(_domain_of(transaction.envelope.reverse_path), "sender")
            header = [address for value in message.values(b"from")[:5] for address in addresses(value)]
            for address in header[:MOST]:
                yield from self._domain(_domain_of(address), "From")
        if "links" in ask:
            for host in self._hosts(message, transaction):
                if name := address_name(host, zone):
                    yield _Asked(name, f"link to {host}")
                else:
                    yield from self._domain(host, "link to")

    def _hosts(self, message: Message, transaction: Transaction) -> Iterable[str]:
        """The hosts of links, in the texts as they are seen and in the HTML."""
        scopes = Scopes(message, transaction.envelope, transaction.client, limit=self.settings.max_size)
        hosts = scopes.text("host", raw=True).decode().split("\n")
        return [host for host in hosts if host][: self.settings.most_links]

    def _domain(self, domain: str, what: str) -> Iterable[_Asked]:
        try:
            domain = a_labels(domain.lower().rstrip("."))
        except ValueError:
            return
        for name in domain_names(domain, self.settings.zone):
            yield _Asked(name, f"{what} {domain}")

    async def _listing(self, asked: _Asked) -> Finding:
        """Return the listing, the failure, or the note that it is not listed."""
        try:
            async with asyncio.timeout(self.settings.timeout):
                answers = await self._lookups.addresses(asked.name)
            if not answers:
                return Finding(self.name, SPAM_SCANNED)
            points = points_of(answers, self._codes, self.settings.score)
        except TimeoutError:
            return self.failed(self.settings.zone, f"no answer for {asked.name} within {self.settings.timeout:g} s")
        except (DnsError, ValueError) as error:
            return self.failed(self.settings.zone, str(error))
        text = f"{asked.what} is listed by {self.settings.zone}"
        return Finding(self.name, self.settings.symbol or "LISTED", points, text, asked.what)

    async def told(self, path: Path) -> list[Problem]:
        name = f"{_TEST[self.settings.ask[0]]}.{self.settings.zone}"
        try:
            answers = await self._lookups.addresses(name)
            points_of(answers, (), 0)
        except (DnsError, ValueError) as error:
            cure = "correct the zone, or name resolvers that it answers"
            return [Problem((*path, "zone"), f"cannot be asked: {error}", cure)]
        if not answers:
            cure = "see whether the list still exists, and whether it is a list of this"
            return [Problem((*path, "zone"), f"does not list its test entry {name}", cure, "warning")]
        return [Problem((*path, "zone"), "answers", "", "note")]


def _domain_of(address: str) -> str:
    try:
        return parse_address(address).ascii_domain
    except AddressError:
        return ""
