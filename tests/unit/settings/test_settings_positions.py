"""mpp.settings.positions: the line of every key, table and item, in each form that TOML has."""

import pytest

from mpp.settings.positions import positions

TABLES = '''\
# a comment with [brackets] and key = value
top = 1

[node]
hostname = "a#b"   # not a key = 1
"quoted key" = 'x'
a.b."c.d" = true

[[listeners]]
name = "one"

[[listeners]]
name = "two"
[listeners.inner]
deep = 1

[ x . y ]
z = """
[no.table]
key = "no"
"""
[[listeners.more]]
last = 2
'''

LISTS = """\
trusted = [
  "10.0.0.0/8",   # [first]
  "]", '[',
  [1,
   2],
]
table = { a = 1, b.c = [ { d = 2 } ], "e" = '''
f = 1''' }
after = 1979-05-27 07:32:00 # date
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("a=1", {("a",): 1}, id="no line end"),
        pytest.param("\r\n\r\na = 1\r\n", {("a",): 3}, id="CRLF"),
        pytest.param(
            TABLES,
            {
                ("top",): 2,
                ("node",): 4,
                ("node", "hostname"): 5,
                ("node", "quoted key"): 6,
                ("node", "a"): 7,
                ("node", "a", "b"): 7,
                ("node", "a", "b", "c.d"): 7,
                ("listeners",): 9,
                ("listeners", 0): 9,
                ("listeners", 0, "name"): 10,
                ("listeners", 1): 12,
                ("listeners", 1, "name"): 13,
                ("listeners", 1, "inner"): 14,
                ("listeners", 1, "inner", "deep"): 15,
                ("x",): 17,
                ("x", "y"): 17,
                ("x", "y", "z"): 18,
                ("listeners", 1, "more"): 22,
                ("listeners", 1, "more", 0): 22,
                ("listeners", 1, "more", 0, "last"): 23,
            },
            id="tables",
        ),
        pytest.param(
            LISTS,
            {
                ("trusted",): 1,
                ("trusted", 0): 2,
                ("trusted", 1): 3,
                ("trusted", 2): 3,
                ("trusted", 3): 4,
                ("trusted", 3, 0): 4,
                ("trusted", 3, 1): 5,
                ("table",): 7,
                ("table", "a"): 7,
                ("table", "b"): 7,
                ("table", "b", "c"): 7,
                ("table", "b", "c", 0): 7,
                ("table", "b", "c", 0, "d"): 7,
                ("table", "e"): 7,
                ("after",): 9,
            },
            id="lists and inline tables",
        ),
        pytest.param('a = """x""""\nb = 1', {("a",): 1, ("b",): 2}, id="a quote before the closing ones"),
        pytest.param('a = """\\""""\nb = 1', {("a",): 1, ("b",): 2}, id="an escaped quote before the closing ones"),
        pytest.param('"\\u0061" = 1', {("a",): 1}, id="an escape in a key"),
    ],
)
def test_lines(text, expected):
    assert positions(text) == expected
