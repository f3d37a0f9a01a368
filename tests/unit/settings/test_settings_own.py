"""What a tenant may set by itself: its own policy, retention and groups, and nothing that reaches another's mail."""

import pytest

from mpp.gateway.settings import Settings
from mpp.settings.own import Own, overlaid, own_rule
from mpp.settings.problem import SettingsError
from mpp.settings.read import load
from mpp.settings.write import write
from mpp.verdict.select import PolicySelector

SETTINGS = Settings.model_validate(
    {
        "policies": {"strict": {"reject_above": 5.0}, "loose": {}},
        "tenants": {
            "acme": {
                "domains": ["acme.example", ".acme.example", ".shared.example"],
                "may_choose": ["strict"],
                "keep": {"spam": "9d", "virus": "2d"},
            },
            "other": {"domains": ["other.example", "b.shared.example"]},
        },
        "groups": {
            "staff": {"tenant": "acme", "members": ["old@acme.example"]},
            "bosses": {"members": ["x@y.example"]},
        },
        "policy_rules": [{"policy": "strict", "groups": ["staff"]}],
    }
)


def own(text: str) -> Own:
    return load(text, "acme.toml", Own, (own_rule("acme", SETTINGS.tenants, SETTINGS.groups),)).settings


def test_it_lies_over_what_the_provider_says():
    said = own(
        'policy = "strict"\n[keep]\nspam = "3d"\n[groups.staff]\nmembers = ["eve@acme.example", ".acme.example"]\n'
    )
    made = overlaid(SETTINGS, "acme", said)
    acme = made.tenants["acme"]
    assert (acme.policy, acme.keep.spam, acme.keep.virus) == ("strict", 3 * 86400.0, 2 * 86400.0)
    assert made.groups["staff"].members == ("eve@acme.example", ".acme.example")
    assert made.groups["staff"].tenant == "acme"
    unchanged = made.model_copy(update={"tenants": SETTINGS.tenants, "groups": SETTINGS.groups})
    assert unchanged == SETTINGS
    assert made.tenants["other"] == SETTINGS.tenants["other"]
    assert made.groups["bosses"] == SETTINGS.groups["bosses"]
    assert own(write(said)) == said


def test_nothing_said_changes_nothing():
    assert overlaid(SETTINGS, "acme", Own()) == SETTINGS


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('policy = "loose"', 'acme.toml:1: policy "loose" is not yours to choose; write one of: strict'),
        ("[limits]\nrecipients = 1", "acme.toml:1: limits is no setting"),
        ('domains = ["other.example"]', "acme.toml:1: domains is no setting"),
        ('[groups.bosses]\nmembers = ["a@acme.example"]', "acme.toml:1: groups.bosses is no group of this tenant"),
        ('[groups.new]\nmembers = ["a@acme.example"]', "acme.toml:1: groups.new is no group of this tenant"),
        (
            '[groups.staff]\nmembers = ["a@other.example"]',
            'acme.toml:2: groups.staff.members[1] "a@other.example" belongs',
        ),
        ('[groups.staff]\nmembers = ["nobody.example"]', 'members[1] "nobody.example" belongs'),
        ('[groups.staff]\nmembers = ["a@b.shared.example"]', 'members[1] "a@b.shared.example" belongs'),
        ('[groups.staff]\nmembers = [".shared.example"]', 'members[1] ".shared.example" belongs'),
        ('[groups.staff]\nmembers = [".Shared.Example"]', "belongs to another tenant"),
        ('[groups.staff]\nmembers = ["A@Other.Example"]', "belongs to another tenant"),
        ('[groups.staff]\nmembers = [".example"]', 'members[1] ".example" belongs'),
        ("[keep]\nspam = 0", "acme.toml:2: keep.spam 0 is out of range; write more than 0"),
    ],
)
def test_what_is_not_its_own_is_refused(text: str, line: str):
    with pytest.raises(SettingsError) as refused:
        own(text)
    assert line in str(refused.value)


@pytest.mark.parametrize(
    "member", ["acme.example", ".acme.example", "a@x.acme.example", "a.shared.example", ".a.shared.example"]
)
def test_no_member_reaches_another_tenants_mail(member: str):
    made = overlaid(SETTINGS, "acme", own(f'[groups.staff]\nmembers = ["{member}"]'))
    chosen = PolicySelector(made.policies, made.policy_rules, made.groups, made.tenants).choose
    for address in ("a@other.example", "a@b.shared.example", "x@y.example"):
        assert chosen("mx", address, "inbound")[0] == "default"
