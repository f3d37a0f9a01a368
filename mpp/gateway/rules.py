"""What no single section can see: settings that contradict each other, or that can never hold. Pure functions.

Errors keep the settings from being taken; what is only useless is a warning. Called by mpp.gateway.load, at start, at
reload and by `mpp check`. What needs the file system stands in mpp.gateway.files.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from mpp.checks.attachments.problems import attachment_problems
from mpp.checks.content.problems import filter_problems
from mpp.checks.layers.contradictions import layer_problems, vote_problems
from mpp.checks.scanners.kinds import BROKEN, Command
from mpp.checks.scanners.settings import Served
from mpp.gateway.settings import PATIENCE_S, Listener, Route, Settings
from mpp.mail.escape import printable
from mpp.settings.problem import Path, Problem, Rule, dotted
from mpp.settings.tenants import tenant_problems
from mpp.settings.values import Endpoint
from mpp.verdict.contradictions import rule_problems, threshold_problems
from mpp.verdict.roles import role_problems

_UNIQUE_LOCAL = ipaddress.ip_network("fc00::/7")  # RFC 4193; no private network is wider


def on_loopback(endpoint: Endpoint) -> bool:
    """True for unix paths, loopback addresses and the name localhost."""
    if endpoint.path or endpoint.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(endpoint.host).is_loopback
    except ValueError:
        return False


def listeners(settings: Settings) -> Iterator[Problem]:
    """Names and addresses are each listener's own; what it needs elsewhere is there."""
    yield from _twice([(("listeners", n, "name"), each.name) for n, each in enumerate(settings.listeners)], "a name")
    places = [
        (("listeners", n, "address"), (each.address.path or each.address.host, each.address.port))
        for n, each in enumerate(settings.listeners)
        if each.address.path or each.address.port  # port 0: any free one
    ]
    yield from _twice(places, "an address")
    for number, listener in enumerate(settings.listeners):
        yield from _listener(("listeners", number), listener, settings)


def _listener(path: Path, listener: Listener, settings: Settings) -> Iterator[Problem]:
    tls, networks = settings.tls, settings.networks
    if listener.tls != "none" and not (tls.certificate and tls.key):
        what = f'"{listener.tls}" needs a certificate, and there is none'
        yield Problem((*path, "tls"), what, 'write certificate and key under [tls], or tls = "none"')
    if listener.proxy_protocol and not networks.proxies:
        what = "requires PROXY of every client, and networks.proxies allows it to nobody"
        yield Problem((*path, "proxy_protocol"), what, "name your load balancers in networks.proxies")
    if listener.direction == "outbound" and not networks.trusted and not networks.relay_all:
        what = '"outbound" serves only networks.trusted, and there is none'
        yield Problem((*path, "direction"), what, "name your own networks in networks.trusted")
    checks_end = settings.limits.checks_timeout
    patience = PATIENCE_S[listener.stage] if listener.patience is None else listener.patience
    if patience - 10 < checks_end:
        what = f"({patience:g} s) less 10 s for delivery ends before limits.checks_timeout ({checks_end:g} s)"
        yield Problem((*path, "patience"), what, f"write at least {checks_end + 10:g}, or lower checks_timeout")


