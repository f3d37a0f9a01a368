"""Which layers run for which mail, what ends them, and what is never spared."""

from dataclasses import replace

import pytest

from mpp.checks.campaigns.memory import Memory
from mpp.checks.campaigns.settings import Campaigns
from mpp.checks.layers.conditions import settled, why_not, why_stop
from mpp.checks.layers.judge import Judged, Layers, Terms
from mpp.checks.layers.scale import Scale
from mpp.checks.layers.settings import Layer, Vote
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.net.shared import Learned
from mpp.verdict.decide import decide
from mpp.verdict.finding import NOT_ASKED, SCANNER_FAILED, Act, Action, Counts, Finding, OnFailure, Verdict
from mpp.verdict.plan import Plan
from mpp.verdict.policy import Marks, Policy
from mpp.verdict.reasons import saw
from mpp.verdict.transaction import Transaction

PLAIN = b"Subject: x\r\n\r\nbody\r\n"
ATTACHED = (
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n'
    b"Content-Type: application/pdf\r\n\r\n%PDF\r\n--b--\r\n"
)
HIDDEN = ATTACHED.replace(b'boundary="b"', b"boundary=a; boundary=b")  # only some programs see it


def transaction(*recipients: str, policy: str = "default", direction: str = "inbound") -> Transaction:
    addresses = recipients or ("r@example.com",)
    return Transaction(
        id="id1",
        envelope=Envelope("s@example.org", tuple(map(Recipient, addresses))),
        client=Client("192.0.2.7"),
        message=None,
        size=1,
        listener="edge",
        stage="edge",
        direction=direction,
        trusted=False,
        ours=frozenset(addresses),
        policies={address: (policy, Policy()) for address in addresses},
        hostname="mx.example.com",
    )


def points(score: float, check: str = "a", **more: object) -> Finding:
    return Finding(check, "POINTS", score, **more)


@pytest.mark.parametrize(
    ("settings", "raw", "case", "found", "reason"),
    [
        ({}, PLAIN, {}, [], ""),
        ({"size_from": 21}, PLAIN, {}, [], "layers.l is for messages of 21 octets and more"),
        ({"size_from": 20}, PLAIN, {}, [], ""),
        ({"size_below": 20}, PLAIN, {}, [], "layers.l is for messages below 20 octets"),
        ({"size_below": 21}, PLAIN, {}, [], ""),
        ({"direction": "outbound"}, PLAIN, {}, [], "layers.l is for outbound mail"),
        ({"direction": "outbound"}, PLAIN, {"direction": "outbound"}, [], ""),
        ({"policies": ("strict",)}, PLAIN, {}, [], "layers.l is for the policies strict"),
        ({"policies": ("strict",)}, PLAIN, {"policy": "strict"}, [], ""),
        ({"attachment": "with"}, PLAIN, {}, [], "layers.l is for mail with attachments"),
        ({"attachment": "with"}, ATTACHED, {}, [], ""),
        ({"attachment": "with"}, HIDDEN, {}, [], ""),
        ({"attachment": "without"}, ATTACHED, {}, [], "layers.l is for mail without attachments"),
        ({"score_from": 2}, PLAIN, {}, [points(1.9)], "layers.l is for scores from 2, and it was 1.9"),
        ({"score_from": 2}, PLAIN, {}, [points(1.9), points(0.1)], ""),
        ({"score_from": 2, "score_below": 8}, PLAIN, {}, [points(8)], "layers.l is for scores from 2 and below 8, and it was 8"),
        ({"score_below": 8}, PLAIN, {}, [points(9, counts=Counts.NOTHING)], ""),
        ({"score_from": 2}, PLAIN, {}, [points(3, recipients=frozenset({"r@example.com"}))], ""),
    ],
)  # fmt: skip
def test_why_a_layer_does_not_run(settings, raw, case, found, reason) -> None:
    layer = Layer(name="l", scanners=("a",), **settings)
    assert why_not(layer, Message(raw), transaction(**case), found) == reason


def test_one_doubtful_recipient_is_enough() -> None:
    layer = Layer(name="l", scanners=("a",), score_from=2, score_below=8)
    found = [points(1), points(4, recipients=frozenset({"b@x.example"}))]
    case = transaction("a@x.example", "b@x.example")
    assert why_not(layer, Message(PLAIN), case, found) == ""
    assert why_not(layer, Message(PLAIN), case, found[:1]) == "layers.l is for scores from 2 and below 8, and it was 1"


VIRUS = Finding("a", "Eicar", verdict=Verdict.VIRUS)
LISTED = Finding("a", "DNSWL_HI", -5.0)


