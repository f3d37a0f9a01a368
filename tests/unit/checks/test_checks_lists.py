"""Lists as findings, and what is decided by them: below virus and banned, above the score."""

import pytest

from mpp.checks.lists import all_blocked, listed
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.settings.tenants import Directory, Group, Tenant
from mpp.verdict.decide import decide
from mpp.verdict.finding import Finding, OnFailure, Verdict
from mpp.verdict.lists import Entry, Level, Lists
from mpp.verdict.plan import Disposition
from mpp.verdict.policy import Marks, Policy
from mpp.verdict.transaction import Transaction

ANNA, OTTO = "anna@example.org", "otto@example.org"
DIRECTORY = Directory({"acme": Tenant(domains=(".example.org",))}, {"sales": Group(tenant="acme", members=(ANNA,))})
ALLOW = Entry("allow", Level.TENANT, "", "@.example.net", override=True)
BLOCK = Entry("block", Level.GROUP, "sales", "bob@example.net")
SPAM = Finding("spamd", "GTUBE", 1000.0)
VIRUS = Finding("clamd", "Eicar", verdict=Verdict.VIRUS)


def mail(*recipients, reverse_path="bob@example.net", author=b"bob@example.net", ours=None):
    return Transaction(
        id="1",
        envelope=Envelope(reverse_path, tuple(map(Recipient, recipients))),
        client=Client("192.0.2.1"),
        message=Message(b"From: " + author + b"\r\n\r\nhello\r\n"),
        size=30,
        listener="mx",
        stage="edge",
        direction="inbound",
        trusted=False,
        ours=frozenset(recipients) if ours is None else ours,
        policies={each: ("default", Policy()) for each in recipients},
        hostname="mx.example.org",
    )


def fates(transaction, *entries, others=()):
    findings = listed(Lists(("acme", each) for each in entries), DIRECTORY, transaction, 0.0)
    return decide(transaction, Marks(), [*findings, *others])


def test_each_recipient_has_its_own_list():
    plan = fates(mail(ANNA, OTTO), ALLOW, BLOCK, others=[SPAM])
    assert plan.fates[ANNA].disposition is Disposition.REJECT
    assert plan.fates[ANNA].rule == "policies.default.blocked"
    assert plan.fates[ANNA].reply.startswith("554 5.7.1 Message refused, its sender is not wanted here")
    assert plan.fates[OTTO].disposition is Disposition.DELIVER
    assert plan.fates[OTTO].rule == "lists"
    assert any("allow @.example.net (tenant) holds: by its override" in each for each in plan.why)


@pytest.mark.parametrize("found", [VIRUS, Finding("files", "exe", verdict=Verdict.BANNED)])
def test_no_list_lets_a_virus_or_banned_content_through(found):
    assert fates(mail(OTTO), ALLOW, others=[found]).fates[OTTO].disposition is Disposition.REJECT


def test_no_list_lets_through_what_a_virus_scanner_could_not_look_into():
    failed = Finding("clamd", "scanner-failed", failure=OnFailure.DEFER)
    assert fates(mail(OTTO), ALLOW, others=[failed]).fates[OTTO].disposition is Disposition.DEFER


def test_who_is_blocked_is_refused_whatever_scanner_failed():
    failed = Finding("clamd", "scanner-failed", failure=OnFailure.DEFER)
    assert fates(mail(ANNA), BLOCK, others=[failed]).fates[ANNA].disposition is Disposition.REJECT


def test_the_author_of_the_header_is_looked_at_too():
    assert fates(mail(ANNA, reverse_path="x@other.net"), BLOCK).fates[ANNA].disposition is Disposition.REJECT
    hidden = mail(ANNA, reverse_path="", author=b'"Boss" <boss@example.com>, bob@EXAMPLE.net')
    assert fates(hidden, BLOCK).fates[ANNA].disposition is Disposition.REJECT


def test_an_entry_that_does_not_count_is_told_and_changes_nothing():
    plan = fates(mail(OTTO), Entry("allow", Level.TENANT, "", "@.example.net"), others=[SPAM])
    assert plan.fates[OTTO].disposition is Disposition.REJECT
    assert any("does not count: nothing proves that <bob@example.net> sent it" in each for each in plan.why)
    assert not fates(mail(OTTO), Entry("allow", Level.TENANT, "", "@.example.net")).fates[OTTO].edits


def test_only_recipients_of_ours_have_lists():
    assert fates(mail(ANNA, ours=frozenset()), BLOCK).fates[ANNA].disposition is Disposition.DELIVER


def test_scanners_are_spared_where_everybody_is_blocked():
    lists = Lists([("acme", BLOCK)])
    one, two = mail(ANNA), mail(ANNA, OTTO)
    assert all_blocked(listed(lists, DIRECTORY, one, 0.0), one)
    assert not all_blocked(listed(lists, DIRECTORY, two, 0.0), two)
    assert not all_blocked([], one)
