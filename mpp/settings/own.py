"""What a tenant may set by itself, in revisions of its own: these lie over what the provider's settings say of it. Pure.

A tenant says how long its copies are held, who is in its groups, and which policy holds where no rule fits, as far as the provider
lets it choose. Nothing else is a key here, and no address of another tenant can be named: so its revisions change its own mail alone.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from pydantic import Field

from mpp.mail.escape import printable
from mpp.settings.model import Section
from mpp.settings.problem import Problem
from mpp.settings.tenants import Directory, Group, Keep, Tenant
from mpp.settings.values import Name, Recipient


class OwnGroup(Section):
    """Who is in a group that the provider has made for the tenant."""

    members: tuple[Recipient, ...] = Field(
        (), description='"user@example.org", "example.org", ".example.org" with subdomains'
    )


class Own(Section):
    """A revision of a tenant: only what differs from what the provider says of it."""

    policy: str = Field("", description="One of tenants.NAME.may_choose; empty: the provider's choice")
    keep: Keep = Field(default_factory=Keep, description="How long its copies are held")
    groups: dict[Name, OwnGroup] = Field(default_factory=dict, description="Its groups, by name")


def own_rule(
    name: str, tenants: Mapping[str, Tenant], groups: Mapping[str, Group]
) -> Callable[[Own], Iterator[Problem]]:
    """Return the rule for what the tenant of this name may not say."""
    directory = Directory(tenants, groups)
    tenant = tenants.get(name, Tenant())
    others = [f".{domain.lstrip('.')}" for key, other in tenants.items() if key != name for domain in other.domains]

    def problems(own: Own) -> Iterator[Problem]:
        if own.policy and own.policy not in tenant.may_choose:
            free = ", ".join(tenant.may_choose) or "none; the provider sets tenants.NAME.may_choose"
            yield Problem(("policy",), f'"{printable(own.policy, 60)}" is not yours to choose', f"write one of: {free}")
        for key, group in own.groups.items():
            if key not in groups or groups[key].tenant != name:
                yield Problem(("groups", key), "is no group of this tenant", "ask the provider for it")
            for number, member in enumerate(group.members):
                below = member.startswith(".") and any(domain.endswith(member.lower()) for domain in others)
                if below or directory.tenant(_somebody(member)) != name:
                    what = f'"{printable(member, 200)}" belongs to another tenant'
                    yield Problem(("groups", key, "members", number), what, "name addresses of domains of yours")

    return problems


def _somebody(member: str) -> str:
    """Return an address that a member means."""
    if "@" in member:
        return member
    return f"x@any{member}" if member.startswith(".") else f"x@{member}"


T = TypeVar("T", bound=Section)


def overlaid(settings: T, name: str, own: Own) -> T:
    """Return the settings (with `tenants` and `groups`) with a tenant's own over them."""
    tenants: Mapping[str, Tenant] = settings.tenants  # type: ignore[attr-defined]
    groups: Mapping[str, Group] = settings.groups  # type: ignore[attr-defined]
    tenant = tenants.get(name, Tenant())
    keep = tenant.keep.model_copy(update={key: value for key, value in own.keep if value is not None})
    changed = tenant.model_copy(update={"keep": keep, "policy": own.policy or tenant.policy})
    members = {key: groups[key].model_copy(update={"members": group.members}) for key, group in own.groups.items()}
    return settings.model_copy(update={"tenants": {**tenants, name: changed}, "groups": {**groups, **members}})
