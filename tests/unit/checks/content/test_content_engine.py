import os
import random

import pytest

from mpp.checks.content import pcre
from mpp.checks.content.compiled import Compiled, NotStored, Shelf
from mpp.checks.content.engine import Expression, Patience, Search, Way
from mpp.checks.content.postfix.gate import Gate
from mpp.checks.content.postfix.lookup import lookup
from mpp.checks.content.postfix.read import read_table

TEXT_OPTIONS = pcre.CASELESS | pcre.MULTILINE | pcre.UTF | pcre.UCP


def search_for(*patterns: str, options=TEXT_OPTIONS, **more) -> Search:
    return Search([Expression(pattern.encode(), options) for pattern in patterns], **more)


def hits(search: Search, text: str) -> list[int]:
    return search.hits(text.encode(), Patience())


@pytest.mark.parametrize(
    ("pattern", "text", "way"),
    [
        ("pills", "cheap PILLS", Way.EXACT),
        ("^pills$", "cheap\npills\nhere", Way.EXACT),
        ("(?<!no )pills", "yes pills", Way.CONFIRM),
        ("(a.)\\1", "abab", Way.CONFIRM),
        ("\\bBüro\\b", "das BÜRO hier", Way.CONFIRM),
        ("a++b", "aaab", Way.CONFIRM),
        ("^a.*\\bb\\b", "a b", Way.CONFIRM),
        ("(?x) a\\b \\* b", "a*b", Way.CONFIRM),
        ("(?x) a  b", "ab", Way.EXACT),
        ("fo\\Ko", "foo", Way.SLOW),
        ("(?(?=a)ab|cd)", "cd", Way.CONFIRM),
        ("x*", "", Way.EXACT),
        ("\\x4\\b1", "\x041", Way.CONFIRM),  # what stands around a boundary does not become one
        ("a{2\\b}", "a{2}", Way.CONFIRM),
        ("(!)\\1\\b1", "!!1", Way.CONFIRM),
    ],
)
def test_a_pattern_matches_whichever_way_it_goes(pattern, text, way):
    search = search_for("never", pattern)
    assert (search.ways[1], hits(search, text)) == (way, [1])


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(?<!no )pills", "no pills"),
        ("(a.)\\1", "abac"),
        ("fo\\Ko", "fo"),
        ("\\bBüro\\b", "Büros"),
        ("a.*\\bb\\b", "a abb"),
    ],
)
def test_pcre2_has_the_last_word(pattern, text):
    assert hits(search_for(pattern), text) == []


def test_what_hyperscan_alone_decided_about_no_text_makes_pcre2_give_up():
    search = Search([Expression(rb"\b(?:\w+\s?)+!", 0)])
    assert search.ways[0] == Way.EXACT
    assert search.hits(b"a" * 40 + b" " + b"b" * 30 + b"? x!", Patience()) == [0]


def test_a_catastrophic_pattern_is_given_up_and_named():
    search = search_for(*["^(a+)+\\K$"] * 10, "aab")
    text, patience = b"a" * 50 + b"b", Patience()
    assert search.hits(text, patience) == [10]
    assert {number for _, number in patience.given_up} == set(range(10))
    again = Patience()
    search.hits(text, again)
    assert (again.left, len(again.given_up)) == (4 - 10, 10)  # the first four cost, the others are not tried again


def test_hits_are_pcre2s_own_whatever_the_pattern():
    chance = random.Random(5)
    pieces = [
        "a",
        "b",
        "[ab]",
        ".",
        "^",
        "$",
        "\\b",
        "\\B",
        "\\b?",
        "[\\ba]",
        "[\\]\\ba]",
        "[[:space:]\\b]",
        "\\c\\b",
        "\\\\b",
        "\\Q\\b\\E",
        "(?!\\ba)",
        "(\\b|a)",
        "(?=b)",
        "(?<!a)",
        "a*",
        "(a|b)",
        "\\1",
        "1",
        "a{2",
        "}",
        "\\x6",
        "b{2,3}",
        "\\s",
        "x+?",
        "(?>a+)",
    ]
    texts = ["", "ab", "aab b", "b\na", "abba\nbb", "xxb", "a b", "\b", "\x1cb]", "a{2}", "a1", "\x061"]
    for _ in range(600):
        source = "".join(chance.choices(pieces, k=4))
        try:
            pattern = pcre.Pattern(source.encode(), TEXT_OPTIONS)
        except pcre.PatternError:
            continue
        search = search_for(source)
        for text in texts:
            assert bool(hits(search, text)) is (pattern.search(text.encode()) is not None), (source, text)


def test_what_is_compiled_once_is_loaded_afterwards(tmp_path, monkeypatch):
    shelf = Shelf(tmp_path / "filters")
    assert hits(search_for("pills", "(?!x)y", shelf=shelf), "pills") == [0]
    monkeypatch.setattr("mpp.checks.content.engine._compile", lambda *_: pytest.fail("it was compiled again"))
    assert hits(search_for("pills", "(?!x)y", shelf=Shelf(tmp_path / "filters")), "y pills") == [0, 1]