def relaying(settings: Settings) -> Iterator[Problem]:
    """Nobody becomes an open relay by a slip, and no listener stands where nothing is accepted."""
    outside = [n for n, each in enumerate(settings.listeners) if not on_loopback(each.address)]
    networks = settings.networks
    if networks.relay_all and outside:
        names = ", ".join(str(settings.listeners[n].address) for n in outside)
        what = f"would make an open relay: {names} is reached from outside"
        yield Problem(("networks", "relay_all"), what, "name the domains that are ours instead, or listen on 127.0.0.1")
    for key, harm in (("trusted", "makes an open relay"), ("proxies", "lets anybody pass for a trusted client")):
        for number, network in enumerate(getattr(networks, key)):
            if network.prefixlen < 8 and network != _UNIQUE_LOCAL:
                what = f"{network} is as good as the whole Internet, which {harm}"
                yield Problem(("networks", key, number), what, "name your own networks")
    if outside and not networks.relay_all and not networks.trusted and not any(route.ours for route in settings.routes):
        what = "is reached from outside, but no domain is ours and nobody is trusted, so every recipient is refused"
        yield Problem(("listeners", outside[0], "address"), what, "add a route with the domains that are ours")
    if settings.listeners and not settings.routes:
        yield Problem(
            ("routes",), "is missing: mail that comes in goes nowhere", "add [[routes]] with domains and hosts"
        )
    everybody = any("*" in route.domains for route in settings.routes)
    if settings.routes and not everybody and (networks.trusted or networks.relay_all):
        key = "trusted" if networks.trusted else "relay_all"
        what = 'lets clients relay, but no route has domains = ["*"], so other domains are refused'
        yield Problem(("networks", key), what, 'add a route with domains = ["*"] and ours = false', "warning")


def routes(settings: Settings) -> Iterator[Problem]:
    """Each domain has one route, and each route one way to find its servers."""
    domains = [
        (("routes", n, "domains", item), domain)
        for n, route in enumerate(settings.routes)
        for item, domain in enumerate(route.domains)
    ]
    yield from _twice(domains, "a domain")
    for number, route in enumerate(settings.routes):
        yield from _route(("routes", number), route)


def _route(path: Path, route: Route) -> Iterator[Problem]:
    if route.mx and route.hosts:
        yield Problem((*path, "mx"), "asks DNS, and hosts names servers: only one can hold", "remove one of the two")
    if not route.mx and not route.hosts:
        what = f"for {route.domains[0]} names neither hosts nor mx, so nothing can be delivered"
        yield Problem(path, what, 'write hosts = ["10.0.0.1:25"] or mx = true')
    if "*" in route.domains and route.ours:
        what = '"*" with ours = true accepts mail for every domain from anyone, which makes an open relay'
        item = route.domains.index("*")
        yield Problem((*path, "domains", item), what, "write ours = false, or name the domains")
    if route.recipients and not route.recipients.startswith("file:/"):
        yield Problem((*path, "recipients"), "is no table", 'write "file:" and an absolute path')
    if len(set(route.hosts)) < len(route.hosts):
        yield Problem((*path, "hosts"), "names a server twice", "name it once", "warning")
    if route.connect_timeout > route.timeout:
        what = f"{route.connect_timeout:g} s is longer than timeout ({route.timeout:g} s)"
        yield Problem((*path, "connect_timeout"), what, "write a shorter time", "warning")


def scanners(settings: Settings) -> Iterator[Problem]:
    """Pools of one name, and what a kind of scanner cannot do."""
    yield from BROKEN
    yield from _twice([(("scanners", n, "name"), each.name) for n, each in enumerate(settings.scanners)], "a name")
    for number, scanner in enumerate(settings.scanners):
        path: Path = ("scanners", number)
        yield from scanner.problems(path)
        if isinstance(scanner, Command) and scanner.program not in settings.node.programs:
            what = f'"{printable(str(scanner.program))}" is not among node.programs'
            yield Problem((*path, "program"), what, "add it there, or name one that is")
        if isinstance(scanner, Served):
            yield from _twice([((*path, "servers", n), each) for n, each in enumerate(scanner.servers)], "a server")
        if scanner.timeout > settings.limits.checks_timeout:
            what = (
                f"{scanner.timeout:g} s is never reached: limits.checks_timeout ({settings.limits.checks_timeout:g} s)"
            )
            yield Problem((*path, "timeout"), f"{what} ends it first", "lower it, or raise checks_timeout", "warning")
    if not settings.checks and settings.scanners:
        yield Problem(("checks",), "is false, so no scanner is ever asked", "remove it, or the scanners", "warning")


