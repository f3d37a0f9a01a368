"""Translated POSIX expressions match where the C library's do, and are refused where it refuses them."""

import random

import pytest

from mpp.checks.content import pcre
from mpp.checks.content.postfix.ere import EreError, translate
from servers.glibc import EXTENDED, ICASE, NEWLINE, Refused, search

TOKENS = [
    "a",
    "b",
    "A",
    "Z",
    "z",
    ".",
    "*",
    "+",
    "?",
    "{",
    "}",
    "{2}",
    "{1,2}",
    "{,2}",
    "{,}",
    "{}",
    "(",
    ")",
    "|",
    "[",
    "[a-z]",
    "[^a]",
    "[[:alpha:]]",
    "[^[:space:]x]",
    "[Z-a]",
    "[a-]",
    "[-a]",
    "[a-z-9]",
    "[]a]",
    "[^]a]",
    "[a\\]",
    "[[=a=]]",
    "[[.-.]]",
    "[[:foo:]]",
    "[\\w]",
    "[---]",
    "[+--]",
    "[a",
    "\\",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\b",
    "\\B",
    "\\<",
    "\\>",
    "\\1",
    "\\2",
    "\\(",
    "\\)",
    "\\{",
    "\\}",
    "\\|",
    "\\+",
    "\\.",
    "-",
    ":",
    "_",
    "[^_]",
    "[A-z]",
    "[[-~]",
]
SUBJECTS = [
    "a",
    "b",
    "A",
    "Z",
    "z",
    "ab",
    "aa",
    "d",
    "D",
    " ",
    "\n",
    "_",
    ".",
    "-",
    "(",
    ")",
    "{",
    "}",
    "1",
    "[",
    "\\",
    "^",
]
FLAVOURS = [EXTENDED, EXTENDED | ICASE, EXTENDED | NEWLINE, ICASE, 0]


@pytest.mark.parametrize("flavour", FLAVOURS, ids=["extended", "caseless", "newline", "basic caseless", "basic"])
def test_the_translation_matches_where_glibc_does(flavour, soak):
    """Without ^ and $ inside a pattern: glibc 2.36 takes them for line anchors there in places, a fault of its own."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    options = (
        (pcre.EXTENDED if flavour & EXTENDED else 0)
        | (pcre.CASELESS if flavour & ICASE else 0)
        | (pcre.MULTILINE if flavour & NEWLINE else 0)
    )
    for _ in range(100_000 if soak else 1500):
        middle = "".join(chance.choices(TOKENS, k=chance.randint(1, 6)))
        source = (chance.choice(["", "", "^"]) + middle + chance.choice(["", "", "$"])).encode()
        refused = search(source, b"", flavour)
        try:
            pattern = pcre.Pattern(*translate(source, options))
        except (EreError, pcre.PatternError):
            assert isinstance(refused, Refused), (seed, source)
            continue
        assert not isinstance(refused, Refused), (seed, source, refused)
        for _ in range(4):
            subject = "".join(chance.choices(SUBJECTS, k=chance.randint(0, 6))).encode()
            theirs = search(source, subject, flavour) is not None
            assert (pattern.search(subject) is not None) is theirs, (seed, source, subject)
