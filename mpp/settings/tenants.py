"""Whose address is it: tenants, the customers of a service provider, with their domains, and groups of addresses.

Everything belongs to a tenant: without a word in the settings to the tenant `default`. Read by policies, lists, roles and
by whatever asks the store, which answers for one tenant at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache

from pydantic import Field

from mpp.mail.address import a_labels, u_labels
from mpp.settings.model import Section
from mpp.settings.problem import Path, Problem
from mpp.settings.values import Domain, Duration, Name, Recipient

DEFAULT_TENANT = "default"


class Keep(Section):
    """How long copies of a tenant are held, by the class of the message; where a key is not set, store.keep_held."""

    virus: Duration | None = Field(None, gt=0, examples=["7d"], description="Viruses")
    banned: Duration | None = Field(None, gt=0, examples=["30d"], description="Banned content")
    unchecked: Duration | None = Field(None, gt=0, examples=["30d"], description="What could not be looked into")
    forged_bounce: Duration | None = Field(None, gt=0, examples=["7d"], description="Bounces of forged mail")
    spam: Duration | None = Field(None, gt=0, examples=["14d"], description="Spam")
    stripped: Duration | None = Field(
        None, gt=0, examples=["30d"], description="What was delivered without some of its attachments, as it came"
    )
    undeliverable: Duration | None = Field(
        None, gt=0, examples=["90d"], description="What a next hop refused after another recipient was accepted"
    )

    def of(self, verdict: str, otherwise: float) -> float:
        """Return the seconds for a class ("spam", "forged-bounce", ...)."""
        own: float | None = getattr(self, verdict.replace("-", "_"), None)
        return otherwise if own is None else own


class Tenant(Section):
    """A customer of a service provider. The table `default` is the one for all other domains."""

    domains: tuple[Domain, ...] = Field(
        (), description='Its domains: "example.org", ".example.org" with subdomains; the longest that fits holds'
    )
    policy: str = Field("", description="Name of the policy that holds where no rule fits; empty: `default`")
    may_choose: tuple[str, ...] = Field(
        (),
        description="Names of policies among which the tenant's own revisions may choose (mpp settings apply --tenant)",
    )
    keep: Keep = Field(default_factory=Keep, description="How long its copies are held")


class Group(Section):
    """Addresses that have something in common: named in policy rules and in lists."""

    tenant: Name = Field(DEFAULT_TENANT, description="The tenant whose group it is")
    members: tuple[Recipient, ...] = Field(
        (), description='"user@example.org", "example.org", ".example.org" with subdomains'
    )


class Directory:
    """Answers for an address; belongs to one value of the settings. Letter case does not matter."""

    def __init__(self, tenants: Mapping[str, Tenant], groups: Mapping[str, Group]) -> None:
        self.names = tuple(dict.fromkeys((DEFAULT_TENANT, *tenants)))
        self._tenants = tenants
        self._owner = {domain: name for name, tenant in tenants.items() for domain in tenant.domains}
        self._groups = groups
        self.tenant = lru_cache(4096)(self._tenant) if self._owner else _default_tenant
        self.groups = lru_cache(4096)(self._groups_of)

    def keep_s(self, tenant: str, verdict: str, otherwise: float) -> float:
        """Return how long a copy of this class is held, in seconds."""
        known = self._tenants.get(tenant)
        return known.keep.of(verdict, otherwise) if known else otherwise

    def _tenant(self, address: str) -> str:
        domain = address.lower().rpartition("@")[2]
        return next((self._owner[key] for key in domain_keys(domain) if key in self._owner), DEFAULT_TENANT)

    def _groups_of(self, address: str) -> tuple[str, ...]:
        tenant = self.tenant(address)
        keys = address_keys(address)
        return tuple(
            name
            for name, group in self._groups.items()
            if group.tenant == tenant and not keys.isdisjoint(group.members)
        )


def _default_tenant(_address: str) -> str:
    return DEFAULT_TENANT


def domain_keys(domain: str) -> Iterator[str]:
    """What a setting may write to mean a domain: itself, then ".domain" of it and of each above, the longest first.

    A name with letters of other scripts, which mail mostly writes in A-labels, is meant in either form.
    """
    for name in forms(domain):
        yield name
        labels = name.split(".")[-127:]  # more labels than DNS allows are not looked at
        yield from ("." + ".".join(labels[start:]) for start in range(len(labels)))


def forms(domain: str) -> Iterator[str]:
    """Yield a domain in lower case as it came, and what else it is written as: in A-labels, or without them."""
    yield domain
    if not domain.isascii() or "xn--" in domain:
        with suppress(ValueError):  # a label that cannot be written so
            yield u_labels(domain) if domain.isascii() else a_labels(domain)


def covering(pattern: str) -> frozenset[str]:
    """What a setting may write to mean all that a pattern means, in lower case; of an address, itself and its domain.

    For ".example.org" this is not "example.org", which leaves out what is below it.
    """
    local, at, domain = pattern.rpartition("@")
    return frozenset({*(f"{local}{at}{form}" for form in forms(domain)), *domain_keys(domain)})


def address_keys(address: str) -> frozenset[str]:
    """What a setting may write to mean this address: itself and what means its domain; without a domain itself alone."""
    address = address.lower()
    _, at, domain = address.rpartition("@")
    return covering(address) if at and domain else frozenset({address})


def tenant_problems(
    tenants: Mapping[str, Tenant], groups: Mapping[str, Group], policies: Sequence[str]
) -> Iterator[Problem]:
    """Domains of two tenants, policies and tenants that are not there."""
    owner: dict[str, str] = {}
    for name, tenant in tenants.items():
        path: Path = ("tenants", name)
        for item, domain in enumerate(tenant.domains):
            if domain in owner:
                what = f'"{domain}" belongs to tenants.{owner[domain]} already'
                yield Problem((*path, "domains", item), what, "name it once")
            owner.setdefault(domain, name)
        if tenant.policy and tenant.policy != DEFAULT_TENANT and tenant.policy not in policies:
            yield Problem((*path, "policy"), f'"{tenant.policy}" is no policy', f"add [policies.{tenant.policy}]")
        for item, policy in enumerate(tenant.may_choose):
            if policy != DEFAULT_TENANT and policy not in policies:
                yield Problem((*path, "may_choose", item), f'"{policy}" is no policy', f"add [policies.{policy}]")
        if name != DEFAULT_TENANT and not tenant.domains:
            yield Problem((*path, "domains"), "is empty, so nothing belongs to it", "name its domains", "warning")
    for name, group in groups.items():
        if group.tenant != DEFAULT_TENANT and group.tenant not in tenants:
            yield Problem(("groups", name, "tenant"), f'"{group.tenant}" is no tenant', f"add [tenants.{group.tenant}]")
