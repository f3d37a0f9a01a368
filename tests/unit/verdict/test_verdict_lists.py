"""Allow and block lists: the nearest level, then the narrower pattern; an allow entry counts only with proof."""

import pytest

from mpp.settings.values import read_network
from mpp.verdict.lists import Entry, Level, Lists, Recipient, Sender, read_owner, read_pattern

ANNA = Recipient("Anna@sub.example.org", "acme", ("sales",))
BOB = "bob@mail.example.net"
NOW = 1000.0


def block(pattern, level=Level.GLOBAL, owner="", **more):
    return Entry("block", level, owner, pattern, **more)


def allow(pattern, level=Level.GLOBAL, owner="", *, override=True, **more):
    return Entry("allow", level, owner, pattern, override=override, **more)


def find(*entries, sender=(BOB,), client="192.0.2.1", proved=(), to=ANNA, tenant="acme"):
    lists = Lists((tenant, entry) for entry in entries)
    return lists.find(Sender(tuple(sender), client, frozenset(proved)), to, NOW)


def test_no_entry_holds():
    assert find().entry is None
    assert find(block("other@example.net"), block("@example.net"), block("198.51.100.0/24")).entry is None


LEVELS = [
    block("@.", Level.USER, "anna@sub.example.org"),
    allow(BOB, Level.GROUP, "sales"),
    block("@.", Level.DOMAIN, "sub.example.org"),
    allow(BOB, Level.DOMAIN, ".example.org"),
    block("@.", Level.DOMAIN, ".org"),
    allow(BOB, Level.TENANT),
    block("@.", Level.GLOBAL),
]


@pytest.mark.parametrize("nearest", range(len(LEVELS)))
def test_the_nearest_level_wins_whatever_it_says(nearest):
    assert find(*reversed(LEVELS[nearest:])).entry is LEVELS[nearest]


PATTERNS = [
    BOB,
    "@mail.example.net",
    "@.mail.example.net",
    "@.example.net",
    "@.net",
    "192.0.2.1/32",
    "192.0.2.0/24",
    "@.",
]


@pytest.mark.parametrize("narrowest", range(len(PATTERNS)))
def test_on_one_level_the_narrower_pattern_wins(narrowest):
    entries = [allow(each) if number % 2 else block(each) for number, each in enumerate(PATTERNS)][narrowest:]
    assert find(*reversed(entries)).entry is entries[0]


def test_block_goes_first_where_two_entries_are_alike():
    header = "boss@example.net"
    assert find(allow(BOB), block(header), sender=(BOB, header)).entry == block(header)


def test_anothers_lists_do_not_matter():
    others = [block("@.", Level.USER, "otto@example.org"), block("@.", Level.GROUP, "it")]
    assert find(*others).entry is None
    assert find(block("@.", Level.TENANT), tenant="other").entry is None
    assert find(block("@.", Level.GLOBAL), tenant="other").entry is not None


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"override": False}, False),
        ({"override": False, "networks": (read_network("198.51.100.0/24"),)}, False),
        ({"override": False, "networks": (read_network("192.0.2.0/24"),)}, True),
        ({"override": True}, True),
    ],
    ids=["alone", "another network", "its network", "override"],
)
def test_an_allow_entry_needs_proof(more, counts):
    match = find(allow(BOB, **more), block("@.net"))
    assert match.entry.action == ("allow" if counts else "block")
    assert match.risky is more["override"]
    assert len(match.passed) == (not counts)
    if match.risky:
        assert "RISKY" in match.why


def test_an_allow_entry_counts_where_its_domain_is_proved():
    entry = allow("@.example.net", override=False)
    assert find(entry, proved=["mail.example.net"]).entry is entry
    assert find(entry, proved=["example.net"]).entry is None, "proof of another domain"
    assert find(entry, sender=("x@other.org", BOB), proved=["other.org"]).entry is None, "the other address is proved"


def test_an_allowed_network_needs_no_more():
    assert find(allow("192.0.2.0/24", override=False)).entry is not None
    assert find(allow("2001:db8::/32", override=False), client="2001:db8::1").entry is not None
    assert find(allow("192.0.2.0/24", override=False), client="::ffff:192.0.2.9").entry is not None
    assert find(allow("192.0.2.0/24"), client="").entry is None, "a unix socket has no address"


def test_what_has_expired_does_not_hold():
    assert find(block(BOB, expires=NOW)).entry is None
    assert find(block(BOB, expires=NOW + 1)).entry is not None


def test_the_null_sender_fits_all_and_nothing_else():
    assert find(block("@."), sender=("",)).entry is not None
    assert find(block("@.net"), sender=("",)).entry is None


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("Bob@Example.NET", "bob@example.net"),
        ("@Example.net", "@example.net"),
        ("@.Example.net", "@.example.net"),
        ("@.", "@."),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_patterns(text, pattern):
    assert read_pattern(text) == pattern


@pytest.mark.parametrize(
    "text", ["", "example.net", "a@", "@", "a b@example.net@", "192.0.2.1/24", "a@.", "*@example.net"]
)
def test_what_is_no_pattern(text):
    with pytest.raises(ValueError, match="is no pattern; write"):
        read_pattern(text)


def test_owners():
    assert read_owner(Level.USER, "Anna@Example.org") == "anna@example.org"
    assert read_owner(Level.DOMAIN, ".Example.org") == ".example.org"
    for level, text in ((Level.USER, "example.org"), (Level.DOMAIN, "a@b"), (Level.GROUP, ""), (Level.TENANT, "x")):
        with pytest.raises(ValueError, match="; "):
            read_owner(level, text)
