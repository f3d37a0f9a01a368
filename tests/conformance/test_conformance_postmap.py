"""`mpp filters map` beside Postfix's own postmap: the same answers, octet for octet, on tables made at random."""

import random
import subprocess

import pytest

from servers.installed import installed
from servers.warm import run

PATTERNS = [
    "a",
    "^b",
    "c$",
    "(a)(b)?",
    "a.c",
    "(x|y)+",
    "[0-9]{2}",
    "\\.",
    "a|b",
    "(?i)Q",
    "(?!a)b",
    "[z-a]",
    "(",
    "\\ba",
    "^$",
]
ANSWERS = ["REJECT", "OK $1", "x  y", "${1}-$(2)", "$$1", "$9", "", "IGNORE  ", "550 5.7.1 no $1 here", "$"]
FLAGS = ["", "", "", "i", "m", "s", "x", "im", "E", "U", "A", "X", "q"]
KEYS = ["abc", "b", "xyc", "Q7", "12", "", "a.c", "A\tB", "n\xf6", "zzz", "ab ab", "99 c"]


def _line(chance: random.Random) -> str:
    pattern = f"/{chance.choice(PATTERNS)}/{chance.choice(FLAGS)}"
    return chance.choices(
        [
            f"{pattern} {chance.choice(ANSWERS)}",
            f"!{pattern} {chance.choice(ANSWERS)}",
            f"if {pattern}",
            f"if !{pattern}",
            "endif",
            "  more text",
            "# comment",
            "",
            f"{pattern}!/b/ two",
            "/no end",
            "word",
            "EndIf x",
        ],
        [8, 3, 3, 2, 4, 1, 1, 1, 2, 1, 1, 1],
    )[0]


@pytest.mark.parametrize("kind", ["pcre", "regexp"])
def test_random_tables_answer_as_postmap_does(kind, tmp_path, soak):
    postmap = installed("postmap")
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    keys = "\n".join(KEYS).encode("latin-1") + b"\n"
    for number in range(500 if soak else 6):
        table = tmp_path / f"{kind}-{number}"
        table.write_text("\n".join(_line(chance) for _ in range(chance.randint(1, 25))) + "\n")
        name = f"{kind}:{table}"
        theirs = subprocess.run([postmap, "-u", "-q", "-", name], input=keys, capture_output=True, check=False)
        ours = run("filters", "map", name, sent=keys)
        assert ours.stdout == theirs.stdout, (seed, table.read_text())
        assert ours.returncode == theirs.returncode, (seed, table.read_text())
