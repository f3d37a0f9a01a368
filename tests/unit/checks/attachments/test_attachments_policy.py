"""Which rule for attachments holds for which file: criteria, order, what lies in what, and for whom."""

from typing import Any

import pytest

from mpp.checks.attachments.item import Flag, Item
from mpp.checks.attachments.policy import Rulebook
from mpp.checks.attachments.problems import attachment_problems
from mpp.checks.attachments.settings import AttachmentList, AttachmentRule
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.verdict.policy import Policy
from mpp.verdict.transaction import Transaction

EXE = "application/vnd.microsoft.portable-executable"
AMAVISD = AttachmentList(
    entries=(
        r"ban ^UNDECIPHERABLE$",
        r"ban ^\.(exe-ms|dll)$",
        r"pass ^\.(rpm|cpio|tar)$",
        r"ban .\.(pif|scr)$",
        r"pass ^\.zip$",
        r"ban ^application/x-msdownload$",
    )
)


def item(path: str, kind: str = "application/octet-stream", *flags: Flag, declared: str = "", size: int = 10) -> Item:
    return Item(path, path.rpartition("/")[2], declared, kind, size, "", frozenset(flags), path.count("/"))


def rules(*given: dict[str, Any]) -> tuple[AttachmentRule, ...]:
    return tuple(AttachmentRule.model_validate({"name": f"r{number}", **each}) for number, each in enumerate(given))


def names(book: Rulebook, *items: Item) -> dict[str, str]:
    judged = book.judge(range(len(book.rules)), items)
    return {each.item.path: each.rule.name for each in judged}


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({"names": ["*.EXE"]}, True),
        ({"names": ["a.*"]}, True),
        ({"names": ["*.ex"]}, False),
        ({"types": ["application/vnd.microsoft.*"]}, True),
        ({"types": ["image/*"]}, False),
        ({"above": 9}, True),
        ({"above": 10}, False),
        ({"flags": ["macro", "executable"]}, True),
        ({"flags": ["macro"]}, False),
        ({"nested": "outer"}, True),
        ({"nested": "inside"}, False),
        ({"names": ["*.exe"], "types": ["image/*"]}, False),
        ({"lists": ["amavisd"]}, True),
        ({}, True),
    ],
)
def test_all_that_a_rule_says_has_to_hold(rule: dict[str, Any], holds: bool) -> None:
    book = Rulebook(rules(rule), {"amavisd": AMAVISD})
    assert bool(names(book, item("a.exe", EXE, Flag.EXECUTABLE))) is holds


@pytest.mark.parametrize(
    "name",
    [
        "a.exe. .",
        "a.exe\0.txt",
        "folder\\a.exe",
        "../a.exe",
        "a.exe/",
        "a.exe::$DATA",
        "C:a.exe",
        "a.exe:b.txt",
        "a.exe?",
        "a.e\txe",
    ],
)
def test_a_name_is_taken_as_windows_takes_it(name: str) -> None:
    assert names(Rulebook(rules({"names": ["a.exe"]}), {}), Item("2", name, "", "x", 1, "", frozenset()))


@pytest.mark.parametrize("rule", [{"names": ["*.js"]}, {"lists": ["js"]}])
def test_each_of_its_names_is_asked(rule: dict[str, Any]) -> None:
    book = Rulebook(rules(rule), {"js": AttachmentList(entries=(r"ban \.js$",))})
    assert names(book, Item("2", "a.txt", "", "text/plain", 1, "", frozenset(), 0, "evil.js")) == {"2": "r0"}


@pytest.mark.parametrize(
    ("action", "holds"), [("ban", True), ("strip", True), ("note", True), ("allow", False), ("rename", False)]
)
def test_a_declared_type_counts_where_a_lie_lets_nothing_go_on(action: str, holds: bool) -> None:
    """What most programs call application/msword is application/x-ole-storage by its content."""
    book = Rulebook(rules({"types": ["application/msword"], "action": action}), {})
    document = item("2", "application/x-ole-storage", declared="Application/MSWord")
    assert (names(book, document) == {"2": "r0"}) is holds
    assert names(book, item("2", "application/msword", declared="image/png")) == {"2": "r0"}
    assert not names(book, item("2", "image/png", declared="application/octet-stream"))


def test_a_rule_behind_one_that_goes_by_the_content_may_still_hold_by_what_is_declared() -> None:
    def told(*actions: str) -> list[str]:
        given = rules(*({"types": ["image/*"], "action": action} for action in actions))
        return [problem.what for problem in attachment_problems(given, {}, set(), 1 << 20)]

    assert [bool(told(*each)) for each in (("allow", "ban"), ("ban", "allow"), ("allow", "rename"), ("ban", "strip"))] == [
        False, True, True, True,
    ]  # fmt: skip


def test_the_first_rule_that_holds_decides() -> None:
    book = Rulebook(rules({"names": ["good.*"], "action": "allow"}, {"flags": ["executable"]}), {})
    found = names(book, item("good.exe", EXE, Flag.EXECUTABLE), item("bad.exe", EXE, Flag.EXECUTABLE))
    assert found == {"good.exe": "r0", "bad.exe": "r1"}


