"""Positions agree with tomllib, written settings read back, and no text makes reading raise anything undocumented."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpp.gateway.load import ALL_RULES
from mpp.gateway.settings import Settings
from mpp.settings.positions import positions
from mpp.settings.problem import SettingsError
from mpp.settings.read import load
from mpp.settings.values import read_duration, read_endpoint, read_size, write_duration, write_size
from mpp.settings.write import toml_key, toml_value, write

BARE = st.text("abc_-1", min_size=1, max_size=3)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
KEYS = st.one_of(BARE, TEXT)
SCALARS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.booleans(), TEXT, st.floats(allow_nan=False))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
GAPS = st.sampled_from(["", " ", "\n", "  # [a] = 'x'\n", "\r\n"])


@st.composite
def written_values(draw, value):
    """A value in one of the forms that TOML has for it, spread over lines where it may be."""
    if isinstance(value, bool) or not isinstance(value, (str, list, dict, float, int)):
        return toml_value(value)
    if isinstance(value, str):
        return draw(st.sampled_from(_forms(value)))
    if isinstance(value, list):
        items = [draw(GAPS) + draw(written_values(item)) + draw(GAPS) for item in value]
        comma = draw(st.sampled_from(["", ","])) if items else ""
        return "[" + ",".join(items) + comma + draw(GAPS) + "]"
    if isinstance(value, dict):
        pairs = [f"{_key(key)} = {draw(written_values(inner))}" for key, inner in value.items()]
        return "{ " + ", ".join(pairs) + " }"
    return toml_value(value)


def _forms(text):
    forms = [toml_value(text), '"""\n' + toml_value(text)[1:-1] + '"""', '"""' + toml_value(text)[1:-1] + '\\\n  """']
    if text.isprintable() and "'" not in text:
        forms += [f"'{text}'", f"'''\n{text}\n'''", f"'''{text}'''"]
    return forms


def _key(key):
    return toml_key(key)


@st.composite
def documents(draw):
    """TOML texts with tables, dotted keys, lists of tables; some are refused by tomllib and then passed over."""
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["pair", "pair", "table", "tables", "comment"]))
        path = ".".join(map(_key, draw(st.lists(KEYS, min_size=1, max_size=3))))
        if kind == "pair":
            lines.append(f"{draw(st.sampled_from(['', '  ']))}{path} = {draw(written_values(draw(VALUES)))}")
        elif kind == "table":
            lines.append(f'[ {path} ]  # of "x"')
        elif kind == "tables":
            lines.append(f"[[{path}]]")
        else:
            lines.append("# a = 1")
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines)


def paths_of(value, path=()):
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from paths_of(inner, (*path, key))


@settings(max_examples=150, deadline=None)
@given(documents())
def test_positions_know_the_keys_that_tomllib_knows(text):
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = positions(text)
    assert set(found) == set(paths_of(tree))
    lines = text.split("\n")
    for path, line in found.items():
        if isinstance(path[-1], str) and path[-1].isascii() and path[-1].isalnum():
            assert path[-1] in lines[line - 1]


@settings(max_examples=80, deadline=None)
@given(st.one_of(st.text(max_size=200), documents()))
def test_any_text_gives_settings_or_lines(text):
    try:
        load(text, "f", Settings, ALL_RULES)
    except SettingsError as error:
        for line in str(error).split("\n"):
            assert line.startswith("f:")
            assert line.isprintable()
            number = int(line.split(":")[1])
            assert 1 <= number <= text.count("\n") + 1


@st.composite
def good_settings(draw):
    """Settings that hold, through the model's own types."""
    size = draw(st.integers(1024, 1 << 40))
    name = st.text("abc", min_size=1, max_size=5)
    policies = draw(st.dictionaries(name, st.sampled_from(["off", 3, 4.25]), max_size=2))
    return Settings.model_validate(
        {
            "limits": {"message_size": size, "command_timeout": draw(st.floats(0.001, 1e9))},
            "memory": {"in_flight": max(4 * size, 1 << 20)},
            "networks": {
                "proxies": draw(st.lists(st.ip_addresses(), max_size=3).map(lambda each: [f"{ip}" for ip in each]))
            },
            "log": {"format": draw(st.sampled_from(["json", "logfmt"]))},
            "node": {"group": draw(st.text(st.characters(categories=["L", "S", "P"]), max_size=9))},
            "policies": {
                key: {"reject_above": value, "mark_above": "off", "tag_above": "off"} for key, value in policies.items()
            },
            "routes": [{"domains": ["example.org"], "hosts": ["[::1]:25", 'lmtp:unix:/a b"c']}][
                : draw(st.integers(0, 1))
            ],
        }
    )


@settings(max_examples=80, deadline=None)
@given(good_settings())
def test_written_settings_read_back(value):
    assert load(write(value), "f", Settings, ALL_RULES).settings == value


@given(st.integers(0, 1 << 50))
def test_sizes_read_back(octets):
    assert read_size(write_size(octets)) == octets


@given(st.floats(0, 1e18))
def test_durations_read_back(seconds):
    assert read_duration(write_duration(seconds)) == seconds


@given(st.text(max_size=40))
def test_an_endpoint_is_refused_or_reads_back(text):
    try:
        endpoint = read_endpoint(text)
    except ValueError as error:
        assert "; write" in f"{error}"  # noqa: PT017 either answer is right
    else:
        assert read_endpoint(str(endpoint)) == endpoint


def test_a_million_nested_lists_are_one_line():
    with pytest.raises(SettingsError, match="nested too deeply"):
        load("a = " + "[" * 1_000_000, "f", Settings)
