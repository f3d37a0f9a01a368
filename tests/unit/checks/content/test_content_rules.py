import base64
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from mpp.checks.content import pcre
from mpp.checks.content.count import Count, read_counts
from mpp.checks.content.postfix.gate import Gate
from mpp.checks.content.problems import file_problems, filter_problems
from mpp.checks.content.ready import READY, is_right
from mpp.checks.content.rules import TOO_SLOW, Rules
from mpp.checks.content.settings import TEXT_OPTIONS, Content, Filter
from mpp.checks.content.times import read_times
from mpp.mail.edits import apply_edits
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.verdict.decide import decide
from mpp.verdict.finding import Finding, Verdict
from mpp.verdict.policy import Marks, Policy
from mpp.verdict.transaction import Transaction

NOON = datetime(2026, 11, 27, 12, 0).astimezone()  # a Friday
RAW = b"From: a@b.example\r\nSubject: buy 7 watches\r\nX-Old: 1\r\n\r\nHello, the word is ponzi.\r\n"


def rule(**keys) -> Filter:
    return Filter.model_validate({"name": "r", **keys})


def transaction_of(message: Message, *recipients: str, **more) -> Transaction:
    addresses = recipients or ("r@c.example",)
    keys = {
        "id": "1", "envelope": Envelope("s@b.example", tuple(map(Recipient, addresses))), "client": Client("192.0.2.1"),
        "message": message, "size": len(message.raw), "listener": "mx", "stage": "edge", "direction": "inbound",
        "trusted": False, "ours": frozenset(addresses), "policies": {}, "hostname": "mx.example",
    }  # fmt: skip
    return Transaction(**{**keys, **more})


def judged(filters, raw=RAW, *recipients, now=NOON, others=(), **more):
    message = Message(raw)
    transaction = transaction_of(message, *recipients, **more)
    findings = Rules(filters, Content()).examine(message, transaction, now)
    return findings, decide(transaction, Marks(virus_scanned=""), [*findings, *others])


def fate(filters, raw=RAW, **more):
    (fate,) = judged(filters, raw, **more)[1].fates.values()
    return fate


@pytest.mark.parametrize(
    ("keys", "holds"),
    [
        ({"match": ["watches"]}, True),
        ({"match": ["Watches"], "case": True}, False),
        ({"match": ["nothing", "watches"]}, True),
        ({"match": ["nothing"], "negate": True}, True),
        ({"where": "body", "match": ["^hello"]}, True),
        ({"where": "header:from", "match": ["b\\.example$"]}, True),
        ({"where": "sender", "match": ["^s@"]}, True),
        ({"where": "client", "match": ["^192\\.0\\.2\\."]}, True),
        ({"match": ["watches"], "conditions": [{"where": "body", "match": ["nothing"]}]}, False),
        ({"match": ["watches"], "of": "any", "conditions": [{"where": "body", "match": ["nothing"]}]}, True),
        (
            {"match": ["watches"], "of": 2, "conditions": [{"where": "body", "match": [x]} for x in ("ponzi", "no")]},
            True,
        ),
        (
            {"match": ["watches"], "of": 3, "conditions": [{"where": "body", "match": [x]} for x in ("ponzi", "no")]},
            False,
        ),
        ({"match": ["watches"], "direction": "outbound"}, False),
        ({"match": ["watches"], "times": ["Mon-Thu", "fri 13:00-14:00"]}, False),
        ({"match": ["watches"], "times": ["Mon-Fri 08:00-18:00"]}, True),
        ({"match": ["watches"], "recipients": [".example"]}, True),
        ({"match": ["watches"], "policies": ["strict"]}, False),
        ({"where": "body", "words": ["ponzi = 2", "hello = 1.5", "won = 9"], "words_above": 3.5}, True),
        ({"where": "body", "words": ["ponzi = 2", "wor = 5"], "words_above": 3}, False),
        ({"where": "body", "words": ["the word is"]}, True),
        ({"where": "body", "words": ["hello"], "case": True}, False),
        (
            {"where": "body", "words": ["Hello"], "case": True, "conditions": [{"where": "body", "words": ["WORD"]}]},
            True,
        ),
    ],
)
def test_when_a_rule_holds(keys, holds):
    assert bool(judged([rule(**keys)])[0]) is holds


