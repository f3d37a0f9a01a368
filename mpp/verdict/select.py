"""Which policy holds for a recipient: the first rule that fits, else `default`.

Asked by the gateway once for each RCPT. An instance belongs to one settings revision; answers are kept.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from mpp.verdict.policy import Policy, PolicyRule

Named = tuple[str, Policy]

_KEPT = 4096  # answers


class PolicySelector:
    def __init__(self, policies: Mapping[str, Policy], rules: Sequence[PolicyRule]) -> None:
        """Take the sections `policies` and `policy_rules`. Raises KeyError where a rule names a policy that is not there."""
        default = policies.get("default") or Policy()
        known = {**policies, "default": default}
        self._rules = tuple((_Matcher(rule), (rule.policy, known[rule.policy])) for rule in rules)
        self._default: Named = ("default", default)
        self._cached = lru_cache(_KEPT)(self._find)

    def choose(self, listener: str, recipient: str, direction: str) -> Named:
        """Return name and policy for a recipient's address as the envelope has it; letter case does not matter."""
        return self._cached(listener, recipient, direction) if self._rules else self._default

    def _find(self, listener: str, recipient: str, direction: str) -> Named:
        keys = _keys(recipient.lower())
        for matcher, named in self._rules:
            if matcher.fits(listener, keys, direction):
                return named
        return self._default


class _Matcher:
    def __init__(self, rule: PolicyRule) -> None:
        self._listeners = frozenset(rule.listeners)
        self._recipients = frozenset(pattern.lower() for pattern in rule.recipients)
        self._direction = rule.direction

    def fits(self, listener: str, keys: frozenset[str], direction: str) -> bool:
        return (
            (not self._listeners or listener in self._listeners)
            and self._direction in ("any", direction)
            and (not self._recipients or not self._recipients.isdisjoint(keys))
        )


def _keys(address: str) -> frozenset[str]:
    """Return what a rule may write to mean this address: itself, its domain, and ".domain" of it and of each above."""
    domain = address.rpartition("@")[2] if "@" in address else ""
    labels = domain.split(".")[-127:] if domain else []  # more labels than DNS allows are not looked at
    above = {"." + ".".join(labels[start:]) for start in range(len(labels))}
    return frozenset({address, domain} | above) if domain else frozenset({address})
