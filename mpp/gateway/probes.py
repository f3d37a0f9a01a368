"""Do the servers that the settings name answer: next hops, scanners, DNS? Asked by `mpp check`; sends no mail.

Every wait has a deadline. Each function returns problems with the path of the setting that is at fault.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Coroutine

from mpp.checks.scanners.scanner import ScannerCheck, Tools
from mpp.gateway.hop import Hop, HopError, HopSettings
from mpp.gateway.settings import Route, Settings
from mpp.mail.escape import printable
from mpp.net.connect import why_silent
from mpp.net.dns import DnsError, Resolver
from mpp.net.tls import client_contexts
from mpp.settings.problem import Path, Problem
from mpp.settings.values import Endpoint

ANSWER_S = 10.0  # for a whole conversation with one server


async def probe(settings: Settings, hostname: str) -> list[Problem]:
    """Ask all of them at once and return what is wrong, with a note of what each scanner is."""
    asked: list[Coroutine[object, object, Problem | None]] = []
    tools = Tools(contexts=client_contexts(settings.tls), resolvers=settings.node.resolvers)
    checks = [scanner.check(tools) for scanner in settings.scanners]
    for number, route in enumerate(settings.routes):
        path: Path = ("routes", number)
        for item, endpoint in enumerate(route.hosts):
            asked.append(next_hop((*path, "hosts", item), route, endpoint, settings, hostname))
        if route.mx:
            asked += [
                mail_hosts((*path, "domains", item), domain, settings)
                for item, domain in enumerate(route.domains)
                if domain != "*" and not domain.startswith(".")
            ]
    asked.append(own_name(hostname))
    async with asyncio.TaskGroup() as group:
        scanners = [
            group.create_task(check.told(("scanners", number)), name=f"probe scanner {number}")
            for number, check in enumerate(checks)
            if isinstance(check, ScannerCheck)
        ]
        tasks = [group.create_task(question, name=f"probe {number}") for number, question in enumerate(asked)]
    found = [problem for scanner in scanners for problem in scanner.result()]
    return found + [problem for task in tasks if (problem := task.result()) is not None]


async def next_hop(path: Path, route: Route, endpoint: Endpoint, settings: Settings, hostname: str) -> Problem | None:
    """A next hop takes our EHLO, and TLS as the route wants it; and it is not ourselves."""
    shown = f'"{printable(str(endpoint))}"'
    loop = asyncio.get_running_loop()
    if own := await _own_listener(endpoint, settings):
        what = f'{shown} is our own listener "{own}", so mail would go round in circles'
        return Problem(path, what, "name the server behind this gateway")
    policy = "none" if endpoint.path else route.tls
    hop = Hop(HopSettings(endpoint, policy, endpoint.host, hostname, ANSWER_S, ANSWER_S, 1))
    cure = "start it, or correct the address"
    try:
        context = client_contexts(settings.tls)(policy)
        async with asyncio.timeout(ANSWER_S):
            if endpoint.path:
                await loop.create_unix_connection(lambda: hop, endpoint.path)
            else:
                await loop.create_connection(lambda: hop, endpoint.host, endpoint.port)
            await hop.open(context, loop.time() + ANSWER_S)
    except HopError as error:
        return Problem(
            path, f"{shown} answers, but: {printable(str(error), 200)}", "look into its log, or correct the route"
        )
    except (OSError, ValueError) as error:
        return Problem(path, f"{shown} does not answer: {why_silent(error, ANSWER_S)}", cure)
    hop.quit()
    return None


async def mail_hosts(path: Path, domain: str, settings: Settings) -> Problem | None:
    """A domain delivered by MX has servers."""
    try:
        await Resolver(settings.node.resolvers).mail_hosts(domain)
    except DnsError as error:
        return Problem(
            path, f'"{domain}" has no mail servers: {printable(str(error))}', "correct the domain, or write hosts"
        )
    return None


async def own_name(hostname: str) -> Problem | None:
    """Many servers refuse a name in EHLO that DNS does not know (RFC 5321, 4.1.1.1)."""
    what = f'"{printable(hostname)}" is not known to DNS, and some servers refuse such a name'
    problem = Problem(("node", "hostname"), what, "write the name that DNS has for this machine", "warning")
    if "." not in hostname:
        return problem
    return None if await _addresses(hostname, 25) else problem


async def _own_listener(endpoint: Endpoint, settings: Settings) -> str:
    """Return the name of our listener that an endpoint leads to, "" for none."""
    same = [each for each in settings.listeners if each.address.port == endpoint.port]
    if endpoint.path:
        return next((each.name for each in same if each.address.path == endpoint.path), "")
    same = [each for each in same if not each.address.path and endpoint.port]
    hop = await _addresses(endpoint.host, endpoint.port) if same else set()
    for listener in same:
        bound = await _addresses(listener.address.host, listener.address.port)
        everywhere = any(ipaddress.ip_address(address).is_unspecified for address in bound)
        if hop & bound or (everywhere and any(map(_is_here, hop))):
            return listener.name
    return ""


async def _addresses(host: str, port: int) -> set[str]:
    try:
        async with asyncio.timeout(ANSWER_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {str(address[0]).partition("%")[0] for *_, address in found}


def _is_here(address: str) -> bool:
    """An address that can be bound is one of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True
