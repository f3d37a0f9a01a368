"""What recipients see: golden files of whole headers, and the rules for what goes and what stays."""

from pathlib import Path

import pytest

from mpp.mail.edits import Edit, apply_edits
from mpp.mail.message import Message
from mpp.verdict.decide import decide
from mpp.verdict.finding import SPAM_SCANNED, VIRUS_SCANNED, Act, Action, Counts, Finding, Verdict
from mpp.verdict.policy import Marks, Policy
from mpp.verdict.signatures import broken_signatures

GOLDEN = Path(__file__).parent / "golden"
ANNA = "anna@example.com"
LOOKED = [Finding("clamd", VIRUS_SCANNED), Finding("spamd", SPAM_SCANNED)]
SPAM = [
    *LOOKED,
    Finding("spamd", "BAYES_99", 3.5, "BODY: Bayes spam probability is 99 to 100%"),
    Finding("spamd", "HTML_MESSAGE", 0.001, "BODY: HTML included in message"),
    Finding("spamd", "MISSING_SUBJECT", 1.6, "Missing Subject: header"),
    Finding("spamd", "RCVD_IN_DNSWL", -0.5, "Absender bürgt für sich"),
    Finding(
        "spamd",
        "URIBL_BLOCKED_BY_A_VERY_LONG_NAME",
        2.25,
        "Contains an URL listed in a list " + "whose name is long " * 6,
    ),
]
ENGINES = [
    *LOOKED,
    Finding("spamd", "BAYES_99", 3.5, "BODY: Bayes spam probability is 99 to 100%"),
    Finding("rspamd", "PHISHING", 9.0, "A link that shows another place", counts=Counts.MARKS, limit="votes.two"),
    Finding("new", "NOT_SHOWN", 50.0, counts=Counts.NOTHING, limit="scanners.new.shadow"),
]
ENCRYPTED = Finding("clamd", "Heuristics.Encrypted.Zip", verdict=Verdict.UNCHECKED)
BODY = b"\r\nbody\r\n"


def result(case, findings, marks=None):
    """The message as the recipient gets it."""
    edits = decide(case, marks or Marks(), findings).fates[ANNA].edits
    assert list(edits) == sorted(edits)
    return b"".join(apply_edits(case.message.raw, edits))


GOLDEN_CASES = {
    "clean": (LOOKED, {}, {}),
    "clean-always": (LOOKED, {}, {"always": True}),
    "tagged": ([*LOOKED, Finding("spamd", "BAYES_80", 2.0)], {}, {}),
    "spam": (SPAM, {}, {}),
    "spam-report": (SPAM, {"report": True}, {}),
    "spam-report-engines": (ENGINES, {"report": True, "reject_above": 9.0}, {}),
    "spam-no-thresholds": (SPAM, {"tag_above": None, "reject_above": 99.0}, {}),
    "unchecked": ([*LOOKED, ENCRYPTED], {}, {}),
    "unchecked-spam": ([*SPAM, ENCRYPTED], {}, {}),
    "level-is-bounded": ([Finding("spamd", "GTUBE", 1000.0)], {"reject_above": None}, {}),
}


@pytest.mark.parametrize("name", GOLDEN_CASES)
def test_header_as_users_of_amavisd_and_spamassassin_know_it(transaction, name):
    findings, policy, marks = GOLDEN_CASES[name]
    text = result(transaction(policy=Policy(**policy)), findings, Marks(**marks))
    header = text[: text.index(b"\r\n\r\n") + 2]
    assert header.decode("ascii").replace("\r\n", "\n") == (GOLDEN / f"{name}.txt").read_text()
    assert max(map(len, header.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Subject: hello\r\n", b"Subject: ***SPAM*** hello\r\n"),
        (b"Subject:hello\r\n", b"Subject: ***SPAM*** hello\r\n"),
        (b"Subject: ***SPAM*** hello\r\n", b"Subject: ***SPAM*** hello\r\n"),
        (b"Subject: Re: ***SPAM*** hello\r\n", b"Subject: Re: ***SPAM*** hello\r\n"),
        (b"Subject: AW: FW: ***SPAM***hello\r\n", b"Subject: AW: FW: ***SPAM***hello\r\n"),
        (b"Subject: about ***SPAM*** marks\r\n", b"Subject: ***SPAM*** about ***SPAM*** marks\r\n"),
        (b"Subject: =?utf-8?Q?***SPAM***_h=C3=A9?=\r\n", b"Subject: =?utf-8?Q?***SPAM***_h=C3=A9?=\r\n"),
        (b"Subject: =?utf-8?Q?h=C3=A9?=\r\n", b"Subject: ***SPAM*** =?utf-8?Q?h=C3=A9?=\r\n"),
        (b"Subject:\r\n folded\r\n away\r\n", b"Subject:\r\n ***SPAM*** folded\r\n away\r\n"),
        (b"Subject:\r\n", b"Subject: ***SPAM***\r\n"),
        (b"Subject: \r\n", b"Subject: ***SPAM***\r\n"),
        (b"SUBJECT : a\r\nSubject: b\r\n", b"SUBJECT : ***SPAM*** a\r\nSubject: b\r\n"),
        (b"To: x\r\n", b"Subject: ***SPAM***\r\nTo: x\r\n"),
        (b"Subject: " + b"x" * 985 + b"\r\n", b"Subject: ***SPAM***\r\n " + b"x" * 985 + b"\r\n"),
    ],
)
def test_subject_mark(transaction, before, after):
    case = transaction(before + BODY)
    assert result(case, [Finding("spamd", "X", 7.0)], Marks(spam=False)) == after + BODY


