"""Debian 12 has Python 3.11.2, whose `re` misjudges possessive groups that hold something to go back into.

Mended in CPython 3.11.5; until that is the floor, no pattern of ours has such a group. A run of one character class
(`[^\\n]*+`) is right in every version.
"""

import importlib
import pkgutil
import re
from re import _constants as sre  # the parser's own names: there is no public walk through a pattern
from re import _parser

import mpp

_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)
_POSSESSIVE = (sre.POSSESSIVE_REPEAT, sre.ATOMIC_GROUP)


def patterns():
    for module in pkgutil.walk_packages(mpp.__path__, "mpp."):
        if not module.name.endswith("__main__") and ".migrations." not in module.name:
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{module.name}.{name}", value


def nodes(tree):
    for operator, argument in tree:
        yield operator, argument
        for inner in argument if isinstance(argument, tuple) else (argument,):
            for branch in inner if isinstance(inner, list) else (inner,):
                if isinstance(branch, _parser.SubPattern):
                    yield from nodes(branch)


def goes_back(tree):
    """True where the parts of `tree` can match in a second way, capture, or leave off within a possessive run."""
    for number, (operator, argument) in enumerate(nodes(tree)):
        if operator is sre.POSSESSIVE_REPEAT and argument[0] and number:
            return True
        if operator is sre.BRANCH or (operator is sre.SUBPATTERN and argument[0] is not None):
            return True
        if operator in _REPEATS and argument[0] != argument[1]:
            return True
    return False


def misjudged(pattern):
    tree = _parser.parse(pattern.pattern, pattern.flags)
    for operator, argument in nodes(tree):
        body = argument[-1] if operator is sre.POSSESSIVE_REPEAT else argument
        if operator in _POSSESSIVE and goes_back(body):
            return True
    return False


def test_the_patterns_known_to_be_misjudged_are_found():
    for wrong in (r"(--)?+x", r"(?:[^()\\]|\\.)*+", r"(?>a*b)", r"x(?:y(?:a+b)*+)", r"(?:[ ]++[a]++)*+"):
        assert misjudged(re.compile(wrong)), wrong
    for right in (r"[^\n]*+(?:\n[ \t][^\n]*+)*+(--)?", r"(?:[ ]++[a][a]*+)*+"):
        assert not misjudged(re.compile(right)), right


def test_no_pattern_of_ours_is_misjudged_by_early_versions():
    found = list(patterns())
    assert len(found) > 30
    assert [name for name, pattern in found if misjudged(pattern)] == []