def test_a_rule_on_recipients_holds_for_those_alone():
    findings, plan = judged(
        [rule(where="recipient", match=["^x@"], action="quarantine")], RAW, "x@c.example", "y@c.example"
    )
    assert findings[0].recipients == {"x@c.example"}
    assert [each.disposition for each in plan.fates.values()] == ["quarantine", "deliver"]


@pytest.mark.parametrize(
    ("keys", "disposition", "reply"),
    [
        ({"action": "reject", "text": "550 5.7.9 No $1 here"}, "reject", "550 5.7.9 No watches here"),
        ({"action": "reject", "text": "No $2{id}"}, "reject", "554 5.7.1 No {id}"),
        ({"action": "reject", "text": "451 later"}, "defer", "451 4.7.1 later"),
        ({"action": "quarantine"}, "quarantine", ""),
        ({"action": "discard"}, "discard", ""),
        ({"action": "note"}, "deliver", ""),
        ({"action": "tag"}, "tag", ""),
        ({"action": "score", "score": 15}, "reject", "554 5.7.1 Message refused as spam, contact postmaster, id {id}"),
        ({"action": "reject", "text": "no", "dry_run": True}, "deliver", ""),
    ],
)
def test_fates(keys, disposition, reply):
    got = fate([rule(match=["(watches)"], **keys)])
    assert (got.disposition, got.reply) == (disposition, reply)


def test_a_group_brings_no_placeholder_and_no_line_end_into_a_reply():
    raw = b"Subject: buy {id}\x07\xc3\xb6 now\r\n\r\n"
    got = fate([rule(match=["buy (.*)"], action="reject", text="550 no $1")], raw)
    assert got.reply.isascii()
    assert "{" not in got.reply


def test_redirect_and_copies():
    got = fate(
        [
            rule(match=["watches"], action=["redirect"], to=["o@d.example"]),
            rule(name="c", match=["7"], action="copy", to=["k@d.example"]),
        ]
    )
    assert (got.disposition, got.to, got.copies) == ("redirect", ("o@d.example",), ("k@d.example",))
    got = fate(
        [rule(match=["watches"], action=["reject"]), rule(name="c", match=["7"], action="copy", to=["k@d.example"])]
    )
    assert (got.disposition, got.copies) == ("reject", ())


def test_a_virus_goes_before_every_rule_and_accept_keeps_the_score_out():
    accept = [rule(match=["watches"], action="accept")]
    virus = Finding("clamd", "Eicar", verdict=Verdict.VIRUS)
    assert fate(accept, others=[virus]).disposition == "reject"
    assert fate(accept, others=[Finding("spamd", "BAYES_99", 50.0)]).disposition == "deliver"
    assert fate([rule(match=["watches"], action="quarantine")], others=[virus]).disposition == "reject"


def test_marks_and_fields():
    filters = [
        rule(match=["(watches)"], action=["mark", "header"], mark="[$1] ", header="X-Old: saw $1"),
        rule(name="p", match=["7"], action="prepend", header="X-New: é"),
    ]
    got = fate(filters)
    changed = b"".join(apply_edits(RAW, got.edits))
    assert b"Subject: [watches] buy 7 watches\r\n" in changed
    assert changed.startswith(b"X-New: =?utf-8?")
    assert changed.count(b"X-Old:") == 1
    assert b"X-Old: saw watches\r\n" in changed
    assert got.disposition == "tag"


TABLE = b"/^Subject: (.*) watches/ PREPEND X-Table: $1\n/^X-Old:/ IGNORE\n/^From: a/ REPLACE From: z@b.example\n/^Subject/ REJECT\n"


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "header_checks"
    path.write_bytes(TABLE)
    return path


def test_a_table_of_postfix_does_what_it_says(table):
    got = fate([rule(map=f"pcre:{table}", where="header")])
    assert b"".join(apply_edits(RAW, got.edits)).startswith(
        b"X-Table: buy 7\r\nFrom: z@b.example\r\nSubject: buy 7 watches\r\n\r\nHello"
    )


