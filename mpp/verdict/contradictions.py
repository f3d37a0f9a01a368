"""Policies that contradict themselves or can never hold. Pure; called by the rules of the gateway's settings check."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import combinations

from mpp.settings.problem import Path, Problem
from mpp.settings.tenants import Group, Tenant, covering
from mpp.verdict.policy import Policy, PolicyRule

DEFAULT = "default"  # the policy that holds where no rule fits
_HIGHEST = ("discard_above", "quarantine_above", "reject_above")  # of equal ones the last wins
_LADDER = (("tag_above", "mark_above"), *(("mark_above", each) for each in _HIGHEST))


def threshold_problems(policies: Mapping[str, Policy]) -> Iterator[Problem]:
    """Each step must be reached before the next one: tag, mark, then quarantine, reject or discard."""
    for name, policy in policies.items():
        path: Path = ("policies", name)
        for lower, upper in _LADDER:
            low, high = getattr(policy, lower), getattr(policy, upper)
            if low is not None and high is not None and low > high:
                what = f"{low:g} is above {upper} ({high:g}), so mail would get the second without the first"
                yield Problem((*path, lower), what, f'write {high:g} or less, or "off"')
        for loser, winner in combinations(_HIGHEST, 2):
            limit = getattr(policy, loser)
            if limit is not None and limit == getattr(policy, winner):
                what = f"{limit:g} is {winner} too, which wins, so it never holds"
                yield Problem((*path, loser), what, "write another number: the highest one that is reached holds")


def rule_problems(
    rules: Sequence[PolicyRule],
    policies: Mapping[str, Policy],
    listeners: Set[str],
    groups: Mapping[str, Group],
    tenants: Mapping[str, Tenant],
) -> Iterator[Problem]:
    """Rules that name what is not there or come too late, and policies that no rule names."""
    for number, rule in enumerate(rules):
        path: Path = ("policy_rules", number)
        if rule.policy != DEFAULT and rule.policy not in policies:
            cure = f"add [policies.{rule.policy}] or name one of: {_listed({DEFAULT, *policies})}"
            yield Problem((*path, "policy"), f'"{rule.policy}" is no policy', cure)
        for item, listener in enumerate(rule.listeners):
            if listener not in listeners:
                cure = f"name one of: {_listed(listeners)}" if listeners else "add a listener of this name"
                yield Problem((*path, "listeners", item), f'"{listener}" is no listener', cure)
        for item, group in enumerate(rule.groups):
            if group not in groups:
                cure = f"add [groups.{group}]" + (f", or name one of: {_listed(groups)}" if groups else "")
                yield Problem((*path, "groups", item), f'"{group}" is no group', cure)
        earlier = next((first for first in range(number) if covers(rules[first], rule)), None)
        if earlier is not None:
            what = f"never holds: whatever fits it fits policy_rules[{earlier + 1}] before it"
            yield Problem(path, what, "put it before that rule or remove it")
    named = {rule.policy for rule in rules} | {tenant.policy for tenant in tenants.values()}
    for name in policies:
        if name != DEFAULT and name not in named:
            yield Problem(("policies", name), "is named by no policy rule, so it never holds", "add a rule", "warning")


def covers(first: PolicyRule, second: PolicyRule) -> bool:
    """True where every mail that fits the second rule fits the first one."""
    return (
        first.direction in ("any", second.direction)
        and (not first.listeners or (bool(second.listeners) and set(second.listeners) <= set(first.listeners)))
        and (not (first.recipients or first.groups) or _covers_all(first, second))
    )


def _covers_all(first: PolicyRule, second: PolicyRule) -> bool:
    """Groups are compared by name: who is in one may change."""
    wide, narrow = set(first.recipients), second.recipients
    return (
        bool(narrow or second.groups)
        and set(second.groups) <= set(first.groups)
        and all(not wide.isdisjoint(covering(recipient)) for recipient in narrow)
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names))
