"""The settings as they hold for one recipient: each value with the level that set it, and since which revision. Pure.

For `mpp settings show --for`. Levels, the nearest last: default (MPP's own), file (for everybody), tenant, domain, group, user.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from mpp.gateway.revising import read, read_own
from mpp.gateway.routes import RouteTable
from mpp.gateway.settings import Settings
from mpp.mail.address import parse_address
from mpp.settings.model import Section
from mpp.settings.own import overlaid
from mpp.settings.problem import SettingsError, dotted
from mpp.settings.revisions import Revision
from mpp.settings.tenants import DEFAULT_TENANT, Directory, Keep, address_keys, domain_keys
from mpp.verdict.policy import PolicyRule
from mpp.verdict.select import PolicySelector

Level = Literal["default", "file", "tenant", "domain", "group", "user"]


@dataclass(frozen=True, slots=True)
class Value:
    """What holds for the recipient, plain as in a file; `by` is the settings key that says so, "" for a default."""

    value: Any
    level: Level
    by: str = ""


def personal(settings: Settings, recipient: str, listener: str = "", direction: str = "inbound") -> dict[str, Value]:
    """Return the values by names of their own ("policy.reject_above"), in the model's order. Raises AddressError."""
    return dict(_values(settings, recipient, listener, direction))


def _values(settings: Settings, recipient: str, listener: str, direction: str) -> Iterator[tuple[str, Value]]:
    directory = Directory(settings.tenants, settings.groups)
    tenant, groups = directory.tenant(recipient), directory.groups(recipient)
    by = dotted(("tenants", tenant, "domains")) if tenant != DEFAULT_TENANT else ""
    yield "tenant", Value(tenant, "domain" if by else "default", by)
    yield (
        "groups",
        Value(list(groups), "group" if groups else "default", ", ".join(dotted(("groups", name)) for name in groups)),
    )
    yield from _policy(settings, tenant, recipient, listener, direction)
    yield from _keep(settings, tenant)
    yield from _route(settings, recipient)


def _policy(
    settings: Settings, tenant: str, recipient: str, listener: str, direction: str
) -> Iterator[tuple[str, Value]]:
    selector = PolicySelector(settings.policies, settings.policy_rules, settings.groups, settings.tenants)
    name, policy = selector.choose(listener, recipient, direction)
    chosen = _chosen(settings, selector.rule(listener, recipient, direction), tenant, name, recipient)
    yield "policy", chosen
    level: Level = chosen.level if chosen.level != "default" else "file"
    for key, value, is_set in _fields(policy):
        by = dotted(("policies", name, key)) if is_set else ""
        yield f"policy.{key}", Value(value, level if is_set else "default", by)


def _chosen(settings: Settings, rule: PolicyRule | None, tenant: str, name: str, recipient: str) -> Value:
    """By what the policy is chosen."""
    if rule in settings.policy_rules:
        return Value(name, _level(rule, recipient), dotted(("policy_rules", settings.policy_rules.index(rule))))
    if tenant in settings.tenants and settings.tenants[tenant].policy == name:
        return Value(name, "tenant", dotted(("tenants", tenant, "policy")))
    return Value(name, "default")


def _level(rule: PolicyRule, recipient: str) -> Level:
    """How near to the recipient a rule names it."""
    named = address_keys(recipient) & {pattern.lower() for pattern in rule.recipients}
    if recipient.lower() in named:
        return "user"
    return "domain" if named else "group" if rule.groups else "file"


def _keep(settings: Settings, tenant: str) -> Iterator[tuple[str, Value]]:
    """How long its copies are held, by class."""
    own = settings.tenants[tenant].keep if tenant in settings.tenants else Keep()
    (general,) = (each for each in _fields(settings.store) if each[0] == "keep_held")
    for key, value, is_set in _fields(own):
        if is_set:
            yield f"keep.{key}", Value(value, "tenant", dotted(("tenants", tenant, "keep", key)))
        else:
            yield (
                f"keep.{key}",
                Value(general[1], "file", "store.keep_held") if general[2] else Value(general[1], "default"),
            )


def _route(settings: Settings, recipient: str) -> Iterator[tuple[str, Value]]:
    address = parse_address(recipient)
    route = RouteTable(settings).find(address)
    if route is None:
        return
    number = settings.routes.index(route)
    near = set(domain_keys(address.ascii_domain)) & {domain.lower() for domain in route.domains}
    for key, value, is_set in _fields(route):
        by = dotted(("routes", number, key)) if is_set else ""
        yield f"route.{key}", Value(value, ("domain" if near else "file") if is_set else "default", by)


def _fields(section: Section) -> Iterator[tuple[str, Any, bool]]:
    """Yield each key with its plain value, and whether that is another than the default."""
    differs = section.model_dump(mode="json", exclude_defaults=True)
    return ((key, value, key in differs) for key, value in section.model_dump(mode="json").items())


@dataclass(frozen=True, slots=True)
class Made:
    """A revision, and whose it is."""

    revision: Revision
    tenant: str

    @property
    def name(self) -> str:
        return self.revision.name + (f" of {self.tenant}" if self.tenant != DEFAULT_TENANT else "")


def moments(
    kept: Sequence[Revision], own: Sequence[Revision], tenant: str, start: Settings
) -> Iterator[tuple[Made, Settings]]:
    """Yield each revision, of the provider and of a tenant itself, with the settings that held with it, the newest first.

    Ends at one of an MPP that knew other settings.
    """
    made = [*(Made(each, DEFAULT_TENANT) for each in kept), *(Made(each, tenant) for each in own)]
    made.sort(key=lambda each: each.revision.at_ms, reverse=True)
    for number, each in enumerate(made):
        base = next((one.revision for one in made[number:] if one.tenant == DEFAULT_TENANT), None)
        if base is None:
            return
        try:
            settings = read(base, start).settings
        except SettingsError:
            return
        mine = next((one.revision for one in made[number:] if one.tenant != DEFAULT_TENANT), None)
        with suppress(SettingsError):  # it cannot hold beside these settings: those of the provider do
            settings = overlaid(settings, tenant, read_own(mine, tenant, settings).settings) if mine else settings
        yield each, settings


def since(values: Mapping[str, Value], earlier: Iterable[tuple[Made, Mapping[str, Value]]]) -> Mapping[str, Made]:
    """Return for each value that something set the revision that did: the first of those without a break up to now.

    `earlier` are revisions with what they say, the newest first, which must say `values`; they are read only as far as needed.
    """
    found: dict[str, Made] = {}
    open_ = {name for name, value in values.items() if value.level != "default"}
    for revision, said in earlier:
        open_ = {name for name in open_ if _same(values[name], said.get(name))}
        if not open_:
            break
        found.update(dict.fromkeys(open_, revision))
    return found


def _same(now: Value, then: Value | None) -> bool:
    """The place in a list may have changed meanwhile."""
    return then is not None and (now.value, now.level) == (then.value, then.level)
