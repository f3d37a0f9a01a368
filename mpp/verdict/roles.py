"""Who may release what: a matrix of class, role and domain. Pure; asked by `mpp quarantine release` and the manager.

Rules are looked at in order, the first for the role and the recipient's domain holds; where none fits, the built-in ones.
Users never release a virus, nor ask for one: the settings cannot say so, and `right` would not listen.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Literal

from pydantic import Field

from mpp.settings.model import Section
from mpp.settings.problem import Problem
from mpp.settings.tenants import address_keys, covering
from mpp.settings.values import Domain

Role = Literal["user", "helpdesk", "admin"]
_Right = Literal["release", "request", "nothing"]


class Right(StrEnum):
    RELEASE = "release"
    REQUEST = "request"
    NOTHING = "nothing"


class ReleaseRule(Section):
    """What one role may do with held copies, by class. The first rule for role and domain holds."""

    role: Role = Field(examples=["user"], description="user: the recipient; helpdesk; admin")
    domains: tuple[Domain, ...] = Field((), description='Of the recipient: "example.org", ".example.org"; none: any')
    virus: _Right = Field("nothing", description="Viruses; for users nothing else is possible")
    banned: _Right = Field("request", description="Banned content")
    unchecked: _Right = Field("request", description="What could not be looked into")
    forged_bounce: _Right = Field("release", description="Bounces of forged mail")
    spam: _Right = Field("release", description="Spam")
    stripped: _Right = Field("request", description="What was delivered without some of its attachments, as it came")
    undeliverable: _Right = Field("release", description="What a next hop refused after another recipient was accepted")
    elsewhere: bool = Field(False, description="May release to another address than the recipient's")


_BUILT_IN: dict[str, ReleaseRule] = {
    "user": ReleaseRule(role="user"),
    "helpdesk": ReleaseRule(
        role="helpdesk", virus="request", banned="release", unchecked="release", stripped="release"
    ),
    "admin": ReleaseRule(
        role="admin", virus="release", banned="release", unchecked="release", stripped="release", elsewhere=True
    ),
}


def rule_for(rules: Sequence[ReleaseRule], role: Role, recipient: str) -> ReleaseRule:
    """Return the rule that holds for a role and a recipient's address."""
    keys = address_keys(recipient)
    fitting = (each for each in rules if each.role == role and (not each.domains or not keys.isdisjoint(each.domains)))
    return next(fitting, _BUILT_IN[role])


def right(rules: Sequence[ReleaseRule], role: Role, recipient: str, verdict: str) -> Right:
    """Return what `role` may do with a copy of this class ("spam", "forged-bounce", ...). `clean` counts as spam.

    Raises AttributeError for what is no class.
    """
    if role == "user" and verdict == "virus":
        return Right.NOTHING
    key = "spam" if verdict == "clean" else verdict.replace("-", "_")
    return Right(getattr(rule_for(rules, role, recipient), key))


def role_problems(rules: Iterable[ReleaseRule]) -> Iterator[Problem]:
    """What cannot be: users and viruses; rules that come too late."""
    rules = list(rules)
    for number, rule in enumerate(rules):
        path = ("release_rules", number)
        if rule.role == "user" and rule.virus != "nothing":
            yield Problem((*path, "virus"), "lets users have viruses, which is never done", 'write "nothing"')
        if rule.role == "user" and rule.elsewhere:
            yield Problem((*path, "elsewhere"), "lets users send held mail to anybody", "write false")
        earlier = next((n for n in range(number) if _covers(rules[n], rule)), None)
        if earlier is not None:
            what = f"never holds: release_rules[{earlier + 1}] before it fits all that it fits"
            yield Problem(path, what, "put it before that rule, or remove it")


def _covers(first: ReleaseRule, second: ReleaseRule) -> bool:
    return first.role == second.role and (
        not first.domains
        or (bool(second.domains) and all(not covering(domain).isdisjoint(first.domains) for domain in second.domains))
    )