def layers(settings: Settings) -> Iterator[Problem]:
    """Layers and voting rules against the scanners that there are."""
    for table in ("layers", "votes"):
        names = [((table, n, "name"), each.name) for n, each in enumerate(getattr(settings, table))]
        yield from _twice(names, "a name")
    yield from layer_problems(settings.layers, settings.scanners, {"default", *settings.policies})
    yield from vote_problems(settings.votes, settings.scanners)


def limits(settings: Settings) -> Iterator[Problem]:
    """A part above its whole, and a budget that its largest message does not fit into."""
    bounds, room = settings.limits, settings.memory.in_flight
    for part, whole in (("connections_by_host", "connections"), ("errors", "commands"), ("errors", "errors_by_host")):
        if getattr(bounds, part) > getattr(bounds, whole):
            what = f"{getattr(bounds, part)} is never reached: {whole} ({getattr(bounds, whole)}) ends it first"
            yield Problem(("limits", part), what, f"write at most {getattr(bounds, whole)}", "warning")
    if room < 2 * bounds.message_size:
        what = f"is less than two messages of limits.message_size ({bounds.message_size} octets)"
        yield Problem(("memory", "in_flight"), what, f"write at least {2 * bounds.message_size}, or lower message_size")
    elif room < 4 * bounds.message_size:
        what = "gives one client network a quarter, which is less than one message of limits.message_size"
        yield Problem(("memory", "in_flight"), what, f"write at least {4 * bounds.message_size}", "warning")


def tls(settings: Settings) -> Iterator[Problem]:
    """A certificate goes with its key, and somebody uses it."""
    pair = settings.tls
    if bool(pair.certificate) != bool(pair.key):
        key, other = ("certificate", "key") if pair.certificate else ("key", "certificate")
        yield Problem(("tls", key), f"is of no use without tls.{other}", f"add {other}")
    elif pair.certificate and settings.listeners and all(each.tls == "none" for each in settings.listeners):
        cure = 'write tls = "starttls" in the listeners'
        yield Problem(("tls", "certificate"), "is used by no listener", cure, "warning")


def policies(settings: Settings) -> Iterator[Problem]:
    """What the policies say against themselves, each other and the listeners."""
    yield from threshold_problems(settings.policies)
    doors = {each.name for each in settings.listeners}
    yield from rule_problems(settings.policy_rules, settings.policies, doors, settings.groups, settings.tenants)
    for number, listener in enumerate(settings.listeners):
        if listener.stage == "after-queue":
            what = '"after-queue": whatever is to be refused is held in quarantine here, or the MTA would bounce it'
            cure = 'look into the quarantine, or use stage = "proxy" (smtpd_proxy_filter), which may refuse'
            yield Problem(("listeners", number, "stage"), what, cure, "warning")


def filters(settings: Settings) -> Iterator[Problem]:
    """What the content filter's rules say against themselves and each other."""
    yield from filter_problems(settings.filters, set(settings.policies))


def attachments(settings: Settings) -> Iterator[Problem]:
    """What the rules for attachments say against themselves and each other."""
    size = settings.limits.message_size
    yield from attachment_problems(settings.attachments, settings.attachment_lists, set(settings.policies), size)
    if settings.attachments and not settings.checks:
        yield Problem(
            ("checks",), "is false, so no rule for attachments is asked", "remove it, or the rules", "warning"
        )


def tenants(settings: Settings) -> Iterator[Problem]:
    """Tenants, groups and who may release what."""
    yield from tenant_problems(settings.tenants, settings.groups, list(settings.policies))
    yield from role_problems(settings.release_rules)


def _twice(items: Iterable[tuple[Path, object]], what: str) -> Iterator[Problem]:
    first: dict[object, Path] = {}
    for path, value in items:
        if value in first:
            yield Problem(path, f"is {what} that {dotted(first[value])} has already", "write another, or remove one")
        first.setdefault(value, path)


RULES: tuple[Rule, ...] = (
    listeners,
    relaying,
    routes,
    scanners,
    layers,
    limits,
    tls,
    policies,
    filters,
    attachments,
    tenants,
)