@pytest.mark.parametrize(
    ("settings", "found", "stopped"),
    [
        (None, [VIRUS], ("a virus or banned content is found already", True)),
        (None, [points(99), LISTED], ("", False)),
        ({"stop_virus": False}, [VIRUS], ("", False)),
        ({}, [Finding("a", "Eicar", verdict=Verdict.VIRUS, counts=Counts.MARKS)], ("", False)),
        ({"stop_spam": 10.0}, [points(10)], ("10 reaches layers.l.stop_spam = 10", False)),
        ({"stop_spam": 10.0}, [points(9.9)], ("", False)),
        ({"stop_spam": 10.0}, [points(50, counts=Counts.MARKS)], ("", False)),
        ({"stop_spam": 10.0}, [points(50, recipients=frozenset({"other@x.example"}))], ("", False)),
        ({"stop_ham": ("DNSWL_*",)}, [LISTED], ("DNSWL_HI is in layers.l.stop_ham", False)),
        ({"stop_ham": ("DNSWL_*",)}, [points(1)], ("", False)),
        ({"stop_ham": ("*",)}, [points(1)], ("", False)),
        ({"stop_ham": ("DNSWL_*",)}, [Finding("a", "DNSWL_HI", -5, counts=Counts.NOTHING)], ("", False)),
        ({"stop_ham": ("DNSWL_*",)}, [Finding("a", "DNSWL_HI", -5, recipients=frozenset({"a@x"}))], ("", False)),
    ],
)  # fmt: skip
def test_what_ends_the_layers(settings, found, stopped) -> None:
    layer = None if settings is None else Layer(name="l", scanners=("a",), **settings)
    assert why_stop(layer, transaction(), found) == stopped


class Fake:
    """A check that gives fixed findings and remembers that it was asked."""

    layer = 1

    def __init__(self, name: str, *findings: Finding, spam: bool = True) -> None:
        self.name, self.spam, self.found, self.asked = name, spam, list(findings), 0

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        self.asked += 1
        return self.found

    def failed(self, server: str, cause: str) -> Finding:
        raise AssertionError(cause)


def layer(name: str, *scanners: str, **more: object) -> Layer:
    return Layer(name=name, scanners=scanners, **more)


@pytest.mark.parametrize(
    ("first", "middle", "asked"),
    [
        ([points(9, "cheap")], {"stop_spam": 8.0}, (1, 1, 0)),
        ([points(3, "cheap")], {"stop_spam": 8.0}, (1, 1, 1)),
        ([Finding("cheap", "WL", -3.0)], {"stop_ham": ("WL",)}, (1, 1, 0)),
        ([Finding("cheap", "X", verdict=Verdict.BANNED)], {}, (1, 0, 0)),
    ],
)
async def test_sure_spam_and_ham_spare_spam_scanners_and_never_a_virus_scanner(first, middle, asked) -> None:
    checks = Fake("cheap", *first), Fake("av", spam=False), Fake("slow")
    layers = Layers(checks, [layer("one", "cheap", **middle), layer("two", "av"), layer("three", "slow")])
    judged = await layers.judge(Message(PLAIN), transaction(), 5)
    assert tuple(check.asked for check in checks) == asked
    assert [run.check for run in judged.runs] == [check.name for check in checks if check.asked]
    spared = [finding for finding in judged.findings if finding.symbol == NOT_ASKED]
    assert [finding.check for finding in spared] == [check.name for check in checks if not check.asked]
    assert all(finding.evidence for finding in spared)


async def test_layers_run_in_the_order_of_the_file_for_the_doubtful_middle() -> None:
    for score, asked in ((0.5, 0), (4.0, 1), (12.0, 0)):
        slow = Fake("slow", points(1, "slow"))
        layers = Layers(
            [slow, Fake("cheap", points(score, "cheap"))],
            [layer("one", "cheap"), layer("two", "slow", score_from=2, score_below=10)],
        )
        judged = await layers.judge(Message(PLAIN), transaction(), 5)
        assert slow.asked == asked
        assert judged.findings[0].check == "cheap"


async def test_a_virus_that_is_not_confirmed_yet_ends_nothing() -> None:
    for second, counts in (((), Counts.MARKS), ((Finding("b", "Eicar", verdict=Verdict.VIRUS),), Counts.FULL)):
        checks = Fake("a", VIRUS, spam=False), Fake("b", *second, spam=False), Fake("c", spam=False)
        vote = Vote(name="two-of-three", scanners=("a", "b", "c"))
        layers = Layers(checks, [layer("one", "a"), layer("two", "b"), layer("three", "c")], [vote])
        judged = await layers.judge(Message(PLAIN), transaction(), 5)
        assert checks[1].asked == 1
        assert checks[2].asked == (0 if second else 1)
        assert judged.findings[0].counts is counts


