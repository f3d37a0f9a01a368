import pytest

from mpp.mail.address import Address, AddressError, parse_address


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        pytest.param("anna@example.com", "anna", "example.com", id="plain"),
        pytest.param("Anna@EXAMPLE.Com", "Anna", "example.com", id="only the domain loses its case"),
        pytest.param('"a b"@example.com', "a b", "example.com", id="quoted"),
        pytest.param(r'"a\"\\b"@example.com', 'a"\\b', "example.com", id="quoted pairs"),
        pytest.param('""@example.com', "", "example.com", id="empty quotes"),
        pytest.param("a..b.@example.com", "a..b.", "example.com", id="dots as some carriers give them"),
        pytest.param("a@[192.0.2.1]", "a", "[192.0.2.1]", id="IPv4 literal"),
        pytest.param("a@[IPv6:2001:DB8:0::1]", "a", "[ipv6:2001:db8::1]", id="IPv6 literal in its short form"),
        pytest.param("@x.example,@y.example:a@b.example", "a", "b.example", id="source route"),
        pytest.param("@[192.0.2.1]:a@b.example", "a", "b.example", id="source route by a literal"),
        pytest.param("süß@straße.example", "süß", "straße.example", id="UTF-8"),
        pytest.param("postmaster", "postmaster", "", id="postmaster alone"),
        pytest.param("PostMaster", "PostMaster", "", id="postmaster in any case"),
    ],
)
def test_mailbox_is_read(text, local, domain):
    address = parse_address(text)
    assert (address.local, address.domain) == (local, domain)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="null reverse-path"),
        pytest.param("anna", id="no domain"),
        pytest.param("@example.com", id="no local part"),
        pytest.param("a@", id="empty domain"),
        pytest.param("a@b@example.com", id="two at signs"),
        pytest.param("a b@example.com", id="space"),
        pytest.param("<a@example.com>", id="brackets"),
        pytest.param("a@example..com", id="empty label"),
        pytest.param("a@example.com.", id="trailing dot"),
        pytest.param("a@-example.com", id="label begins with a hyphen"),
        pytest.param("a@" + "b" * 64 + ".example", id="label too long"),
        pytest.param("a@" + "b." * 130 + "example", id="domain too long"),
        pytest.param("a" * 1100 + "@example.com", id="too long"),
        pytest.param("a@[300.0.2.1]", id="no IPv4 address"),
        pytest.param("a@[IPv6:zz]", id="no IPv6 address"),
        pytest.param("a\r\nRCPT TO:<b@example.com>", id="line break"),
        pytest.param("a\x00@example.com", id="NUL"),
        pytest.param('"a\x1b"@example.com', id="control character in quotes"),
        pytest.param("a\u202e@example.com", id="direction override"),
        pytest.param("a\udc80@example.com", id="octet that is no UTF-8"),
        pytest.param("a@exa\u3002mple", id="full stop of another script"),
        pytest.param("a@\uff45xample.com", id="full-width letter"),
        pytest.param("@x.example:", id="route to nowhere"),
    ],
)
def test_what_is_no_mailbox_is_refused(text):
    with pytest.raises(AddressError):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "routed"),
    [("a%b@c", True), ("b!a@c", True), ('"a@b"@c', True), ("a@b", False), ('"a b"@c', False), ("@x:a@b", False)],
)
def test_routes_hidden_in_the_local_part_are_flagged(text, routed):
    assert parse_address(text).routed is routed


def test_source_route_is_not_kept():
    assert parse_address("@x,@y:a@B").text == "a@B"


def test_u_labels_become_a_labels_without_mapping():
    assert parse_address("a@straße.example").ascii_domain == "xn--strae-oqa.example"
    assert parse_address("a@Bücher.example").ascii_domain == "xn--bcher-kva.example"


def test_what_needs_smtputf8():
    assert parse_address("ü@example.com").smtputf8
    assert not parse_address("u@example.com").smtputf8
    assert Address("a@[192.0.2.1]", "a", "[192.0.2.1]").literal
