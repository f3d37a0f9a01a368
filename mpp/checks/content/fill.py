"""The actions of a rule with what its pattern matched put in: `$1`, `${1}` and `$$`. Pure.

What comes from a message is escaped here, before it is part of a text: control characters go, and in refusals braces too,
which the gateway would take for placeholders.
"""

import re

from mpp.checks.content.pcre import Match
from mpp.checks.content.settings import Filter
from mpp.mail.escape import printable
from mpp.verdict.finding import Act, Action
from mpp.verdict.texts import outside

_GROUP = re.compile(r"\$(?:\$|(\d)|\{(\d{1,2})\})")
_LONGEST = 120  # characters of one group


def actions_of(rule: Filter, match: Match | None) -> tuple[Action, ...]:
    """Return a rule's actions, filled in. A rule that only scores or tags has none."""
    key = f"filters.{rule.name}"
    made: list[Action] = []
    for word in rule.action:
        if word in ("redirect", "copy"):
            made += [Action(Act(word), key, address) for address in rule.to]
        elif word not in ("score", "tag"):
            made.append(Action(Act(word), key, _value(rule, word, match)))
    return tuple(made)


def _value(rule: Filter, word: str, match: Match | None) -> str:
    if word == "mark":
        return filled(rule.mark, match)
    if word in ("header", "prepend"):
        return filled(rule.header, match)
    return filled(rule.text, match, reply=True) if word == "reject" else ""


def filled(template: str, match: Match | None, *, reply: bool = False) -> str:
    """Return the text; a group that took no part, or that is not there, is empty."""
    return _GROUP.sub(lambda found: _put_in(found, match, reply), template) if "$" in template else template


def _put_in(found: re.Match[str], match: Match | None, reply: bool) -> str:
    if found[0] == "$$":
        return "$"
    try:
        octets = match.group(int(found[1] or found[2])) if match is not None else None
    except IndexError:
        octets = None
    text = (octets or b"").decode("utf-8", "replace")
    return outside(text, _LONGEST) if reply else printable(text, _LONGEST)


def groups_of(template: str) -> int:
    """Return the highest group that a text names."""
    return max((int(found[1] or found[2]) for found in _GROUP.finditer(template) if found[0] != "$$"), default=0)
