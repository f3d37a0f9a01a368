import math

from hypothesis import given
from hypothesis import strategies as st

from mpp.mail.edits import apply_edits
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.verdict.decide import decide
from mpp.verdict.finding import NOTES, Counts, Finding, OnFailure, Verdict
from mpp.verdict.plan import Disposition
from mpp.verdict.policy import Marks, Policy
from mpp.verdict.transaction import Transaction

ADDRESSES = [f"{name}@example.com" for name in "abc"]
TEXT = st.one_of(st.sampled_from(["", "spamd", "clamd", *sorted(NOTES)]), st.text(max_size=20))
FINDINGS = st.lists(
    st.builds(
        Finding,
        check=TEXT,
        symbol=TEXT,
        score=st.one_of(st.sampled_from([0.0, 5.0, 6.2, 15.0]), st.floats()),
        text=TEXT,
        evidence=TEXT,
        verdict=st.sampled_from([None, None, *Verdict]),
        failure=st.sampled_from([None, None, None, *OnFailure]),
        recipients=st.one_of(st.just(frozenset()), st.frozensets(st.sampled_from([*ADDRESSES, "other@x"]))),
        refusal=st.one_of(st.just(""), st.sampled_from(["552 5.3.4 Too large", "451 4.3.4 Later"]), TEXT),
        listed=st.none(),
        counts=st.just(Counts.FULL),
        limit=st.just(""),
        actions=st.just(()),
    ),
    max_size=6,
)
THRESHOLD = st.one_of(st.none(), st.sampled_from([-5.0, 0.0, 5.0, 6.2, 15.0]))
POLICIES = st.builds(
    Policy,
    tag_above=THRESHOLD,
    mark_above=THRESHOLD,
    reject_above=THRESHOLD,
    discard_above=THRESHOLD,
    report=st.booleans(),
    virus=st.sampled_from(["reject", "discard"]),
    unchecked=st.sampled_from(["deliver", "reject", "defer"]),
)
HEADERS = st.lists(
    st.sampled_from([
        b"Subject: a\r\n", b"Subject:\r\n b\r\n", b"X-Spam-Flag: YES\r\n", b"X-Virus-Scanned: y\r\n", b"To: x\r\n", b" odd\r\n",
        b"Authentication-Results: mx.example.com; a=b\r\n", b"\xff\x00: z\r\n",
    ]),
    max_size=6,
).map(lambda fields: b"".join(fields) + b"\r\nbody\r\n")  # fmt: skip


@st.composite
def transactions(draw):
    recipients = draw(st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=4))
    raw = draw(HEADERS)
    return Transaction(
        id="id",
        envelope=Envelope("s@example.org", tuple(map(Recipient, recipients))),
        client=Client("192.0.2.1"),
        message=draw(st.sampled_from([None, Message(raw)])),
        size=len(raw),
        listener="mx",
        stage=draw(st.sampled_from(["edge", "proxy", "after-queue"])),
        direction="inbound",
        trusted=draw(st.booleans()),
        ours=draw(st.frozensets(st.sampled_from(ADDRESSES))),
        policies={address: (draw(st.sampled_from("pq")) + address[0], draw(POLICIES)) for address in ADDRESSES},
        hostname="mx.example.com",
    )


@given(transactions(), FINDINGS, st.booleans(), st.booleans())
def test_every_recipient_has_one_fate_that_can_be_carried_out(transaction, findings, spam, always):
    plan = decide(transaction, Marks(spam=spam, always=always), findings)
    assert set(plan.fates) == {recipient.address for recipient in transaction.envelope.recipients}
    assert math.isfinite(plan.score)
    assert plan.why
    assert all(sentence.isprintable() for sentence in plan.why)
    for fate in plan.fates.values():
        answered = fate.disposition in (Disposition.REJECT, Disposition.DEFER)
        assert bool(fate.reply) == answered
        if fate.reply:
            code, enhanced, text = fate.reply.split(" ", 2)
            assert code[0] == enhanced[0] == ("5" if fate.disposition is Disposition.REJECT else "4")
            assert text.isascii()
            assert text.isprintable()
            assert len(fate.reply) < 480
        assert not fate.edits or fate.disposition in (Disposition.DELIVER, Disposition.TAG)
        if transaction.message:
            after = b"".join(apply_edits(transaction.message.raw, fate.edits))
            assert after.endswith(b"body\r\n")
        if transaction.stage == "after-queue":
            assert fate.disposition is not Disposition.REJECT


@given(transactions(), FINDINGS, st.randoms(use_true_random=False))
def test_the_order_of_findings_has_no_effect(transaction, findings, random):
    shuffled = list(findings)
    random.shuffle(shuffled)
    assert decide(transaction, Marks(), shuffled) == decide(transaction, Marks(), findings)


@given(transactions(), FINDINGS)
def test_deciding_is_pure(transaction, findings):
    before = repr(findings)
    assert decide(transaction, Marks(), findings) == decide(transaction, Marks(), findings)
    assert repr(findings) == before


@given(transactions(), FINDINGS)
def test_marks_are_put_once_however_often(transaction, findings):
    """A message that comes back to us carries one set of marks, and the subject one mark."""
    if transaction.message is None:
        return
    for address, fate in decide(transaction, Marks(), findings).fates.items():
        if address not in transaction.ours or fate.disposition not in (Disposition.DELIVER, Disposition.TAG):
            continue  # it leaves without marks, or not at all
        after = Message(b"".join(apply_edits(transaction.message.raw, fate.edits)))
        assert len(after.values(b"x-spam-flag")) <= 1 or transaction.trusted
        assert after.text(b"subject").count("***SPAM***") <= 1


@given(transactions(), FINDINGS)
def test_what_runs_in_shadow_changes_no_fate(transaction, findings):
    without = [finding for finding in findings if finding.counts is not Counts.NOTHING]
    assert decide(transaction, Marks(), findings).fates == decide(transaction, Marks(), without).fates


@given(transactions(), FINDINGS)
def test_what_only_marks_withholds_nothing(transaction, findings):
    """Taken away, the findings that only mark change marks at most: no mail is withheld that was not without them."""
    limited = [
        each._replace(counts=Counts.MARKS, refusal="", failure=None)
        for each in findings
        if each.verdict in (None, Verdict.VIRUS, Verdict.BANNED) and each.score >= 0
    ]
    rest = [each._replace(counts=Counts.FULL) for each in findings if each.score == 0 and each.verdict is None]
    goes_on = (Disposition.DELIVER, Disposition.TAG)
    alone = decide(transaction, Marks(), rest).fates
    for address, fate in decide(transaction, Marks(), [*rest, *limited]).fates.items():
        assert fate.disposition in goes_on or alone[address].disposition not in goes_on