@pytest.mark.parametrize(
    ("before", "shown"),
    [(b"Subject: hello\r\n", "¡SPAM! hello"), (b"Subject: =?utf-8?Q?h=C3=A9?=\r\n", "¡SPAM! hé"), (b"", "¡SPAM!")],
)
def test_a_mark_that_is_not_ascii_is_encoded(transaction, before, shown):
    case = transaction(before + BODY, policy=Policy(subject_mark="¡SPAM! "))
    after = result(case, [Finding("spamd", "X", 7.0)], Marks(spam=False))
    assert after.isascii()
    assert Message(after).text(b"subject") == shown
    assert (
        result(
            transaction(after, policy=Policy(subject_mark="¡SPAM! ")), [Finding("spamd", "X", 7.0)], Marks(spam=False)
        )
        == after
    )


FOREIGN = b"X-Spam-Flag: YES\r\nx-spam-status: No\r\n folded\r\nX-Virus-Scanned: by them\r\nX-Quarantine-ID: <1>\r\n"
KEPT = b"X-Spamd-Result: 1\r\nFrom: a@b\r\nX-Other: X-Spam-Flag: YES\r\n"


def test_marks_from_outside_go_wherever_they_stand(transaction):
    assert result(transaction(FOREIGN + KEPT + FOREIGN + BODY, ours=frozenset()), []) == KEPT + BODY


def test_marks_of_trusted_hosts_stay(transaction):
    case = transaction(FOREIGN + KEPT + BODY, trusted=True)
    assert result(case, []) == FOREIGN + KEPT + BODY


def test_ours_replace_those_of_trusted_hosts(transaction):
    after = result(transaction(FOREIGN + KEPT + BODY, trusted=True), SPAM)
    for name in (b"x-spam-flag", b"x-spam-status", b"x-virus-scanned"):
        assert after.lower().count(b"\n" + name + b":") + after.lower().startswith(name + b":") == 1
    assert b"X-Quarantine-ID: <1>" in after
    assert b"X-Virus-Scanned: MPP at mx.example.com" in after


@pytest.mark.parametrize(
    ("value", "gone"),
    [
        (b" mx.example.com; spf=pass", True),
        (b"MX.Example.COM;none", True),
        (b"\r\n mx.example.com 1; spf=pass", True),
        (b' "mx.example.com"; spf=pass', True),
        (b' "mx\\.example.com"; spf=pass', True),
        (b" (a (nested) \\) comment) mx.example.com (b); dkim=pass", True),
        (b" mx.example.com.; none", True),
        (b" (((((((((((( mx.example.com; spf=pass", True),
        (b" " * 250 + b"mx.example.com; spf=pass", True),
        (b" other.example; spf=pass smtp.mailfrom=mx.example.com", False),
        (b" (mx.example.com) other.example; none", False),
        (b" mx.example.com.evil.test; none", False),
        (b" notmx.example.com; none", False),
        (b"", False),
    ],
)
def test_authentication_results_that_claim_to_be_ours(transaction, value, gone):
    field = b"Authentication-Results:" + value + b"\r\n"
    case = transaction(field + KEPT + BODY)
    assert result(case, []) == (b"" if gone else field) + KEPT + BODY
    assert result(transaction(field + KEPT + BODY, trusted=True), []) == field + KEPT + BODY


