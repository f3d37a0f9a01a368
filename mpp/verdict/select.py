"""Which policy holds for a recipient: the first rule that fits, else the tenant's, else `default`.

Asked by the gateway once for each RCPT. An instance belongs to one settings revision; answers are kept.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from mpp.settings.tenants import Group, Tenant, address_keys
from mpp.verdict.policy import Policy, PolicyRule

Named = tuple[str, Policy]

_KEPT = 4096  # answers
_NOTHING: Mapping[str, Group] = {}
_NOBODY: Mapping[str, Tenant] = {}


class PolicySelector:
    def __init__(
        self,
        policies: Mapping[str, Policy],
        rules: Sequence[PolicyRule],
        groups: Mapping[str, Group] = _NOTHING,
        tenants: Mapping[str, Tenant] = _NOBODY,
    ) -> None:
        """Take the sections of these names. Raises KeyError where a rule names a policy or group that is not there."""
        default = policies.get("default") or Policy()
        known = {**policies, "default": default}
        given = [*rules, *_of_tenants(tenants)]
        self._rules = tuple((_Matcher(rule, groups), rule, (rule.policy, known[rule.policy])) for rule in given)
        own = tenants["default"].policy if "default" in tenants else ""
        self._default: Named = (own or "default", known[own or "default"])
        self._cached = lru_cache(_KEPT)(self._find)

    def choose(self, listener: str, recipient: str, direction: str) -> Named:
        """Return name and policy for a recipient's address as the envelope has it; letter case does not matter."""
        return self._cached(listener, recipient, direction) if self._rules else self._default

    def rule(self, listener: str, recipient: str, direction: str) -> PolicyRule | None:
        """Return the rule that chooses, also one made of a tenant's policy; None where the default holds."""
        keys = address_keys(recipient)
        return next((rule for matcher, rule, _ in self._rules if matcher.fits(listener, keys, direction)), None)

    def _find(self, listener: str, recipient: str, direction: str) -> Named:
        keys = address_keys(recipient)
        return next(
            (named for matcher, _, named in self._rules if matcher.fits(listener, keys, direction)), self._default
        )


def _of_tenants(tenants: Mapping[str, Tenant]) -> list[PolicyRule]:
    """Rules for tenants with a policy of their own, the longest domains first."""
    pairs = [(domain, tenant.policy) for tenant in tenants.values() if tenant.policy for domain in tenant.domains]
    pairs.sort(key=lambda pair: (-len(pair[0].strip(".").split(".")), pair[0].startswith(".")))
    return [PolicyRule(policy=policy, recipients=(domain,)) for domain, policy in pairs]


class _Matcher:
    def __init__(self, rule: PolicyRule, groups: Mapping[str, Group]) -> None:
        self._listeners = frozenset(rule.listeners)
        members = (member for name in rule.groups for member in groups[name].members)
        self._recipients = frozenset(pattern.lower() for pattern in (*rule.recipients, *members))
        self._anybody = not rule.recipients and not rule.groups
        self._direction = rule.direction

    def fits(self, listener: str, keys: frozenset[str], direction: str) -> bool:
        return (
            (not self._listeners or listener in self._listeners)
            and self._direction in ("any", direction)
            and (self._anybody or not self._recipients.isdisjoint(keys))
        )