@pytest.mark.parametrize("damage", [b"", b"MPPF3\n", b"x" * 400], ids=["empty", "cut", "other"])
def test_what_is_not_ours_is_compiled_again(tmp_path, damage):
    shelf = Shelf(tmp_path / "filters")
    search_for("pills", shelf=shelf)
    (kept,) = [path for path in (tmp_path / "filters").iterdir() if len(path.name) == 64]
    kept.write_bytes(damage)
    with pytest.raises(NotStored):
        shelf.take(kept.name)
    assert hits(search_for("pills", shelf=shelf), "pills") == [0]
    assert shelf.take(kept.name).ways == b"\0"


def test_a_flipped_bit_is_noticed(tmp_path):
    shelf = Shelf(tmp_path / "filters")
    shelf.put("d" * 64, Compiled(b"\0", b"database"))
    path = tmp_path / "filters" / ("d" * 64)
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    with pytest.raises(NotStored):
        shelf.take("d" * 64)


TABLES = [
    "/^Subject: .*pills/ REJECT no $0x\n/^Subject: (.*) watches/ REJECT $1",
    "if /^X-/\n/foo$/ IGNORE\n!/bar/ WARN\nendif\n/foo/ HOLD",
    "!/^[A-Z]/ REJECT odd line",
    "/\\Afoo/ 1\n/bar\\z/ 2\n/\\Gbaz/ 3\n/(?m)^x$/ 4\n/(?<=o)b/ 5",
    "/a.b/s 1\n/q+?r/U 2\n/end$/E 3\n/start/A 4",
    "if !/Received/\n/192\\.0\\.2\\./ REJECT $$1\nendif",
]
KEYS = [
    "Subject: cheap pills", "Subject: fine\n watches", "X-a: foo", "X-b: bar", "foo", "foob bar", "baz", "a\nx\nb", "",
    "a\nb", "qqr", "the end", "the end\n", "start", "no start", "Received: 192.0.2.1", "at 192.0.2.1", "lower",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["pcre", "regexp"])
@pytest.mark.parametrize("table", TABLES)
def test_the_gate_changes_no_answer(table, kind):
    read = read_table(table.encode(), kind)
    keys = [key.encode() for key in KEYS]
    expected = [
        (key, answer) for key in keys if (answer := lookup(read, key, lambda each, text: each.pattern.search(text)))
    ]
    assert list(Gate(read).answers(b"\n".join(keys), keys, Patience())) == expected
    alone = [(key, answer) for key in keys for _, answer in Gate(read).answers(key, [key], Patience())]
    assert alone == expected


def test_the_gate_changes_no_answer_of_any_table_for_any_lines():
    chance = random.Random(7)
    conditions = ["/a/", "/^b/", "/b$/", "!/a/", "/^$/", "/a.*b/", "/\\bc\\b/", "/c\\z/"]
    for _ in range(60):
        rules = [f"{chance.choice(conditions)} {number}" for number in range(chance.randint(1, 6))]
        at = chance.randrange(len(rules))
        rules[at : at + 2] = (
            [f"if {chance.choice(conditions)}", *rules[at : at + 2], "endif"] if chance.random() < 0.6 else []
        )
        read = read_table("\n".join(rules).encode(), "pcre")
        keys = ["".join(chance.choices("abc x", k=chance.randint(0, 4))).encode() for _ in range(chance.randint(0, 20))]
        asked = [(key, lookup(read, key, lambda each, text: each.pattern.search(text))) for key in keys]
        expected = [(key, answer) for key, answer in asked if answer]
        assert list(Gate(read).answers(b"\n".join(keys), keys, Patience())) == expected, rules


def test_an_empty_text_asks_only_the_patterns_that_may_match_it():
    patterns = ["abc", "^$", "\\A\\z", "x*", "\\d+", "(?!a)", "y\\K", "a\\z"]
    search = search_for(*patterns)
    assert set(search.candidates(b"")) == {1, 2, 3, 5, 6, 7}
    assert search.hits(b"", Patience()) == [1, 2, 3, 5]


def test_what_root_compiles_by_a_command_is_the_accounts_that_has_the_folder(tmp_path, monkeypatch):
    given = {}

    def fchown(descriptor, uid, gid):
        given[os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))] = (uid, gid)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", fchown)
    folder = tmp_path / "filters"
    shelf = Shelf(folder)
    with shelf.alone("a" * 64):
        shelf.put("a" * 64, Compiled(b"x", b"y"))
    owner = (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    assert set(given.values()) == {owner}
    names = {name.split(".")[0] for name in given}
    assert names == {"filters", "key", "a" * 64}
    assert len(given) == 4, "the folder, its key, a lock and what was compiled"
    assert shelf.take("a" * 64) == Compiled(b"x", b"y")