def changed(table: Path, where: str, content: bytes, raw: bytes) -> bytes:
    table.write_bytes(content)
    return b"".join(apply_edits(raw, fate([rule(map=f"pcre:{table}", where=where)], raw).edits))


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"/^a/ IGNORE", b"b c\r\n"),
        (b"/^a/ STRIP", b"b c\r\n"),
        (b"/^b (.*)/ REPLACE $1 $1", b"a\r\nc c\r\na\r\n"),
        (b"/^b/ PREPEND new", b"a\r\nnew\r\nb c\r\na\r\n"),
        (b"/^b/ REPLACE", b"a\r\nb c\r\na\r\n"),  # Postfix warns, and does nothing
        ("/^b/ REPLACE 50 €".encode(), b"a\r\n50 ?\r\na\r\n"),  # the message promises ASCII
        (b"/^a/ IGNORE\n/^b/ REPLACE d", b"d\r\n"),
    ],
)
def test_lines_of_the_body_are_changed(table, content, body):
    raw = b"From: a@b.example\r\n\r\na\r\nb c\r\na\r\n"
    assert changed(table, "body", content, raw) == raw[:21] + body


QUOTED = [b"> %d\r\n" % number for number in range(1500)]


@pytest.mark.parametrize(
    ("content", "left", "edits"),
    [
        (b"/^>/ IGNORE\n", [], 1),  # what stands together goes together
        (b"/^>/ REPLACE x\n", [b"x\r\n"] * 1500, 1500),
        (b"/^> 1/ IGNORE\n", [line for line in QUOTED if not line.startswith(b"> 1")], 4),
    ],
)
def test_many_lines_changed_are_one_finding(table, content, left, edits):
    raw = b"From: a@b.example\r\n\r\n" + b"".join(QUOTED)
    assert changed(table, "body", content, raw) == raw[:21] + b"".join(left)
    (finding,), _ = judged([rule(map=f"pcre:{table}", where="body")], raw)
    assert len(finding.actions) == edits


def test_more_changes_than_are_made_are_none_and_told(table):
    raw = b"From: a@b.example\r\n\r\n" + b"> 1\r\nno\r\n" * 2001
    assert changed(table, "body", b"/^>/ IGNORE\n", raw) == raw
    (finding,), _ = judged([rule(map=f"pcre:{table}", where="body")], raw)
    assert "more than 2,000 places of this mail, and changes none" in finding.text


def test_what_is_put_in_is_never_cut(table):
    value = b" " + b"x@y.example," * 800
    raw = b"To:" + value + b"\r\nFrom: a@b.example\r\n\r\n" + b"y" * 2048 + b"\r\n"
    assert changed(table, "header", b"/^To:(.*)/ REPLACE Cc:$1", raw) == b"Cc:" + value + raw[len(value) + 3 :]
    assert changed(table, "body", b"/^(y*)$/ REPLACE > $1", raw) == raw.replace(b"\r\n\r\n", b"\r\n\r\n> ")


@pytest.mark.parametrize(("lines", "beside"), [(10, False), (1000, True)])
async def test_many_lines_for_a_table_do_not_hold_the_loop(table, monkeypatch, lines, beside):
    rules = Rules([rule(map=f"pcre:{table}", where="body")], Content())
    threads = []
    monkeypatch.setattr(rules, "examine", lambda *_: threads.append(threading.current_thread()) or [])
    message = Message(b"From: a@b.example\r\n\r\n" + b">\r\n" * lines)
    await rules.judge(message, transaction_of(message))
    assert (threads[0] is not threading.main_thread()) is beside


def test_a_message_within_that_is_encoded_is_seen_and_not_changed(table):
    inner = base64.b64encode(b"Subject: within\r\n\r\nsecret\r\n")
    raw = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + inner + b"\r\n"
    assert changed(table, "body", b"/^secret/ IGNORE", raw) == raw
    table.write_bytes(b"/^secret/ REJECT")
    assert fate([rule(map=f"pcre:{table}", where="body")], raw).disposition == "reject"


@pytest.mark.parametrize("number", [1, 700])
def test_every_field_that_reads_alike_is_changed(table, number):
    raw = b"X-Old: 1\r\n" * number + b"From: a@b.example\r\n\r\nHello\r\n"
    assert changed(table, "header", b"/^X-Old/ IGNORE", raw) == raw[number * 10 :]


