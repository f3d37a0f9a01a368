"""Layers and votes in the settings: each contradiction is one line with its place and cure; the documented examples hold."""

import re
from pathlib import Path

import pytest

from mpp.gateway.rules import RULES
from mpp.gateway.settings import Settings
from mpp.settings.problem import SettingsError
from mpp.settings.read import load

DOCS = Path(__file__).parents[3] / "docs/layers.md"
SCANNERS = "".join(
    f'[[scanners]]\nname = "{name}"\nkind = "{kind}"\nservers = ["h:{port}"]\n'
    for name, kind, port in (("av", "clamd", 1), ("sa", "spamd", 2), ("third", "clamd", 3))
)
ONE = '[[layers]]\nname = "one"\nscanners = ["av", "third"]\n'
TWO = '[[layers]]\nname = "two"\nscanners = ["sa"]\n'


def told(text: str) -> list[str]:
    try:
        return list(load(text, "f", Settings, RULES).warnings)
    except SettingsError as error:
        return list(error.lines)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (ONE, 'f:5: scanners[2] is in none of the layers, so it is never asked; put "sa" into a layer, or remove it'),
        (ONE + TWO + '[[layers]]\nname = "x"\nscanners = ["sa"]\n', 'f:21: layers[3].scanners[1] "sa" stands in layer "two" already, and is asked once; name it in one layer'),
        (ONE + TWO.replace('"sa"', '"sa", "no"'), 'f:18: layers[2].scanners[2] "no" is no scanner; name one of: "av", "sa", "third"'),
        (ONE + TWO.replace("two", "one"), "f:17: layers[2].name is a name that layers[1].name has already; write another, or remove one"),
        (ONE + TWO + 'policies = ["no"]\n', 'f:19: layers[2].policies[1] "no" is no policy; name one of: "default"'),
        (ONE + TWO + "size_from = 10\nsize_below = 10\n", "f:19: layers[2].size_from (10) is not below size_below (10), so the layer never runs; write a smaller size"),
        (ONE + TWO + "score_from = 5\nscore_below = 2\n", "f:19: layers[2].score_from (5) is not below score_below (2), so the layer never runs; write a lower score"),
        (TWO + "score_from = 5\n" + ONE, "f:16: layers[1].score_from looks at the score of the layers before, and this is the first: it is 0, so it never runs; put a layer before it, or remove it"),
        (TWO + "score_below = 5\n" + ONE, "f:16: warning: layers[1].score_below looks at the score of the layers before, and this is the first: it is 0; put a layer before it, or remove it"),
        (TWO + ONE + "score_below = 5\n", 'f:18: warning: layers[2].scanners[1] "av" looks for viruses too, and score_below leaves mail out that is then never looked at; put it into a layer without a score'),
        (ONE + TWO + "stop_spam = 9\n", "f:19: warning: layers[2].stop_spam stops nothing: this is the last layer; remove it"),
        ('[[votes]]\nname = "v"\nscanners = ["av", "no"]\n', 'f:15: votes[1].scanners[2] "no" is no scanner; name one of: "av", "sa", "third"'),
        ('[[votes]]\nname = "v"\nscanners = ["av", "sa"]\n', "f:13: votes[1].needed 2 can never agree: there are 1 voters that look for viruses and not in shadow; name more voters, or need fewer"),
        ('[[votes]]\nname = "v"\nscanners = ["av"]\nneeded = 1\n', "f:16: votes[1].needed 1 always holds: whoever found it has voted for it; write 2 or more, or name other voters"),
        ("scale = [\"1 = 2\"]\n", "f:13: scanners[3].scale has one point, so every sum would count the same; write two points or more"),
        ("scale = [\"1 = 2\", \"1 = 3\"]\n", "f:13: scanners[3].scale[2] stands after a point for 1, and points must ascend; put the points in order, each once"),
        ("scale = [\"1 = 2\", \"x\"]\n", 'f:13: scanners[3].scale[2] "x" is no point of a scale; write "12 = 5": the scanner\'s points, then what they count'),
        ("weight = 2\nscale = [\"1 = 2\", \"2 = 3\"]\n", "f:13: scanners[3].weight means nothing beside scale; remove one of the two"),
        ("layer = 1\n" + ONE + TWO, "f:13: warning: scanners[3].layer means nothing where [[layers]] are written; remove it"),
    ],
)  # fmt: skip
def test_contradictions_are_told_with_their_cure(text: str, line: str) -> None:
    assert line in told(SCANNERS + text)


def test_good_layers_hold() -> None:
    votes = '[[votes]]\nname = "v"\nscanners = ["av", "third"]\n'
    assert told(SCANNERS + ONE + "stop_spam = 9\n" + TWO + "score_below = 9\n" + votes) == []


def test_the_examples_of_the_documentation_hold() -> None:
    layers, votes = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert told(layers) == []
    more = "".join(f'[[scanners]]\nname = "{name}"\nkind = "clamd"\nservers = ["h:1"]\n' for name in ("icap", "second"))
    written = layers.replace('["clamd", "quick"]', '["clamd", "quick", "icap", "second"]')
    assert told(written + more + votes) == []
