"""mpp.settings.read: every fault with its line and its cure, in one go."""

from typing import Literal

import pytest
from pydantic import Field

from mpp.settings.model import Section
from mpp.settings.problem import Problem
from mpp.settings.read import SettingsError, load
from mpp.settings.values import Duration, EndpointValue, NetworkValue, Size, Threshold


class Inner(Section):
    name: str = Field(description="Its name")
    tls: Literal["none", "must"] = Field("none", description="TLS")
    weight: int = Field(1, ge=1, le=9, description="Weight")


class Whole(Section):
    workers: int = Field(0, ge=0, description="Workers")
    pin: bool = Field(False, description="Pin")
    rate: float = Field(1.0, gt=0, description="Rate")
    size: Size = Field(10, description="Size")
    wait: Duration = Field(1.0, description="Wait")
    limit: Threshold = Field(5.0, description="Limit")
    inner: tuple[Inner, ...] = Field((), description="Several")
    named: dict[str, Inner] = Field(default_factory=dict, description="Named")
    networks: tuple[NetworkValue, ...] = Field((), description="Networks")
    address: EndpointValue | None = Field(None, description="Address")


def lines_of(text, rules=()):
    with pytest.raises(SettingsError) as caught:
        load(text, "f", Whole, rules)
    return str(caught.value).split("\n")


