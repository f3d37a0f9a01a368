"""Addresses as the catalog searches them: all mailboxes of a domain are one range, and nobody else's."""

import pytest

from mpp.store.mailbox import domain_range, mailbox


@pytest.mark.parametrize(
    ("address", "box"),
    [
        ("Anna@Example.ORG", "example.org/anna"),
        ("postmaster", "postmaster/"),
        ("", ""),
        ('"a@b"@example.org', 'example.org/"a@b"'),
    ],
)
def test_mailbox(address, box):
    assert mailbox(address) == box


def test_a_domain_is_one_range():
    low, high = domain_range("example.org")
    inside = ["~@example.org", "0@EXAMPLE.org", "anna@example.org"]
    outside = ["a@sub.example.org", "a@example.org.net", "a@example.or", "a@example.orga", "a@example.org-x"]
    assert all(low <= mailbox(each) < high for each in inside)
    assert not any(low <= mailbox(each) < high for each in outside)
