"""Addresses of From, for lists: what a mail program might show as an address is found."""

import pytest

from mpp.mail.mailboxes import MOST, addresses


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b" Bob <Bob@Example.net>", ["bob@example.net"]),
        (b' "a@b.c, x" <bob@example.net>', ["bob@example.net"]),
        (b" boss@example.com <bob@example.net>", ["boss@example.com", "bob@example.net"]),
        (b" bob@example.net (home a@b.c), eve@example.org", ["bob@example.net", "eve@example.org"]),
        (b" =?utf-8?q?J=C3=BCrgen?= <j@b\xc3\xbccher.example>", ["j@bücher.example"]),
        (b" <@relay:bob@example.net>", ["bob@example.net"]),
        (b" nobody", []),
        (b"", []),
        (b" a@b.", ["a@b"]),
    ],
)
def test_addresses(value, found):
    assert addresses(value) == found


def test_there_is_an_end():
    assert len(addresses(b",".join(b"a%d@b" % n for n in range(10_000)))) == MOST
    assert addresses(b'"' * 100_000 + b"(" * 100_000) == []