@pytest.mark.parametrize(
    ("where", "content", "disposition"),
    [
        ("header", "/buy/ REJECT no", "reject"), ("body", "/ponzi/ DISCARD", "discard"), ("header", "/buy/ HOLD", "quarantine"),
        ("header", "/buy/ DUNNO\n/./ REJECT", "reject"), ("sender", "/^s@/ 450 4.7.1 later", "defer"),
        ("client", "/192/ 554 no", "reject"), ("recipient", "/./ OK", "deliver"), ("header", "/buy/ WARN x", "deliver"),
        ("header", "/buy/ FILTER smtp:x", "deliver"), ("body", "/Subject/ REJECT", "deliver"),
    ],
)  # fmt: skip
def test_actions_of_tables(table, where, content, disposition):
    table.write_text(content)
    assert fate([rule(map=f"pcre:{table}", where=where)]).disposition == disposition


def test_a_table_is_followed_live(table):
    rules = Rules([rule(map=f"pcre:{table}", where="header")], Content())
    (live,) = rules.tables.values()
    message = Message(RAW)
    transaction = transaction_of(message)
    table.write_text("/ponzi/ REJECT")
    live._looked -= 10
    live.follow()
    live._reading.join(10)
    assert rules.examine(message, transaction, NOON) == []
    table.unlink()
    live._looked -= 10
    assert rules.examine(message, transaction, NOON) == []  # it stays what it was


def test_a_table_that_could_not_be_read_for_a_moment_is_read_when_it_can_be(table, monkeypatch):
    """As while its rights are set: that leaves the file as old and as long as it was."""
    (live,) = Rules([rule(map=f"pcre:{table}", where="header")], Content()).tables.values()
    table.write_text("/./ REJECT")

    def look() -> Gate:
        live._looked -= 10
        live.follow()
        live._reading.join(10)
        return live.gate

    before = live.gate
    with monkeypatch.context() as patched:
        patched.setattr(
            Path, "read_bytes", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
        )
        assert look() is before
    assert look() is not before


def test_a_catastrophic_pattern_is_named_and_the_mail_goes_on():
    raw = b"Subject: " + b"a" * 60 + b"!\r\n\r\nponzi"
    findings, plan = judged(
        [rule(match=["^(a+)+\\K$"], action="reject"), rule(name="ok", where="body", match=["ponzi"])], raw
    )
    assert [(each.symbol, each.evidence) for each in findings if each.symbol == TOO_SLOW] == [(TOO_SLOW, "r")]
    assert plan.fates["r@c.example"].disposition == "deliver"


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("iban", "DE89 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
        ("card", "4111-1111-1111-1111", "4111-1111-1111-1112"),
        ("de-tax-id", "86095742719", "86095742718"),
        ("pl-pesel", "44051401359", "44051401358"),
        ("es-dni", "X1234567L", "X1234567M"),
        ("it-codice-fiscale", "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
        ("nl-bsn", "111222333", "111222334"),
        ("fr-nir", "255081416802538", "255081416802539"),
        ("ch-ahv", "756.9217.0769.85", "756.9217.0769.86"),
        ("us-ssn", "219-09-9999", "000-09-9999"),
    ],
)
def test_ready_made_patterns_know_their_check_digits(name, right, wrong):
    filters = [rule(where="body", ready=[name])]
    assert bool(judged(filters, b"\r\nsee " + right.encode() + b" there")[0])
    assert not judged(filters, b"\r\nsee " + wrong.encode() + b" there")[0]
    assert is_right(name, right)
    assert set(READY) >= {name}


def test_numbers_are_counted_once_each_and_not_shown():
    filters = [rule(where="body", ready=["iban"], at_least=2)]
    one = b"\r\nDE89370400440532013000 and DE89 3704 0044 0532 0130 00"
    assert not judged(filters, one)[0]
    (found,) = judged(filters, one + b" GB82WEST12345698765432")[0]
    assert "370400" not in found.evidence


def test_a_mail_full_of_numbers_does_not_hold_up_the_others():
    numbers = [f"{number:09}" for number in range(100_000_007, 199_999_999, 999_983)] * 1000
    raw = b"\r\n" + b"\r\n".join(" ".join(numbers[at : at + 10]).encode() for at in range(0, len(numbers), 10))
    right = {number for number in numbers if is_right("nl-bsn", number)}
    began = time.process_time()  # seconds of this process: other load does not count
    ((found,), _) = judged([rule(where="body", ready=["nl-bsn"])], raw)
    assert time.process_time() - began < 2  # 6 s where each search reads all of the text first
    assert found.evidence == f"{len(right)}, the first {min(right)[:2]}...{min(right)[-2:]}"
    assert len(right) > 1


