"""What rules for attachments do to a mail: fates, notes, names, and what is held whole because it cannot be edited."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from mpp.checks.attachments.acting import act
from mpp.checks.attachments.item import Flag, Item
from mpp.checks.attachments.mails import attached_files
from mpp.checks.attachments.note import _WORDS, Notes, Taken
from mpp.checks.attachments.policy import Rulebook
from mpp.checks.attachments.settings import AttachmentRule, Inspection
from mpp.mail.edits import apply_edits
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.line_ends import normalise
from mpp.mail.message import Message
from mpp.verdict.decide import decide
from mpp.verdict.finding import Act, Action, Finding, Verdict
from mpp.verdict.plan import Disposition, Fate
from mpp.verdict.policy import Marks, Policy
from mpp.verdict.transaction import Transaction

BOB = "bob@example.org"
MAIL = (
    b'Subject: s\r\nX-Spam-Flag: NO\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nHello\r\n'
    b'--b\r\nContent-Type: application/x-thing; name="a.exe"\r\n\r\nMZ-a\r\n--b\r\n'
    b'Content-Disposition: attachment; filename="b.docm"\r\n\r\nPK-b\r\n--b--\r\n'
)
ITEMS = (
    Item("2", "a.exe", "application/x-thing", "application/x-executable", 4, "0", frozenset({Flag.EXECUTABLE})),
    Item("3", "b.docm", "text/plain", "application/zip", 4, "0", frozenset({Flag.MACRO})),
    Item("3/in.bin", "in.bin", "", "text/plain", 4, "0", frozenset(), 1),
)


def findings(*rules: dict[str, Any], raw: bytes = MAIL, items: Any = ITEMS, **inspection: Any) -> list[Finding]:
    book = Rulebook([AttachmentRule.model_validate({"name": f"r{n}", **each}) for n, each in enumerate(rules)], {})
    message = Message(raw)
    rulings = book.judge(range(len(rules)), items)
    return act(rulings, message, transaction(message), Inspection(**inspection), {})


def transaction(message: Message) -> Transaction:
    return Transaction(
        id="0123abcd", envelope=Envelope("", (Recipient(BOB),)), client=Client("192.0.2.1"), message=message, size=0, listener="",
        stage="edge", direction="inbound", trusted=False, ours=frozenset({BOB}), policies={BOB: ("default", Policy())},
        hostname="mpp.example", contact="help@example.org",
    )  # fmt: skip


def fate(found: list[Finding], raw: bytes = MAIL) -> Fate:
    return decide(transaction(Message(raw)), Marks(), found).fates[BOB]


def changed(found: list[Finding], raw: bytes = MAIL) -> Message:
    return Message(b"".join(apply_edits(raw, fate(found, raw).edits)))


@pytest.mark.parametrize(
    ("action", "disposition", "rule"),
    [
        ("reject", Disposition.REJECT, "attachments.r0"),
        ("quarantine", Disposition.QUARANTINE, "attachments.r0"),
        ("discard", Disposition.DISCARD, "attachments.r0"),
        ("ban", Disposition.REJECT, "policies.default.banned"),
        ("note", Disposition.DELIVER, "policies.default"),
        ("allow", Disposition.DELIVER, "policies.default"),
    ],
)
def test_a_fate_is_what_the_rule_says_and_a_change_beside_it_is_not_made(
    action: Any, disposition: Any, rule: str
) -> None:
    found = findings({"names": ["a.exe"], "action": action}, {"names": ["*.zip"], "action": "strip"})
    assert (fate(found).disposition, fate(found).rule, fate(found).held_too) == (disposition, rule, "")


def test_a_refusal_names_the_file_and_lets_nothing_of_it_act() -> None:
    named = (Item("2", "{contact}\r\nä.exe", "", "x", 4, "0", frozenset()),)
    assert fate(findings({"action": "reject"}, items=named)).reply == (
        "554 5.7.1 Message refused, attachment not allowed here ((contact)\\x0d\\x0a\\u00e4.exe), id {id}"
    )


def test_a_virus_goes_before_what_a_rule_allows_discards_or_strips() -> None:
    virus = Finding("clamav", "Eicar", verdict=Verdict.VIRUS)
    for action in ("allow", "discard", "strip", "quarantine"):
        assert fate([*findings({"action": action}), virus]).rule == "policies.default.virus"


def test_each_part_is_changed_by_its_own_rule() -> None:
    found = findings(
        {"flags": ["executable"], "action": "strip"}, {"flags": ["macro"], "action": "rename", "suffix": ".x"}
    )
    made = changed(found)
    assert [part.name for part in made.leaves()] == [None, None, "b.docm.x"]
    assert made.leaves()[2].decode() == b"PK-b"
    assert "Name: a.exe\nSize: 4 bytes\nReason: it is or contains a program\n" in made.leaves()[1].text()
    assert fate(found).held_too == "attachments.r0"
    assert made.field(b"x-spam-flag") is None
    assert not fate(findings({"flags": ["macro"], "action": "rename"})).held_too


def test_of_two_rules_for_one_part_the_one_that_takes_more_acts() -> None:
    found = findings({"names": ["b.docm"], "action": "rename"}, {"names": ["in.bin"], "action": "strip"})
    assert [each.symbol for each in found] == ["r1"]
    assert b"PK-b" not in changed(found).raw


def test_text_only_leaves_the_text_and_one_note() -> None:
    made = changed(findings({"flags": ["macro"], "action": "text-only"}))
    assert [part.type for part in made.leaves()] == ["text/plain"] * 2
    hello, note = (part.text() for part in made.leaves())
    assert hello == "Hello"
    assert "Name: a.exe" in note
    assert "Name: b.docm" in note


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_text_only_leaves_no_multipart_without_parts(end: bytes) -> None:
    picture = b"--i\r\nContent-Type: image/png\r\n\r\npicture\r\n"
    related = b'--b\r\nContent-Type: multipart/related; boundary="i"\r\n\r\n' + picture * 2 + b"--i--\r\n"
    raw = MAIL.replace(b"--b--\r\n", related + b"--b\r\n\r\nBye\r\n--b--\r\n").replace(b"\r\n", end)
    made = changed(findings({"flags": ["macro"], "action": "text-only"}, raw=raw), raw)
    assert [part.path for part in made.leaves()] == ["1", "2", "3.1", "4"]
    assert [part.text() for part in made.leaves()][2:] == ["", "Bye"]
    assert b"picture" not in made.raw


def test_macros_that_cannot_be_removed_take_the_document_with_them() -> None:
    found = findings({"flags": ["macro"], "action": "remove-macros"})
    assert "since its macros cannot be removed safely" in found[0].actions[0].value
    assert b"PK-b" not in changed(found).raw


@pytest.mark.parametrize("path", ["2.5", "9", "a.zip"])
def test_what_stands_in_no_place_of_its_own_is_held_whole(path: str) -> None:
    found = findings({"action": "strip"}, items=(Item(path, "x", "", "x", 4, "0", frozenset()),))
    assert [action.act for each in found for action in each.actions] == [Act.QUARANTINE]
    assert fate(found).disposition is Disposition.QUARANTINE


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_a_note_says_all_in_each_language(language: Any) -> None:
    assert _WORDS[language].keys() == _WORDS["en"].keys()
    causes = [*(flag.value for flag in Flag), "type", "name", "size", "list", "all"]
    files = [Taken(f"<b>\x1b{cause}.exe", 5, cause) for cause in causes]
    notes = Notes([language], "0123abcd", "help@example.org", html=True)
    header, body = notes.part("removed", files)
    plain, page = (part.text() for part in Message(header + b"\r\n" + body).leaves())
    assert plain.isascii() is (language == "en")
    for text in (plain, page):
        assert "\x1b" not in text
        assert text.count(".exe") == len(causes)
        assert "0123abcd" in text
        assert "help@example.org" in text
    assert "<b>" not in page
    assert len(set(re.findall(rf"{_WORDS[language]['reason']}: (.*)", plain))) == len(causes)


def test_a_note_of_thousands_of_files_stays_short() -> None:
    notes = Notes(["en", "de"], "1", "x", html=False)
    body = notes.part("flattened", [Taken("x" * 5000, 1, "all")] * 5000)[1]
    assert len(body) < 20_000


HIDDEN = base64.encodebytes(b"MZ" + bytes(60)).replace(b"\n", b"\r\n")


@pytest.mark.parametrize("action", ["strip", "text-only"])
def test_a_file_that_another_reading_shows_too_is_not_taken_out_but_held(action: str) -> None:
    """The same octets once more, behind a second boundary that other programs go by."""
    part = b"Content-Type: application/x; name=a.exe\r\nContent-Transfer-Encoding: base64\r\n\r\n" + HIDDEN
    raw = b"Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n--a\r\n\r\nhello\r\n--a\r\n"
    raw += part + b"--a--\r\n--b\r\n" + part + b"--b--\r\n"
    items = (
        Item("2", "a.exe", "", "x", 1, "0", frozenset()),
    )  # that of the other reading is the same, and so not told apart
    found = findings({"action": action}, raw=raw, items=items)
    assert fate(found, raw).disposition is Disposition.QUARANTINE
    assert "in another reading of it the file would still be there" in found[0].text
    usual = raw.replace(b"; boundary=b", b"").replace(b"--b", b"--c")
    assert fate(findings({"action": action}, raw=usual, items=items), usual).disposition is Disposition.TAG


FORWARDED = (
    b'Subject: s\r\nContent-Type: multipart/mixed; boundary="o"\r\n\r\n--o\r\n\r\nHello\r\n--o\r\n'
    b"Content-Type: message/rfc822\r\n\r\n" + MAIL + b"\r\n--o--\r\n"
)
FORWARDED_ITEMS = (
    Item("2", "mail.eml", "message/rfc822", "message/rfc822", len(MAIL), "0", frozenset()),
    Item("2.2", "a.exe", "", "application/x-executable", 4, "0", frozenset({Flag.EXECUTABLE}), 1),
    Item("2.3", "b.docm", "", "application/zip", 4, "0", frozenset({Flag.MACRO}), 1),
)


def test_an_attached_mail_goes_with_all_that_is_in_it_whatever_rules_say_of_that() -> None:
    found = findings(
        {"flags": ["executable"], "action": "strip"},
        {"names": ["*.docm"], "action": "rename"},
        {"names": ["*.eml"], "action": "strip"},
        raw=FORWARDED,
        items=FORWARDED_ITEMS,
    )
    made = changed(found, FORWARDED)
    assert [part.path for part in made.leaves()] == ["1", "2"]
    assert "Name: mail.eml" in made.leaves()[1].text()


def test_files_of_an_attached_mail_lie_inside() -> None:
    found = findings({"nested": "inside", "action": "strip"}, raw=FORWARDED, items=FORWARDED_ITEMS)
    assert [part.path for part in changed(found, FORWARDED).leaves()] == ["1", "2.1", "2.2", "2.3"]
    assert b"MZ-a" not in changed(found, FORWARDED).raw


@pytest.mark.parametrize("action", ["strip", "text-only"])
def test_a_text_with_a_file_in_it_is_taken_out(action: str) -> None:
    raw = b"Subject: s\r\n\r\nwords\r\nbegin 644 a.exe\r\n#86%A\r\n`\r\nend\r\n"
    items = (Item("1", "a.exe", "", "x", 3, "0", frozenset()),)
    made = changed(findings({"action": action}, raw=raw, items=items), raw)
    assert b"#86%A" not in made.raw
    assert "Name: a.exe" in made.leaves()[0].text()


def test_a_mail_that_is_an_encoded_mail_keeps_its_fields_and_is_marked() -> None:
    body = base64.encodebytes(MAIL).replace(b"\n", b"\r\n")
    raw = (
        b"From: a@b.c\r\nSubject: s\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body
    )
    items = (Item("1.2", "a.exe", "", "x", 4, "0", frozenset({Flag.EXECUTABLE}), 1),)
    found = findings({"action": "strip"}, raw=raw, items=items)
    marked = Finding("rule", "r", actions=(Action(Act.MARK, "filters.r", "[x] "),))
    made = changed([*found, marked], raw)
    assert (made.text(b"from"), made.text(b"subject")) == ("a@b.c", "[x] s")
    assert [part.type for part in made.leaves()] == ["text/plain"]


@pytest.mark.parametrize("action", ["strip", "text-only"])
def test_a_note_hides_no_text_that_it_is_an_alternative_of(action: str) -> None:
    raw = b"Subject: s\r\nContent-Type: Multipart/Alternative; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n"
    raw += b"Content-Type: text/calendar; name=a\r\n\r\nBEGIN\r\n--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--\r\n"
    items = tuple(Item(path, "a", "", "x", 5, "0", frozenset()) for path in ("2", "3"))
    made = changed(findings({"action": action}, raw=raw, items=items), raw)
    assert (made.root.type, made.root.parameters) == ("multipart/mixed", {"boundary": "b"})
    assert made.leaves()[0].text() == "Hello"
    assert changed(findings({"action": "rename"}, raw=raw, items=items), raw).root.type == "multipart/alternative"


@pytest.mark.corpus
def test_stripping_any_mail_leaves_a_mail_without_the_files(corpora: Path, soak: bool) -> None:
    """By rules, decision and edits, as in the gateway: what is no attachment is there as it was, and no reading has a file."""
    changes, wholes = 0, 0
    for file in sorted((corpora / "mime").rglob("*.eml"))[:: 1 if soak else 4]:
        raw = normalise(file.read_bytes())
        message = Message(raw)
        files = attached_files(message)
        items = [Item(each.path, each.name, each.declared, "x", 1, "0", frozenset()) for each in files]
        if not items:
            continue
        found = findings({"action": "strip"}, raw=raw, items=items)
        if fate(found, raw).disposition is Disposition.QUARANTINE:
            wholes += 1
            assert message.oddities, file.name
            continue
        changes += 1
        made = changed(found, raw)
        taken = {each.path for each in files}
        mails = [part for part in message.root.walk() if part.children and part.path in taken and part.content.message]
        within = {leaf.path for part in mails for leaf in part.leaves()}  # they go with the attached mail
        kept = [part.decode() for part in message.leaves() if part.path not in taken | within]
        again = [part.decode() for part in made.every_leaf()]
        gone = {each.data for each in files if len(each.data) > 8}
        assert (gone - set(kept)).isdisjoint(again), file.name
        for text in kept:
            assert text in again or any(part.nested for part in message.leaves()), file.name
    assert changes > 25
    assert wholes > 3
