"""Whose address is it: tenants by the longest domain, groups within their tenant, retention by class."""

from mpp.gateway.rules import tenants
from mpp.gateway.settings import Settings
from mpp.settings.tenants import Directory, Group, Keep, Tenant, address_keys
from mpp.verdict.policy import Policy, PolicyRule
from mpp.verdict.select import PolicySelector

TENANTS = {
    "acme": Tenant(domains=("example.org", ".example.org"), policy="strict", keep=Keep(spam=60.0, forged_bounce=5.0)),
    "lab": Tenant(domains=(".lab.example.org",)),
}
GROUPS = {"sales": Group(tenant="acme", members=("anna@example.org", ".shop.example.org"))}


def test_tenant_of_an_address():
    directory = Directory(TENANTS, GROUPS)
    for address, tenant in {
        "Anna@Example.ORG": "acme",
        "a@www.example.org": "acme",
        "a@lab.example.org": "lab",
        "a@x.lab.example.org": "lab",
        "a@example.net": "default",
        "postmaster": "default",
        "": "default",
    }.items():
        assert directory.tenant(address) == tenant, address
    assert directory.names == ("default", "acme", "lab")


def test_a_domain_of_other_letters_is_meant_in_either_form():
    for written, came in (
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "b\u00fccher.example"),
    ):
        directory = Directory({"lab": Tenant(domains=(written,))}, {})
        assert directory.tenant(f"a@{came}") == directory.tenant(f"a@{written}") == "lab"
        assert address_keys(f"a@{came}") >= {f"a@{written}", f".{written}"}
    assert address_keys("a@xn--\xfc.example") >= {"a@xn--\xfc.example"}  # no label at all


def test_without_tenants_all_is_of_the_default_one():
    assert Directory({}, {}).tenant("anna@example.org") == "default"


def test_groups_are_their_tenants():
    directory = Directory(TENANTS, {**GROUPS, "others": Group(members=("anna@example.org",))})
    assert directory.groups("ANNA@example.org") == ("sales",)
    assert directory.groups("x@shop.example.org") == ("sales",)
    assert directory.groups("x@example.org") == ()


def test_retention_by_tenant_and_class():
    directory = Directory(TENANTS, {})
    assert directory.keep_s("acme", "spam", 7.0) == 60.0
    assert directory.keep_s("acme", "forged-bounce", 7.0) == 5.0
    assert directory.keep_s("acme", "virus", 7.0) == 7.0
    assert directory.keep_s("lab", "spam", 7.0) == 7.0


def test_policy_by_rule_group_and_tenant():
    policies = {name: Policy() for name in ("strict", "sales", "boss")}
    rules = (PolicyRule(policy="boss", recipients=("boss@example.org",)), PolicyRule(policy="sales", groups=("sales",)))
    select = PolicySelector(policies, rules, GROUPS, TENANTS)
    for address, name in {
        "boss@example.org": "boss",
        "Anna@example.org": "sales",
        "x@example.org": "strict",
        "x@example.net": "default",
    }.items():
        assert select.choose("mx", address, "inbound")[0] == name, address


def test_what_does_not_hold_is_told():
    settings = Settings.model_validate(
        {
            "tenants": {"a": {"domains": ("x.org",), "policy": "no"}, "b": {"domains": ("x.org",)}, "c": {}},
            "groups": {"g": {"tenant": "nobody"}},
        }
    )
    assert [problem.text for problem in tenants(settings)] == [
        'tenants.a.policy "no" is no policy; add [policies.no]',
        'tenants.b.domains[1] "x.org" belongs to tenants.a already; name it once',
        "tenants.c.domains is empty, so nothing belongs to it; name its domains",
        'groups.g.tenant "nobody" is no tenant; add [tenants.nobody]',
    ]