def test_a_subject_that_is_removed_is_put_anew(transaction):
    assert result(
        transaction(b"Subject: x\r\n" + BODY), [Finding("spamd", "X", 7.0)], Marks(spam=False, remove=("S*",))
    ) == (b"Subject: ***SPAM***\r\n" + BODY)


def test_hostile_names_end_no_list_and_no_line(transaction):
    hostile = "A=9], evil\r\nX-Evil: 1\u00e9" + "x" * 2000
    after = result(
        transaction(b"To: x\r\n" + BODY, policy=Policy(report=True)), [Finding("spamd", hostile, 7.0, hostile)]
    )
    assert [field.key for field in Message(after).fields] == [
        b"x-spam-flag", b"x-spam-score", b"x-spam-level", b"x-spam-status", b"x-spam-report", b"subject", b"to",
    ]  # fmt: skip
    assert after.isascii()
    assert max(map(len, after.split(b"\r\n"))) <= 998


def test_thousands_of_tests_are_cut_to_the_weightiest(transaction):
    findings = [Finding("spamd", f"T{number}", 0.001 * number) for number in range(3000)]
    after = result(transaction(policy=Policy(reject_above=None)), findings)
    assert b"T2999=2.999" in after
    assert b"T1=" not in after


SIGNED = (
    b"DKIM-Signature: v=1; d=example.org; s=k1;\r\n\th=From:Subject:X-Spam-Flag; b=abc\r\nSubject: a\r\nFrom: b\r\n"
)


@pytest.mark.parametrize(
    ("raw", "findings", "broken"),
    [
        (SIGNED, [], ()),
        (SIGNED, LOOKED, ()),
        (SIGNED, SPAM, ("example.org/k1",)),  # subject changed, X-Spam-Flag was signed as absent
        (SIGNED.replace(b"Subject:X-Spam-Flag", b"To"), SPAM, ()),
        (SIGNED.replace(b"Subject:X-Spam-Flag", b"To:\r\n x-virus-scanned"), LOOKED, ("example.org/k1",)),
        (b"X-Spam-Flag: YES\r\n" + SIGNED, [], ("example.org/k1",)),
        (b"X-Spam-Score: 1\r\n" + SIGNED, [], ()),
        (SIGNED.replace(b"d=example.org", b"d=a\x1b"), SPAM, ("a\\x1b/k1",)),
    ],
)
def test_signatures_that_an_edit_breaks(transaction, raw, findings, broken):
    case = transaction(raw + BODY)
    assert broken_signatures(case.message, decide(case, Marks(), findings).fates[ANNA].edits) == broken


def test_a_subject_of_blank_folds_alone_is_marked(transaction):
    raw = b"Subject:" + b"\r\n " * 3000 + b"end\r\n" + BODY
    after = result(transaction(raw), [Finding("spamd", "X", 7.0)], Marks(spam=False))
    assert Message(after).text(b"subject").startswith("***SPAM***")
    assert after.replace(b"***SPAM***", b"") == raw


FILE = b"X-Spam-Type: x\r\nContent-Type: application/zip\r\nSubject: s\r\n\r\nPK"


@pytest.mark.parametrize(
    ("span", "act", "made"),
    [
        ((16, 31), Act.STRIP, b"[]Subject: s\r\n\r\nPK"),  # beside what goes anyway
        ((0, 47), Act.STRIP, b"[]Subject: s\r\n\r\nPK"),  # around it: taking out goes first
        ((0, 47), Act.EDIT, b"Content-Type: application/zip\r\nSubject: s\r\n\r\nPK"),  # the removal goes first
        ((47, 0), Act.STRIP, b"Content-Type: application/zip\r\n[]Subject: s\r\n\r\nPK"),
    ],
)
def test_of_edits_that_meet_the_one_that_takes_out_is_made(transaction, span, act, made):
    found = Finding("attachments", "r", actions=(Action(act, "attachments.r", "x", Edit(*span, b"[]")),))
    assert result(transaction(FILE), [found]) == made


def test_taking_out_goes_before_the_change_of_a_field_within(transaction):
    taken = Finding("attachments", "r", actions=(Action(Act.STRIP, "attachments.r", "x", Edit(16, 31, b"[]")),))
    field = Finding("filters", "a", actions=(Action(Act.EDIT, "filters.a", "", Edit(20, 3, b"!")),))
    assert result(transaction(FILE), [field, taken]) == b"[]Subject: s\r\n\r\nPK"
