"""Every setting is described, its default holds, and what is made from the model is up to date and reads back."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpp.cli.settings import EXAMPLE_OPENING, reference_page
from mpp.gateway.settings import Listener, Route, Settings
from mpp.settings.example import example
from mpp.settings.explain import keys
from mpp.settings.model import Section
from mpp.settings.read import load
from mpp.settings.tenants import Group, Tenant

ROOT = Path(__file__).parents[3]


def sections(model: type[Section] = Settings) -> Iterator[type[Section]]:
    yield model
    for key in keys(model):
        for section in key.sections:
            yield from sections(section)


@pytest.mark.parametrize("section", [*sections()], ids=lambda section: section.__name__)
def test_every_section_and_every_setting_is_described(section):
    assert section.__doc__
    assert section.__doc__ != Section.__doc__
    for key in keys(section):
        assert len(key.description) >= 4, key.name
        assert not key.description.endswith("."), key.name
        assert key.kind, key.name
        unset = not key.required and key.default is None and "off" not in key.kind
        assert key.example is not None or not (key.required or unset), f"{key.name} needs an example"


@pytest.mark.parametrize("section", [*sections()], ids=lambda section: section.__name__)
def test_a_default_is_a_value_that_may_be_set(section):
    needed = {key.name: key.example for key in keys(section) if key.required}
    default = section.model_validate(needed)
    assert section.model_validate(default.model_dump()) == default
    assert section.model_validate_json(default.model_dump_json(), strict=True) == default


def test_the_example_holds_as_it_stands():
    assert load(example(Settings, EXAMPLE_OPENING), "example", Settings).settings == Settings()


def test_the_example_without_its_hashes_reads_back_to_the_defaults():
    text = re.sub(r"(?m)^#(?=[\[\w])", "", example(Settings, EXAMPLE_OPENING))
    value = load(text, "example", Settings).settings
    for name, info in Settings.model_fields.items():
        if name not in (
            "listeners",
            "routes",
            "scanners",
            "layers",
            "votes",
            "policies",
            "policy_rules",
            "tenants",
            "groups",
            "release_rules",
            "filters",
            "attachments",
            "attachment_lists",
            "samples",
        ):
            assert getattr(value, name) == info.get_default(call_default_factory=True), name
    assert value.listeners == (Listener(name="mx", address="0.0.0.0:25"),)
    assert value.routes == (Route(domains=("example.org",)),)
    for items, name in (
        (value.scanners, "scanners"),
        (value.policy_rules, "policy_rules"),
        (value.release_rules, "release_rules"),
    ):
        described = next(key.sections for key in keys(Settings) if key.name == name)
        for item, section in zip(items, described, strict=True):
            assert item == section(**{key.name: key.example for key in keys(section) if key.required})
    assert value.policies == {"default": value.policy("")}
    assert value.tenants == {"default": Tenant()}
    assert value.groups == {"default": Group()}


def test_the_example_names_every_setting():
    text = example(Settings, EXAMPLE_OPENING)
    for section in sections():
        for key in keys(section):
            assert re.search(rf"(?m)^#(   |\[+)?([\w.]+\.)?{key.name}(\.default)?(\]+| = )", text), key.name


def test_the_reference_page_is_up_to_date():
    written = (ROOT / "docs/settings.md").read_text()
    assert written == reference_page(), "make it anew: mpp settings docs >docs/settings.md"


@pytest.mark.parametrize("text", ["a\nb", "a\x1b", "a\x85", "a\u2028"])
def test_a_control_character_is_refused_everywhere(text):
    with pytest.raises(ValueError, match="control character"):
        Settings.model_validate({"node": {"contact": text}})
    with pytest.raises(ValueError, match="control character"):
        Settings.model_validate(
            {"scanners": [{"name": "a", "kind": "clamd", "servers": ["h:1"], "spam_signatures": [text]}]}
        )
