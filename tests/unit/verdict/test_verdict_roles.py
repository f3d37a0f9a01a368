"""Who may release what: class x role x domain; users never a virus."""

import pytest

from mpp.verdict.roles import ReleaseRule, Right, right, role_problems, rule_for

ANNA = "anna@sub.example.org"
CLASSES = ("virus", "banned", "unchecked", "forged-bounce", "spam", "stripped", "undeliverable")


@pytest.mark.parametrize(
    ("role", "rights"),
    [("user", "NQQRRQR"), ("helpdesk", "QRRRRRR"), ("admin", "RRRRRRR")],
)
def test_built_in(role, rights):
    words = {"N": Right.NOTHING, "Q": Right.REQUEST, "R": Right.RELEASE}
    assert [right((), role, ANNA, each) for each in CLASSES] == [words[each] for each in rights]
    assert rule_for((), role, ANNA).elsewhere is (role == "admin")


def test_the_first_rule_for_role_and_domain_holds():
    rules = (
        ReleaseRule(role="user", domains=(".example.org",), spam="request"),
        ReleaseRule(role="user", spam="nothing"),
    )
    assert right(rules, "user", ANNA, "spam") is Right.REQUEST
    assert right(rules, "user", "a@example.net", "spam") is Right.NOTHING
    assert right(rules, "helpdesk", ANNA, "spam") is Right.RELEASE


def test_users_never_get_a_virus():
    rules = (ReleaseRule(role="user", virus="release"),)
    assert right(rules, "user", ANNA, "virus") is Right.NOTHING
    assert [problem.text for problem in role_problems(rules)] == [
        'release_rules[1].virus lets users have viruses, which is never done; write "nothing"'
    ]


def test_a_clean_message_that_is_held_counts_as_spam():
    assert right((ReleaseRule(role="user", spam="request"),), "user", ANNA, "clean") is Right.REQUEST


def test_a_rule_that_comes_too_late_is_told():
    rules = (ReleaseRule(role="user"), ReleaseRule(role="user", domains=("example.org",)))
    assert [problem.path for problem in role_problems(rules)] == [("release_rules", 1)]
    assert not list(role_problems(tuple(reversed(rules))))


def test_a_rule_for_subdomains_too_is_not_covered_by_one_for_the_domain_alone():
    rules = (
        ReleaseRule(role="user", domains=("example.org",)),
        ReleaseRule(role="user", domains=(".example.org",), spam="request"),
    )
    assert right(rules, "user", ANNA, "spam") is Right.REQUEST
    assert not list(role_problems(rules))
    assert [problem.path for problem in role_problems(tuple(reversed(rules)))] == [("release_rules", 1)]