def test_a_rule_that_only_tells_lets_the_next_decide() -> None:
    book = Rulebook(rules({"action": "note"}, {"names": ["*.exe"]}, {}), {})
    judged = book.judge(range(3), [item("a.exe"), item("b.txt")])
    assert [(each.item.path, each.rule.name) for each in judged] == [
        ("a.exe", "r0"),
        ("a.exe", "r1"),
        ("b.txt", "r0"),
        ("b.txt", "r2"),
    ]


def test_what_is_allowed_passes_with_all_inside_it_unless_an_earlier_rule_holds() -> None:
    book = Rulebook(
        rules(
            {"names": ["*.scr"]},
            {"types": ["application/x-tar"], "action": "allow"},
            {"flags": ["executable"], "action": "strip"},
        ),
        {},
    )
    found = names(
        book,
        item("2", "application/x-tar"),
        item("2/a.zip", "application/zip"),
        item("2/a.zip/b.exe", EXE, Flag.EXECUTABLE),
        item("2/c.scr", EXE, Flag.EXECUTABLE),
        item("3", EXE, Flag.EXECUTABLE),
    )
    assert found == {"2": "r1", "2/a.zip": "r1", "2/a.zip/b.exe": "r1", "2/c.scr": "r0", "3": "r2"}


def test_a_name_with_slashes_lies_in_no_other_file() -> None:
    """A zip of "a.png" and of "a.png/evil.exe": the second is no member of the first."""
    book = Rulebook(rules({"types": ["image/*"], "action": "allow"}, {"flags": ["executable"]}), {})
    program = Item("2/a.png/evil.exe", "a.png/evil.exe", "", EXE, 1, "", frozenset({Flag.EXECUTABLE}), 1)
    found = names(book, item("2", "application/zip"), item("2/a.png", "image/png"), program)
    assert found == {"2/a.png": "r0", "2/a.png/evil.exe": "r1"}


@pytest.mark.parametrize(
    ("items", "banned"),
    [
        ([item("a.exe", EXE)], "a.exe"),
        ([item("a.tar", "application/x-tar"), item("a.tar/b.exe", EXE)], "a.tar/b.exe"),  # banned anywhere
        ([item("b.pif")], "b.pif"),
        ([item("a.tar", "application/x-tar"), item("a.tar/b.pif")], ""),  # but for Unix archives
        ([item("a.zip", "application/zip"), item("a.zip/b.pif")], "a.zip/b.pif"),
        ([item("x", declared="application/x-msdownload")], "x"),
        ([item("a.zip", "application/zip"), item("a.zip/x", declared="application/x-msdownload")], ""),
        ([item("a.zip", "application/zip", Flag.ENCRYPTED)], "a.zip"),
        ([item("a.PIF")], "a.PIF"),
        ([item("a.txt", "text/plain")], ""),
    ],
)
def test_a_list_is_read_as_amavisd_reads_it(items: list[Item], banned: str) -> None:
    book = Rulebook(rules({"lists": ["amavisd"]}), {"amavisd": AMAVISD})
    assert names(book, *items) == ({banned: "r0"} if banned else {})


def test_a_pattern_that_takes_too_long_bans() -> None:
    slow = AttachmentList(entries=(r"ban ^(a+)+$",))
    assert names(Rulebook(rules({"lists": ["slow"]}), {"slow": slow}), item("a" * 200 + "b"))


def transaction(*recipients: str, sender: str = "ann@example.net", direction: Any = "inbound") -> Transaction:
    return Transaction(
        id="1", envelope=Envelope(sender, tuple(map(Recipient, recipients))), client=Client("192.0.2.1"), message=None,
        size=0, listener="", stage="edge", direction=direction, trusted=False, ours=frozenset(recipients),
        policies={each: ("strict" if each.startswith("s") else "default", Policy()) for each in recipients},
        hostname="mpp.example",
    )  # fmt: skip


def test_rules_are_for_those_that_they_name() -> None:
    book = Rulebook(
        rules(
            {"recipients": ["bob@example.org"]},
            {"recipients": [".example.org"]},
            {"policies": ["strict"]},
            {"senders": ["example.com"]},
            {"direction": "outbound"},
            {},
        ),
        {},
    )
    assert book.groups(transaction("bob@example.org", "Sue@x.example.org", "carol@example.net")) == {
        (0, 1, 5): ["bob@example.org"],
        (1, 5): ["Sue@x.example.org"],
        (5,): ["carol@example.net"],
    }
    assert book.groups(transaction("sue@a.example", sender="x@example.com", direction="outbound")) == {
        (2, 3, 4, 5): ["sue@a.example"]
    }


def test_blanks_around_a_pattern_are_no_part_of_it() -> None:
    known = AttachmentList(entries=(r"ban  \.exe$ ",))
    assert names(Rulebook(rules({"lists": ["known"]}), {"known": known}), item("a.exe")) == {"a.exe": "r0"}


def test_brackets_in_a_pattern_of_names_stand_for_themselves() -> None:
    book = Rulebook(rules({"names": ["report[1].*"]}), {})
    assert names(book, item("Report[1].pdf"), item("report1.pdf")) == {"Report[1].pdf": "r0"}


@pytest.mark.parametrize("entry", ["exe$", "ban", "ban (", "forbid x", "ban foo\\ "])
def test_an_entry_that_is_none_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"write|mend"):
        AttachmentList(entries=(entry,))