async def test_shadow_and_scale_are_put_on_what_a_check_says() -> None:
    checks = Fake("a", points(8, "a")), Fake("new", points(50, "new"))
    terms = {"a": Terms(Scale(weight=0.5)), "new": Terms(shadow=True)}
    judged = await Layers(checks, terms=terms).judge(Message(PLAIN), transaction(), 5)
    assert [(each.score, each.counts, each.limit) for each in judged.findings] == [
        (4.0, Counts.FULL, ""),
        (50.0, Counts.NOTHING, "scanners.new.shadow"),
    ]


CONTENT = b"Subject: x\r\n\r\n" + b" ".join(b"word%c%c" % (97 + n % 26, 97 + n // 26) for n in range(200)) + b"\r\n"


def remembering(*checks: Fake) -> Layers:
    return Layers(checks, memory=Memory(Campaigns(envelopes=2, recheck=100), Learned(1), 0))


async def send(layers: Layers, number: int, **case: object) -> tuple[Judged, Plan]:
    """A message by the way of the pipeline: judged, decided, learnt."""
    sent = transaction(**case)
    sent.envelope = replace(sent.envelope, reverse_path=f"sender{number}@example.org")
    judged = await layers.judge(Message(CONTENT), sent, 5)
    plan = decide(sent, Marks(), judged.findings)
    layers.learn(judged, sent, plan)
    return judged, plan


async def test_a_campaign_is_decided_without_the_spam_scanners_alone() -> None:
    slow, av = Fake("slow", points(9, "slow")), Fake("av", points(2, "av"), spam=False)
    layers = remembering(slow, av)
    plans = [(await send(layers, number))[1] for number in range(8)]
    assert 2 <= slow.asked <= 5
    assert av.asked == 8
    judged, plan = await send(layers, 9)
    assert {each.symbol: each.score for each in judged.findings} == {NOT_ASKED: 0.0, "POINTS": 2.0, "CAMPAIGN": 9.0}
    assert {(each.verdict, each.score) for each in plans} == {(plan.verdict, plan.score)} == {(Verdict.SPAM, 11.0)}
    assert any("found spam by the scanners again and again" in sentence for sentence in (saw(judged.findings[-1]),))


@pytest.mark.parametrize(
    ("found", "case"),
    [
        ([points(9, "slow")], {"direction": "outbound"}),
        ([points(5, "slow")], {}),
        ([points(9, "slow", counts=Counts.MARKS)], {}),
        ([Finding("slow", "X", verdict=Verdict.SPAM)], {}),
        ([points(9, "slow"), Finding("slow", SCANNER_FAILED, failure=OnFailure.CONTINUE)], {}),
    ],
)
async def test_what_teaches_the_memory_nothing(found: list[Finding], case: dict[str, object]) -> None:
    slow = Fake("slow", *found)
    layers = remembering(slow)
    for number in range(10):
        await send(layers, number, **case)
    assert slow.asked == 10


async def test_ham_by_the_scanners_closes_the_memory_to_a_text() -> None:
    slow = Fake("slow")
    layers = remembering(slow)
    await send(layers, 0)
    slow.found = [points(9, "slow")]
    for number in range(1, 10):
        await send(layers, number)
    assert slow.asked == 10


def ruled(act: Act, **more: object) -> Finding:
    return Finding("filters", "r", actions=(Action(act, "filters.r"),), **more)


@pytest.mark.parametrize(
    ("found", "reason", "virus_too"),
    [
        ([ruled(Act.REJECT)], "filters.r holds", True),
        ([ruled(Act.DISCARD)], "filters.r holds", True),
        ([ruled(Act.ACCEPT)], "filters.r holds", False),
        ([ruled(Act.QUARANTINE)], "", False),
        ([ruled(Act.REJECT, recipients=frozenset({"a@x"}))], "", False),
        ([ruled(Act.REJECT, recipients=frozenset({each})) for each in ("a@x", "b@x")], "filters.r holds", True),
        ([ruled(Act.REJECT, counts=Counts.NOTHING)], "", False),
        ([Finding("attachments", "r", verdict=Verdict.BANNED)], "attachments.r holds", True),
        ([Finding("attachments", "r", verdict=Verdict.BANNED, recipients=frozenset({"a@x"}))], "", False),
    ],
)
def test_what_a_rule_settles_for_everybody_is_not_scanned(found, reason, virus_too):
    assert settled(transaction("a@x", "b@x"), found) == (reason, virus_too)


def test_what_the_policy_holds_as_banned_is_scanned_all_the_same():
    """Whoever releases it later has to know whether a virus is in it."""
    held = {each: ("held", Policy(banned=action)) for each, action in (("a@x", "reject"), ("b@x", "quarantine"))}
    found = [Finding("attachments", "r", verdict=Verdict.BANNED)]
    assert settled(replace(transaction("a@x", "b@x"), policies=held), found) == ("", False)
