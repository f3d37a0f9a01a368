import pytest

from mpp.verdict.policy import Policy, PolicyRule
from mpp.verdict.select import PolicySelector

POLICIES = {name: Policy(mark_above=number) for number, name in enumerate(("vip", "domain", "below", "out", "door"), 1)}
RULES = (
    PolicyRule(policy="vip", recipients=("Boss@Example.org",)),
    PolicyRule(policy="door", listeners=("submission",), direction="outbound"),
    PolicyRule(policy="domain", recipients=("example.org", "example.net")),
    PolicyRule(policy="below", recipients=(".example.org",)),
    PolicyRule(policy="out", direction="outbound"),
)


@pytest.mark.parametrize(
    ("listener", "recipient", "direction", "name"),
    [
        ("mx", "boss@example.ORG", "inbound", "vip"),
        ("mx", "a@example.org", "inbound", "domain"),
        ("mx", "a@EXAMPLE.net", "inbound", "domain"),
        ("mx", "a@x.example.org", "inbound", "below"),
        ("mx", "a@y.x.example.org", "inbound", "below"),
        ("mx", "a@notexample.org", "inbound", "default"),
        ("mx", "a@example.org.evil.test", "inbound", "default"),
        ("mx", '"a@example.org"@other.test', "inbound", "default"),
        ("mx", "postmaster", "inbound", "default"),
        ("mx", "", "internal", "default"),
        ("mx", "a@other.test", "outbound", "out"),
        ("submission", "a@example.org", "outbound", "door"),
        ("submission", "a@example.org", "inbound", "domain"),
    ],
)
def test_the_first_rule_that_fits(listener, recipient, direction, name):
    selector = PolicySelector(POLICIES, RULES)
    assert selector.choose(listener, recipient, direction) == (name, POLICIES.get(name, Policy()))
    assert selector.choose(listener, recipient, direction)[0] == name


def test_the_policy_named_default_holds_where_no_rule_fits():
    own = Policy(mark_above=1.0)
    assert PolicySelector({"default": own}, ()).choose("mx", "a@b", "inbound") == ("default", own)
    assert PolicySelector({"default": own}, RULES[:0]).choose("mx", "", "") == ("default", own)


def test_a_subdomain_pattern_holds_for_the_domain_too():
    selector = PolicySelector(POLICIES, (PolicyRule(policy="below", recipients=(".example.org",)),))
    assert selector.choose("mx", "a@example.org", "inbound")[0] == "below"


def test_a_rule_for_a_policy_that_is_not_there():
    with pytest.raises(KeyError):
        PolicySelector({}, (PolicyRule(policy="nobody"),))
