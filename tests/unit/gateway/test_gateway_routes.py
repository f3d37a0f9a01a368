"""Which route serves a domain: the most specific, and none for what is not listed."""

import json

import pytest

from mpp.gateway.routes import RouteTable
from mpp.gateway.settings import Settings
from mpp.mail.address import parse_address

ROUTES = [
    {"domains": ["example.org", "xn--bcher-kva.example"], "hosts": ["one:25"]},
    {"domains": [".example.org"], "hosts": ["below:25"]},
    {"domains": ["deep.sub.example.org"], "hosts": ["deep:25"]},
    {"domains": [".sub.example.org"], "hosts": ["sub:25"]},
]
REST = {"domains": ["*"], "hosts": ["rest:25"], "ours": False}


def table(*routes: dict) -> RouteTable:
    return RouteTable(Settings.model_validate_json(json.dumps({"routes": routes})))


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("a@example.org", "one"),
        ("a@EXAMPLE.ORG", "one"),
        ("a@bücher.example", "one"),
        ("a@x.example.org", "below"),
        ("a@deep.sub.example.org", "deep"),
        ("a@other.sub.example.org", "sub"),
        ("a@deeper.deep.sub.example.org", "sub"),
        ("a@sub.example.org", "below"),
        ("postmaster", "one"),
        ("a@example.com", None),
        ("a@badexample.org", None),
        ("a@org", None),
        ("a@[192.0.2.1]", None),
    ],
)
def test_the_most_specific_route_wins(address, host):
    route = table(*ROUTES).find(parse_address(address))
    assert (route.hosts[0].host if route else None) == host


def test_all_else_goes_where_the_star_leads():
    routes = table(*ROUTES, REST)
    assert routes.find(parse_address("a@example.com")).hosts[0].host == "rest"
    assert routes.find(parse_address("a@[192.0.2.1]")).hosts[0].host == "rest"
    assert routes.find(parse_address("a@example.org")).hosts[0].host == "one"


def test_postmaster_alone_is_delivered_to_the_first_domain_of_ours():
    routes = table(REST, *ROUTES)
    assert routes.deliverable(parse_address("postmaster")) == "postmaster@example.org"
    assert routes.deliverable(parse_address("Bob@example.org")) == "Bob@example.org"


def test_postmaster_alone_passes_over_what_names_no_domain():
    routes = table(ROUTES[1], ROUTES[0])
    assert routes.find(parse_address("postmaster")).hosts[0].host == "one"
    assert routes.deliverable(parse_address("postmaster")) == "postmaster@example.org"


def test_postmaster_alone_is_nobodys_where_no_domain_is_ours():
    routes = table(ROUTES[1], REST)
    assert routes.find(parse_address("postmaster")) is None
    assert routes.find(parse_address("a@x.example.org")).hosts[0].host == "below"


def test_a_flood_of_domains_does_not_grow_the_table():
    routes = table(*ROUTES)
    for number in range(10_000):
        routes.find(parse_address(f"a@d{number}.example"))
    assert len(routes._cache) <= 4096
