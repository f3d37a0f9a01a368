import json
from pathlib import Path

import pytest

from mpp.checks.content.pcre import LimitExceeded, Pattern, PatternError
from mpp.checks.content.postfix.lines import logical_lines
from mpp.checks.content.postfix.lookup import lookup
from mpp.checks.content.postfix.read import read_table
from mpp.checks.content.postfix.template import TemplateError, read_template


def search(condition, key):
    return condition.pattern.search(key)


def ask(table: str, key: str, kind="pcre"):
    answer = lookup(read_table(table.encode("latin-1"), kind), key.encode("latin-1"), search)
    return answer and answer.text.decode("latin-1")


@pytest.mark.parametrize(
    ("table", "lines"),
    [
        (b"a\n b\nc\n", [(1, b"a b"), (3, b"c")]),
        (b"a \n#x\n\n  b\n", [(1, b"a   b")]),
        (b"# c\n\n a\nb", [(3, b" a"), (4, b"b")]),
        (b"a\r\n\r\nb\r\n", [(1, b"a"), (3, b"b")]),
        (b"", []),
    ],
    ids=["continued", "comment between", "begins with white space", "CRLF", "empty"],
)
def test_logical_lines(table, lines):
    assert list(logical_lines(table)) == lines


@pytest.mark.parametrize(
    ("text", "filled"),
    [("x$1", b"xA"), ("${1}2", b"A2"), ("$(1)$2.", b"AB."), ("$$1", b"$1"), ("$3", b""), ("", b"")],
)
def test_templates_are_filled(text, filled):
    match = Pattern(b"(a)(b)(c)?", 0x8).search(b"AB")
    assert read_template(text.encode()).fill(match) == filled


@pytest.mark.parametrize("text", ["$", "${1", "$a", "$0", "${}", "$(1}", "a$ b"])
def test_broken_templates_are_refused(text):
    with pytest.raises(TemplateError):
        read_template(text.encode())


@pytest.mark.parametrize(
    ("table", "key", "answer"),
    [
        ("/B/ x", "abc", "x"),
        ("/B/i x", "abc", None),
        ("!/b/ x", "ac", "x"),
        ("!!/b/ x", "b", "x"),
        ("|a/b| x", "a/b", "x"),
        ("/a\\/b/ x", "a/b", "x"),
        ("/^a.c$/ x", "a\nc", "x"),
        ("/^a.c$/s x", "a\nc", None),
        ("/^b/m x", "a\nb", "x"),
        ("/a  b # c/x x", "ab", "x"),
        ("/a  b /x x", "ab", "x"),
        ("/b/A x", "ab", None),
        ("/a$/E x", "a\n", None),
        ("/a$/ x", "a\n", "x"),
        ("/(a+)/U $1", "aaa", "a"),
        ("/\\x{41}b/ x", "Ab", "x"),
        ("if /a/\n/b/ 1\nendif\n/b/ 2", "b", "2"),
        ("if /a/\n/b/ 1\nendif\n/b/ 2", "ab", "1"),
        ("if !/a/\nif /b/\n/c/ 1\nendif\n/d/ 2\nendif\n/./ 3", "bd", "2"),
        ("if !/a/\nif /b/\n/c/ 1\nendif\n/d/ 2\nendif\n/./ 3", "abc", "3"),
        ("if /a/\n/b/ 1", "b", None),
        ("/(x)?b/ [$1]", "b", "[]"),
    ],
)
def test_pcre_tables(table, key, answer):
    assert ask(table, key) == answer


@pytest.mark.parametrize(
    ("table", "key", "answer"),
    [
        ("/^a.c$/ x", "a\nc", "x"),
        ("/^b$/m x", "a\nb\nc", "x"),
        ("/a.b/m x", "a\nb", None),
        ("/(a)\\1/ [$1]", "aa", "[a]"),
        ("/a/!/b/ x", "ab", None),
        ("/a/!/b/ x", "ac", "x"),
        ("/\\<b\\>/ x", "a b c", "x"),
        ("/[[:digit:]]{2}/ x", "a12", "x"),
        ("/[\\w]/ x", "w", "x"),
        ("/[\\w]/ x", "a", None),
        ("/a\\{2\\}/x x", "aa", "x"),
        ("/[Z-a]/i x", "_", "x"),
        ("/a+*/ x", "", "x"),
    ],
)
def test_regexp_tables(table, key, answer):
    assert ask(table, key, "regexp") == answer


@pytest.mark.parametrize(
    ("table", "kind", "told"),
    [
        ("/a/q x", "pcre", [(1, 'unknown regexp option "q": skipping this rule')]),
        ("\n/a", "pcre", [(2, 'no closing regexp delimiter "/": skipping this rule')]),
        ("/a(/ x", "pcre", [(1, "error in regex at offset 2: missing closing parenthesis")]),
        ("/(?!a)/ x", "regexp", [(1, "Invalid preceding regular expression")]),
        ("/[Z-a]/ x", "regexp", [(1, "Invalid range end")]),
        ("!/(a)/ $1", "pcre", [(1, "$number found in negative match replacement text: skipping this rule")]),
        ("/a/ $1", "pcre", [(1, 'out of range replacement index "1": skipping this rule')]),
        ("endif", "pcre", [(1, "ignoring ENDIF without matching IF")]),
        ("if /a/", "pcre", [(1, "IF has no matching ENDIF")]),
        ("foo bar", "pcre", [(1, "ignoring unrecognized request")]),
        ("!  ", "pcre", [(1, "no regexp: skipping this rule")]),
    ],
)
def test_lines_that_are_skipped_are_told(table, kind, told):
    assert [(each.line, each.text) for each in read_table(table.encode(), kind).warnings] == told
    assert ask(table + "\n/good/ yes", "good", kind) in ("yes", None if table == "if /a/" else "yes")


def test_a_pattern_that_takes_too_long_does_not_hold():
    for table in ("/^(a+)+$/ x\n/b/ y", "!/^(a+)+$/ x\n/b/ y"):
        assert ask(table, "a" * 40 + "b") == "y"


def test_a_broken_pattern_is_told_with_its_position():
    with pytest.raises(PatternError) as told:
        Pattern(b"ab(c")
    assert told.value.position == 4
    with pytest.raises(LimitExceeded):
        Pattern(b"^(a+)+$").search(b"a" * 40 + b"b")


@pytest.mark.corpus
@pytest.mark.parametrize("kind", ["pcre", "regexp"])
def test_real_tables_answer_as_postmap_did(corpora: Path, kind):
    folder = corpora / "postfix-tables"
    different, asked = [], 0
    for path in sorted((folder / "tables").iterdir()):
        table = read_table(path.read_bytes(), kind)
        for line in (folder / "expected" / f"{path.name}.jsonl").read_text().splitlines():
            row = json.loads(line)
            answer = lookup(table, row["key"].encode("latin-1"), search)
            asked += 1
            if (answer.text.decode("latin-1") if answer else None) != row[kind]:
                different.append((path.name, row["key"]))
    assert asked > 3000
    assert different == []
