"""What the actions of rules come to where several hold for one recipient. Pure; for mpp.verdict.choose and marks."""

import re
from collections.abc import Sequence

from mpp.mail.escape import printable
from mpp.verdict.finding import Act, Action, Finding

CHANGES = frozenset({Act.MARK, Act.HEADER, Act.PREPEND, Act.EDIT, Act.STRIP})
_TOLD = {
    Act.COPY: "a copy goes to {}",
    Act.MARK: "the subject is marked {}",
    Act.HEADER: "the field {} is put",
    Act.PREPEND: "the field {} is put",
    Act.EDIT: "a part of it is changed",
    Act.STRIP: "{}",
}
_CODES = re.compile(r"([45]\d\d)(?: +([45]\.\d{1,3}\.\d{1,3}))?(?: +|$)")


def first_act(acted: Sequence[Finding], acts: Sequence[Act]) -> tuple[Finding, Action] | None:
    """Return the action that goes first, in the order of `acts`, then of the rules' names."""
    for act in acts:
        for finding in acted:
            for action in finding.actions:
                if action.act is act:
                    return finding, action
    return None


def values_of(acted: Sequence[Finding], act: Act) -> tuple[str, ...]:
    """Return the values of all such actions, each once."""
    return tuple(dict.fromkeys(action.value for each in acted for action in each.actions if action.act is act))


def beside(finding: Finding, goes_on: bool) -> str:
    """Return what a rule does beside the fate, in words; nothing where it does nothing."""
    told = (
        _TOLD[action.act].format(printable(action.value, 200))
        for action in finding.actions
        if action.act is Act.COPY or (goes_on and action.act in CHANGES)
    )
    return ", ".join(dict.fromkeys(told))


def refusal_of(text: str) -> tuple[str, str]:
    """Return the codes and the text of a refusal, "554 5.7.1" where it names none."""
    match = _CODES.match(text)
    if match is None:
        return "554 5.7.1", text
    return f"{match[1]} {_fitting(match[1], match[2])}", text[match.end() :]


def _fitting(code: str, enhanced: str | None) -> str:
    return enhanced if enhanced and enhanced[0] == code[0] else f"{code[0]}.7.1"