@pytest.mark.parametrize("name", READY)
def test_a_text_that_is_not_read_first_has_the_same_numbers(name):
    numbers = (
        "DE89 3704 0044 0532 0130 00",
        "4111-1111-1111-1111",
        "86095742719",
        "X1234567L",
        "RSSMRA85T10A562S",
        "١٢٣٤٥٦٧٨٩",
    )
    text = "".join(
        f"ä{number} {number}é {number}\n{number}🙂{number}\0"
        for number in (*numbers, "219-09-9999", "756.9217.0769.85", "255081416802538")
    ).encode()
    source, options = READY[name].pattern.encode(), pcre.CASELESS | TEXT_OPTIONS
    found = list(pcre.Pattern(source, options | pcre.MATCH_INVALID_UTF).all_texts(text))
    assert found == list(pcre.Pattern(source, options).all_texts(text))
    assert found


@pytest.mark.parametrize(
    ("text", "when", "holds"),
    [
        ("Mon-Fri 08:00-18:00", (27, 12), True), ("Sat,Sun", (28, 3), True), ("Sat,Sun", (27, 3), False),
        ("22:00-06:00", (27, 23), True), ("22:00-06:00", (27, 12), False), ("Thu 22:00-06:00", (27, 5), True),
        ("Fri-Mon", (26, 5), False),
    ],
)  # fmt: skip
def test_times(text, when, holds):
    assert read_times(text).hold(datetime(2026, 11, *when, tzinfo=UTC)) is holds


@pytest.mark.parametrize(
    "keys",
    [
        {"match": ["x"], "where": "nowhere"}, {"match": ["x"], "action": "score"}, {"match": ["x"], "action": "copy"},
        {"match": ["x"], "times": ["Funday"]}, {"match": ["x"], "header": "no field"}, {"map": "hash:/x"},
        {"map": "pcre:/x", "match": ["y"]}, {"match": ["x"], "to": ["nobody"]}, {"match": ["x"], "times": ["08:00-08:00"]},
        {"match": ["x"], "times": ["08:00-12:00 13:00-17:00"]}, {"match": ["x"], "recipients": ["*@example.org"]},
    ],
)  # fmt: skip
def test_rules_that_cannot_be(keys):
    with pytest.raises(ValidationError):
        rule(**keys)


def problems(*filters):
    return [(each.path, each.severity) for each in filter_problems(filters, {"strict"})]


def test_what_is_wrong_with_rules_is_told_with_its_place():
    assert problems(rule(match=["a(b"])) == [(("filters", 0, "match", 0), "error")]
    (told,) = filter_problems([rule(match=["über(b"])], set())
    assert "character 7" in told.what
    assert problems(rule()) == [(("filters", 0), "error")]
    assert problems(rule(match=["x*"])) == [(("filters", 0, "match", 0), "warning")]
    assert problems(rule(match=["a"]), rule(match=["b"])) == [(("filters", 1, "name"), "error")]
    assert problems(rule(match=["a"], mark="$1", action="mark")) == [(("filters", 0, "mark"), "error")]
    assert problems(rule(match=["a"], action=["reject", "accept"])) == [(("filters", 0, "action"), "error")]
    assert problems(rule(match=["a"], policies=["strcit"])) == [(("filters", 0, "policies", 0), "error")]
    same = [rule(match=["a"], action="reject"), rule(name="s", match=["a"], action="accept")]
    assert problems(*same) == [(("filters", 1, "action"), "error")]
    assert problems(rule(match=["a"], action=["score"], score=1, of=2)) == [(("filters", 0, "of"), "error")]


@pytest.mark.parametrize(
    ("keys", "key", "severity"),
    [
        ({"words": ["good", "c++"]}, ("words", 1), "error"),
        ({"words": ["$100 = 2"]}, ("words", 0), "error"),
        ({"words": ["Pfizer\u2122"]}, ("words", 0), "error"),
        ({"words": ["\uff50ills"]}, ("words", 0), "warning"),
        ({"match": ["x", "Pfizer\u2122"]}, ("match", 1), "warning"),
        ({"match": ["\u0440ills"]}, ("match", 0), "warning"),  # a Cyrillic letter, as copied from a mail
    ],
)
def test_what_no_text_ever_holds_is_told(keys, key, severity):
    assert problems(rule(**keys)) == [(("filters", 0, *key), severity)]