def test_values_and_their_lines():
    loaded = load(
        'workers = 3\nsize = "2 KiB"\nwait = "4h"\nlimit = "off"\nnetworks = ["10.0.0.0/8"]\naddress = "lmtp:unix:/x"\n'
        '[[inner]]\nname = "a"\n[named.b]\nname = "c"',
        "f",
        Whole,
    )
    value = loaded.settings
    assert (value.workers, value.size, value.wait, value.limit) == (3, 2048, 14400.0, None)
    assert (str(value.networks[0]), str(value.address)) == ("10.0.0.0/8", "lmtp:unix:/x")
    assert (value.inner[0].name, value.named["b"].name) == ("a", "c")
    assert loaded.lines["inner", 0, "name"] == 8
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("wrokers = 1", 'f:1: wrokers is no setting; did you mean "workers"?', id="typing slip"),
        pytest.param("zzz = 1", "f:1: zzz is no setting; remove it; there are here: workers, pin, rate, size, wait, limit, inner, named, networks, address", id="unknown"),
        pytest.param("[[inner]]\nname = 'a'\nworkers = 1", "f:3: inner[1].workers is no setting here; write it as workers", id="elsewhere"),
        pytest.param("[named.x]\nname = 'a'\nnmae = 'b'", 'f:3: named.x.nmae is no setting; did you mean "name"?', id="in a named table"),
        pytest.param('workers = "3"', 'f:1: workers is the text "3", not a whole number; write a whole number without quotes', id="text for number"),
        pytest.param("workers = 1.5", "f:1: workers is the number 1.5, not a whole number; write a whole number without quotes", id="fraction"),
        pytest.param("workers = true", "f:1: workers is true, not a whole number; write a whole number without quotes", id="true for number"),
        pytest.param("workers = -1", "f:1: workers -1 is out of range; write at least 0", id="too small"),
        pytest.param("rate = 0", "f:1: rate 0 is out of range; write more than 0", id="bound itself"),
        pytest.param("rate = inf", "f:1: rate is the number inf, not a finite number; write a finite number", id="infinite"),
        pytest.param("pin = 1", "f:1: pin is the number 1, not true or false; write true or false without quotes", id="number for true"),
        pytest.param("pin = 'yes'", 'f:1: pin is the text "yes", not true or false; write true or false without quotes', id="yes for true"),
        pytest.param("size = 'big'", 'f:1: size "big" is no size; write octets or a text such as "50M" or "256 MiB"', id="size"),
        pytest.param("wait = 'long'", 'f:1: wait "long" is no duration; write seconds or a text such as "45s", "5m" or "4h"', id="duration"),
        pytest.param("limit = 'no'", 'f:1: limit "no" is no threshold; write a number without quotes or "off"', id="threshold"),
        pytest.param("networks = [5]", 'f:1: networks[1] 5 is no network; write a text such as "192.0.2.0/24" or "2001:db8::/32"', id="network"),
        pytest.param("address = 25", 'f:1: address 25 is no address; write a text such as "127.0.0.1:25"', id="address"),
        pytest.param("address = 'x'", 'f:1: address "x" is no address; write "HOST:PORT", "[IPv6]:PORT" or "unix:PATH", with "lmtp:" before it for LMTP', id="no port"),
        pytest.param("[[inner]]", "f:1: inner[1].name is missing and has no default; add it: Its name", id="missing"),
        pytest.param("[[inner]]\nname = 'a'\ntls = 'mus'", 'f:3: inner[1].tls "mus" is not one of its values; did you mean "must"? It is one of "none", "must"', id="choice"),
        pytest.param('[[inner]]\nname = "a\\u001b"', 'f:2: inner[1].name "a\\x1b" holds a control character; remove it', id="control character"),
        pytest.param("inner = 5", "f:1: inner is the number 5, not a list; write a list in square brackets", id="number for list"),
        pytest.param("named = []", "f:1: named is a list, not a table; write a table", id="list for table"),
        pytest.param("inner = [1]", "f:1: inner[1] is the number 1, not a table; write a table", id="number for table"),
        pytest.param("workers = 1979-05-27", "f:1: workers is a date or time (1979-05-27), which no setting takes; write a text in quotes or a number", id="date"),
        pytest.param("a = 1\na = 2", "f:2: is no TOML: Cannot overwrite a value; write it as in `mpp settings example`", id="twice"),
        pytest.param("\n\nworkers = ", "f:3: is no TOML: Invalid value; write it as in `mpp settings example`", id="end of file"),
        pytest.param('"x\\u001b[2J" = 1', "f:1: \"x\\x1b[2J\" is no setting; remove it; there are here: workers, pin, rate, size, wait, limit, inner, named, networks, address", id="terminal escape in a key"),
        pytest.param('pin = "\\u202e"', 'f:1: pin is the text "\\u202e", not true or false; write true or false without quotes', id="reading direction in a value"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(text, line):
    assert lines_of(text) == [line]


def test_all_faults_come_in_one_go_sorted_by_line():
    text = "pin = 3\n[[inner]]\nwieght = 1\n[[inner]]\nname = 'b'\nweight = 10\n[named]\nx = 1"
    assert [line.split(" ")[:2] for line in lines_of(text)] == [
        ["f:1:", "pin"],
        ["f:2:", "inner[1].name"],
        ["f:3:", "inner[1].wieght"],
        ["f:6:", "inner[2].weight"],
        ["f:8:", "named.x"],
    ]


def test_rules_speak_with_lines_and_warnings_do_not_refuse():
    def rule(value):
        yield Problem(("workers",), "is odd", "write an even one", "warning")
        if value.pin:
            yield Problem(("inner", 0, "tls"), "is a default here", "write it")

    loaded = load("\nworkers = 3", "f", Whole, [rule])
    assert loaded.warnings == ("f:2: warning: workers is odd; write an even one",)
    assert lines_of("pin = true\n\n[[inner]]\nname = 'a'", [rule]) == [
        "f:1: warning: workers is odd; write an even one",
        "f:3: inner[1].tls is a default here; write it",
    ]


@pytest.mark.parametrize(
    ("label", "text", "faulty"),
    [
        ("a wrong type elsewhere", "pin = 3\n[[inner]]\nname = 'a'\nweight = 7", ["f:1:", "f:4:"]),
        (
            "an unknown key in another table",
            "[[inner]]\nname = 'a'\nweight = 7\n[[inner]]\nname = 'b'\nx = 1",
            ["f:3:", "f:6:"],
        ),
        ("a wrong type in the same table", "[[inner]]\nname = 'a'\ntls = 3\nweight = 7", ["f:3:"]),
        ("something needed is missing", "[[inner]]\nweight = 7", ["f:1:"]),
        ("a value in a list", "networks = [1]\n[[inner]]\nname = 'a'\nweight = 7", ["f:1:", "f:4:"]),
    ],
)
def test_rules_look_at_what_the_model_takes_beside_what_it_refuses(label, text, faulty):
    def seven_is_unlucky(value):
        for number, inner in enumerate(value.inner):
            if inner.weight == 7:
                yield Problem(("inner", number, "weight"), "is unlucky", "write 8")

    assert [line.split(" ")[0] for line in lines_of(text, [seven_is_unlucky])] == faulty
