"""The check: findings for each file, for whom they are, what could not be looked into, and when nobody could look."""

import asyncio
from typing import Any

import pytest

from mpp.checks.attachments.check import Attachments
from mpp.checks.attachments.inspector import Inspector
from mpp.checks.attachments.item import Flag, Item
from mpp.checks.attachments.mails import attached_files
from mpp.checks.attachments.policy import Rulebook
from mpp.checks.attachments.settings import AttachmentRule, Inspection
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.verdict.decide import decide
from mpp.verdict.finding import Finding, Verdict
from mpp.verdict.plan import Plan
from mpp.verdict.policy import Marks, Policy
from mpp.verdict.transaction import Transaction
from servers.attachments import PROGRAM, mail, zipped

BOB, CAROL = "bob@example.org", "carol@example.org"
MAIL = mail("a.zip", zipped({"run.exe": PROGRAM}))


class Said(Inspector):
    """Says what it is told to say of the first file, and counts."""

    def __init__(self, said: Any) -> None:
        self.said, self.asked = said, 0

    async def inspect(self, message: Message, *, passwords: bool, seconds: float) -> list[Item]:
        self.asked += 1
        if isinstance(self.said, Exception):
            raise self.said
        if self.said is None:
            await asyncio.Event().wait()
        return [
            Item(each.path, each.name, each.declared, "x", 1, "0", frozenset(self.said))
            for each in attached_files(message)
        ]


def judged(
    inspector: Inspector, *rules: dict[str, Any], raw: bytes = MAIL, **inspection: Any
) -> tuple[list[Finding], Plan]:
    made = [AttachmentRule.model_validate({"name": f"r{number}", **each}) for number, each in enumerate(rules)]
    check = Attachments(Rulebook(made, {}), Inspection(**inspection), inspector)
    message = Message(raw)
    transaction = Transaction(
        id="1", envelope=Envelope("", (Recipient(BOB), Recipient(CAROL))), client=Client("192.0.2.1"), message=message, size=0,
        listener="", stage="edge", direction="inbound", trusted=False, ours=frozenset({BOB, CAROL}),
        policies={each: ("default", Policy(unchecked="quarantine")) for each in (BOB, CAROL)}, hostname="mpp.example",
    )  # fmt: skip
    found = asyncio.run(check.judge(message, transaction, 0.2))
    return found, decide(transaction, Marks(), found)


def test_files_are_looked_into_and_told() -> None:
    found, plan = judged(Said({Flag.EXECUTABLE, Flag.MISMATCH}), {"names": ["none"]})
    assert [(each.check, each.symbol, each.verdict) for each in found] == [("attachments", "executable+mismatch", None)]
    assert found[0].text == "2: x, 1 octets"
    assert plan.verdict is Verdict.CLEAN


def test_mail_without_files_is_not_looked_into() -> None:
    said = Said({Flag.EXECUTABLE})
    assert judged(said, {}, raw=b"Subject: s\r\nContent-Type: text/html\r\n\r\n<p>\r\n")[0] == []
    assert said.asked == 0


@pytest.mark.parametrize(
    ("flag", "rules", "settings", "unchecked"),
    [
        (Flag.ENCRYPTED, [], {}, True),
        (Flag.UNCHECKED, [], {}, True),
        (Flag.MACRO, [], {}, False),
        (Flag.ENCRYPTED, [], {"unchecked": ["bomb"]}, False),
        (Flag.ENCRYPTED, [{"action": "allow"}], {}, False),
        (Flag.ENCRYPTED, [{"action": "note"}], {}, True),
    ],
)
def test_what_cannot_be_looked_into_is_unchecked_unless_a_rule_decides(
    flag: Flag, rules: Any, settings: Any, unchecked: bool
) -> None:
    _, plan = judged(Said({flag}), *rules, always=True, **settings)
    assert (plan.verdict is Verdict.UNCHECKED) is unchecked
    assert {fate.disposition for fate in plan.fates.values()} == {"quarantine" if unchecked else "deliver"}


def test_of_two_files_of_one_path_a_rule_decides_about_its_own() -> None:
    class Twice(Said):
        async def inspect(self, message: Message, *, passwords: bool, seconds: float) -> list[Item]:
            kinds: list[tuple[str, set[Flag]]] = [("image/png", set()), ("application/x-7z-compressed", {Flag.DAMAGED})]
            inner = [Item("2/a", "a", "", kind, 1, "0", frozenset(flags), 1) for kind, flags in kinds]
            return [Item("2", "a.zip", "", "application/zip", 1, "0", frozenset()), *inner]

    _, plan = judged(Twice(None), {"types": ["image/*"], "action": "allow"})
    assert plan.verdict is Verdict.UNCHECKED


def test_each_recipient_has_the_rules_that_are_for_them() -> None:
    found, plan = judged(Said({Flag.EXECUTABLE}), {"recipients": [BOB], "action": "reject"}, {"action": "strip"})
    assert {address: fate.disposition.value for address, fate in plan.fates.items()} == {BOB: "reject", CAROL: "tag"}
    assert plan.fates[CAROL].held_too == "attachments.r1"
    assert [each.recipients for each in found] == [frozenset(), {BOB}, {CAROL}]


@pytest.mark.parametrize("said", [OSError("no processes"), None], ids=["cannot start", "hangs"])
@pytest.mark.parametrize(
    ("on_failure", "fate"), [("defer", "defer"), ("quarantine", "quarantine"), ("continue", "deliver")]
)
def test_where_nobody_can_look_the_setting_says_what_that_means(said: Any, on_failure: Any, fate: str) -> None:
    _, plan = judged(Said(said), {"action": "strip"}, on_failure=on_failure)
    assert {each.disposition.value for each in plan.fates.values()} == {fate}
    assert any(f"inspection.on_failure = '{on_failure}'" in sentence for sentence in plan.why)


def test_the_inspector_serves_one_after_the_other_and_outlives_who_went_away() -> None:
    async def scene() -> list[list[Item]]:
        inspector = Inspector()
        message = Message(mail("a.exe", PROGRAM))
        leaving = asyncio.create_task(inspector.inspect(message, passwords=True, seconds=10))
        await asyncio.sleep(0)
        leaving.cancel()
        both = await asyncio.gather(*(inspector.inspect(message, passwords=True, seconds=10) for _ in range(2)))
        await inspector.close()
        return both

    assert [Flag.EXECUTABLE in each[0].flags for each in asyncio.run(scene())] == [True, True]