@pytest.mark.parametrize(
    "keys",
    [
        {"words": ["free money", "e-mail", "it's = 2", "\u044d\u0442\u043e"]},
        {"match": ["sch\xf6n", "\\b\u044d\u0442\u043e", "[\u0430a]bc"]},
        {"match": ["Pfizer\u2122"], "raw": True},
        {"match": ["Pfizer\u2122"], "where": "line"},
    ],
)
def test_what_texts_hold_is_good(keys):
    assert problems(rule(**keys)) == []


def test_words_that_never_add_up_are_told(tmp_path):
    def told(**keys):
        return [(each.path[2:], each.severity) for each in file_problems([rule(**keys)])]

    assert told(words=["a", "b = 1.5", "c = -3"], words_above=2.6) == [(("words_above",), "error")]
    assert told(words=["a", "b = 1.5", "c = -3"], words_above=2.5) == []
    assert told(words=["a = 0"]) == [(("words_above",), "error")]
    (path := tmp_path / "words").write_text("# none\n")
    assert told(words_file=str(path)) == [(("words_file",), "warning")]
    path.write_text("good\nc++\nc#\n")
    assert told(words_file=str(path)) == [(("words_file",), "warning")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"words_file": "a"}, {"words_file": "b"}),
        ({"words": ["a = 2"], "words_above": 2}, {"words": ["a = 2"], "words_above": 4}),
        ({"ready": ["iban"], "at_least": 1}, {"ready": ["iban"], "at_least": 5}),
    ],
)
def test_rules_of_other_words_or_numbers_do_not_contradict_each_other(one, other):
    assert problems(rule(action="reject", **one), rule(name="s", action="accept", **other)) == []
    assert problems(rule(action="reject", **one), rule(name="s", action="accept", **one)) != []


def test_each_earlier_rule_that_looks_for_the_same_is_told_in_order():
    rules = [rule(name=str(number), match=["ab"[number % 2]], action="reject") for number in range(6)]
    told = [each.what for each in filter_problems(rules, set())]
    assert [what.split('"')[1] for what in told] == ["0", "1", "0", "2", "1", "3"]


def test_tables_and_lists_that_cannot_be_read_are_told(table, tmp_path):
    table.write_text("/ok/ REJECT\n/broken( REJECT\n/x/ NONSENSE\n/y/ FILTER x")
    told = [each.what for each in file_problems([rule(map=f"pcre:{table}")])]
    assert ["line 2" in told[0], "line 3" in told[1], "line 4" in told[2]] == [True] * 3
    assert len(list(file_problems([rule(words_file=str(tmp_path / "none")), rule(map="pcre:/nowhere")]))) == 2


def test_counts_survive_a_restart_and_are_summed(tmp_path):
    count = Count()
    count.follow(tmp_path / "0.json", ["r"])
    count.hit("r", 0.5)
    count.gave_up(["r"])
    count.message(100.0)
    again = Count()
    again.follow(tmp_path / "0.json", ["r"])
    again.hit("r", 0.5)
    again.message(200.0)
    Count(3).write(tmp_path / "1.json")
    (tmp_path / "2.json").write_text('{"since"')
    total = read_counts(tmp_path)
    assert (total.messages, total.rules["r"].hits, total.rules["r"].given_up) == (5, 2, 1)


def test_policies_name_whom_a_rule_is_for():
    policies = {"r@c.example": ("strict", Policy())}
    assert judged([rule(match=["watches"], policies=["strict"])], policies=policies)[0]


class Raced(pcre.Pattern):
    """Another thread searches between two looks of this one."""

    looks = 0

    @property
    def _code(self):
        self.looks += 1
        return self.code if self.looks < 3 else None  # the first is that of its making

    @_code.setter
    def _code(self, code) -> None:
        self.code = code


def test_two_threads_may_search_a_pattern_for_the_first_time() -> None:
    assert Raced(b"a").search(b"ba").span() == (1, 2)
