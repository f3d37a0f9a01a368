"""No value that came from outside can forge a field or a line of the log."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from mpp.gateway.log import MAX_LINE, Log

# The grammar that log shippers read logfmt by.
_FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "=]*)(?: |\n\Z)')
_FORGED = [
    'x" level=error event="forged',
    "\nlevel=error event=forged",
    '\\" event=forged \\"',
    "a=b event=forged",
    "\r\n\x1b[2K\x85\u2028",
    '"}\n{"event":"forged"',
]
_texts = st.one_of(st.text(), st.binary(), st.sampled_from(_FORGED), st.text(alphabet='\\"= \n\r,x', max_size=20))
_values = st.one_of(_texts, st.integers(), st.floats(), st.booleans(), st.lists(st.text(), max_size=5))
_fields = st.dictionaries(st.sampled_from(["client", "helo", "sender", "subject", "reply", "id", "name"]), _values)


def _is_safe(text):
    return text.isprintable()  # no control or format character, no line end of any kind


@given(_fields)
def test_logfmt_has_exactly_the_fields_it_was_given(fields):
    line = Log().line("info", "message", fields).decode()
    assert line.endswith("\n")
    assert _is_safe(line[:-1])
    place, keys = 0, []
    while place < len(line):
        match = _FIELD.match(line, place)
        assert match, line[place:]
        keys.append(match[1])
        place = match.end()
    assert keys == ["time", "level", "event", *fields] or (keys[-1] == "cut" and len(line.encode()) <= MAX_LINE)


@given(_fields)
def test_json_has_exactly_the_fields_it_was_given(fields):
    line = Log("json").line("info", "message", fields).decode()
    assert line.endswith("\n")
    assert _is_safe(line[:-1])
    pairs = json.loads(line, object_pairs_hook=list)
    keys = [key for key, _ in pairs]
    assert keys == ["time", "level", "event", *fields] or keys[-1] == "cut"
    assert dict(pairs)["event"] == "message"


@given(
    st.dictionaries(st.sampled_from([f"f{n}" for n in range(30)]), st.text(max_size=3000)),
    st.sampled_from(["logfmt", "json"]),
)
def test_no_line_is_longer_than_a_pipe_takes_at_once(fields, form):
    assert len(Log(form).line("info", "message", fields)) <= MAX_LINE


@given(st.text(alphabet=st.characters(codec="ascii")), st.text(alphabet=st.characters(codec="ascii")))
def test_two_values_never_look_alike(one, other):
    lines = [Log().line("info", "e", {"x": value}).split(b" ", 1)[1] for value in (one[:200], other[:200])]
    assert (lines[0] == lines[1]) == (one[:200] == other[:200])
