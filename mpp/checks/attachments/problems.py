"""What is wrong with rules for attachments that no single one can see. Pure; for the settings check."""

import difflib
from collections.abc import Iterator, Mapping, Sequence, Set

from mpp.checks.attachments.item import Limits
from mpp.checks.attachments.settings import AttachmentList, AttachmentRule
from mpp.mail.escape import printable
from mpp.settings.problem import Path, Problem
from mpp.settings.tenants import covering

_WHAT = ("types", "names", "flags", "lists")


def attachment_problems(
    rules: Sequence[AttachmentRule], lists: Mapping[str, AttachmentList], policies: Set[str], message_size: int
) -> Iterator[Problem]:
    """Names twice, policies and lists that are not there, rules that never hold, words that no action uses.

    `message_size`: octets of a mail at most.
    """
    names: dict[str, int] = {}
    for number, rule in enumerate(rules):
        path: Path = ("attachments", number)
        first = names.setdefault(rule.name, number)
        if first != number:
            yield Problem(
                (*path, "name"), f'"{rule.name}" is the name of attachments[{first + 1}] too', "write another"
            )
        yield from _missing(path, "policies", rule.policies, {"default", *policies}, "policy", "policies")
        yield from _missing(path, "lists", rule.lists, set(lists), "list", "attachment_lists")
        largest = message_size if rule.nested == "outer" else max(message_size, Limits().octets)
        if rule.above >= largest:
            what = f"never holds: no file that is looked into has more than {largest} octets"
            yield Problem((*path, "above"), what, "write less")
        earlier = next((each for each in range(number) if _covers(rules[each], rule)), None)
        if earlier is not None:
            what = f"never holds: attachments[{earlier + 1}] before it holds for every file that it holds for"
            yield Problem(path, what, "put it before that rule, or remove it")
        for key, action in (("text", "reject"), ("suffix", "rename")):
            if key in rule.model_fields_set and rule.action != action:
                what = f'is of no use with action = "{rule.action}"'
                yield Problem((*path, key), what, f'remove it, or write action = "{action}"', "warning")
    named = {name for rule in rules for name in rule.lists}
    for name in lists:
        if name not in named:
            cure = f'add a rule with lists = ["{name}"]'
            yield Problem(("attachment_lists", name), "is named by no rule, so it bans nothing", cure, "warning")


def _missing(path: Path, key: str, given: Sequence[str], known: Set[str], what: str, table: str) -> Iterator[Problem]:
    for item, name in enumerate(given):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            cure = f'did you mean "{near[0]}"?' if near else f"add [{table}.{printable(name, 60)}]"
            yield Problem((*path, key, item), f'"{printable(name, 60)}" is no {what}', cure)


def _covers(first: AttachmentRule, second: AttachmentRule) -> bool:
    """True where the first rule surely decides about all that the second holds for."""
    return (
        first.action != "note"
        and first.direction in ("any", second.direction)
        and first.nested in ("any", second.nested)
        and first.above <= second.above
        and (first.believes or not first.types or not second.believes)
        and all(_wider(getattr(first, key), getattr(second, key)) for key in (*_WHAT, "policies"))
        and all(_wider_addresses(getattr(first, key), getattr(second, key)) for key in ("recipients", "senders"))
    )


def _wider(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _wider_addresses(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    return not wide or (bool(narrow) and all(not covering(each).isdisjoint(wide) for each in narrow))
