"""Copies and redirected mail through the whole gateway: committed before the 250, and never twice."""

from base64 import b64encode
from collections.abc import Callable

from mpp.cli.programs import free_port
from servers.attachments import PROGRAM, mail
from servers.dialogue import Dialogue
from servers.gateway import Gateway, MakeGateway, settings_text
from servers.sink import Sink

MakeSink = Callable[..., Sink]
COPY, BOB, CAROL = "copies@example.org", "bob@example.org", "carol@example.org"
FILTERS = [
    {"name": "copy", "where": "subject", "match": ["copy"], "action": "copy", "to": [COPY]},
    {"name": "away", "where": "subject", "match": ["away"], "action": "redirect", "to": ["desk@example.org"]},
    {"name": "no", "where": "subject", "match": ["no (\\w+)"], "action": "reject", "text": "550 5.7.1 no $1"},
    {"name": "lost", "where": "subject", "match": ["lost"], "action": "copy", "to": ["x@nowhere.invalid"]},
    {"name": "bobs", "where": "subject", "match": ["bobs"], "recipients": [BOB], "action": "redirect", "to": [CAROL]},
    {
        "name": "carols",
        "where": "subject",
        "match": ["for carol"],
        "recipients": [CAROL],
        "action": "mark",
        "mark": "[C] ",
    },
]


def send(port: int, subject: str, *recipients: str) -> str:
    with Dialogue(port) as dialogue:
        dialogue.hello()
        dialogue.envelope("a@example.net", *(recipients or ("bob@example.org",)))
        reply = dialogue.data(f"Subject: {subject}\r\n\r\ntext\r\n.\r\n".encode())
        return f"{reply.code} {' '.join(reply.lines) if hasattr(reply, 'lines') else reply}"


def taken(hop: Sink) -> list[str]:
    return sorted(who for message in hop.accepted for who in message.recipients)


def test_a_copy_is_there_before_the_250_and_the_retry_brings_nothing_twice(
    gateway: MakeGateway, make_sink: MakeSink
) -> None:
    hop = make_sink(script={f"RCPT {COPY}": ["550 5.1.1 nobody", "250 2.1.5 ok"]})
    made = gateway(hop, more={"filters": FILTERS})
    assert send(made.port, "a copy").startswith("451")
    assert taken(hop) == ["bob@example.org"]
    assert send(made.port, "a copy").startswith("250")
    assert taken(hop) == ["bob@example.org", COPY]


def test_a_copy_is_without_what_was_taken_out_of_the_mail(gateway: MakeGateway, make_sink: MakeSink) -> None:
    hop = make_sink()
    strip = {"name": "programs", "flags": ["executable"], "action": "strip"}
    copy = {"name": "all", "where": "attachment", "match": ["a[.]exe"], "action": "copy", "to": [COPY]}
    made = gateway(hop, more={"filters": [copy], "attachments": [strip]})
    with Dialogue(made.port) as dialogue:
        dialogue.hello()
        dialogue.envelope("a@example.net", BOB)
        assert dialogue.data(mail("a.exe", PROGRAM) + b".\r\n").code == 250
    assert taken(hop) == [BOB, COPY]
    assert len({message.data.partition(b"MIME-Version")[2] for message in hop.accepted}) == 1
    assert not any(b64encode(PROGRAM)[:40] in message.data for message in hop.accepted)


def test_a_copy_without_a_way_defers(gateway: MakeGateway, make_sink: MakeSink) -> None:
    hop = make_sink()
    made = gateway(hop, more={"filters": FILTERS})
    assert send(made.port, "lost").startswith("451")


def test_redirected_mail_goes_to_its_new_address_alone(gateway: MakeGateway, make_sink: MakeSink) -> None:
    hop = make_sink()
    made = gateway(hop, more={"filters": FILTERS})
    assert send(made.port, "away with copy").startswith("250")
    assert taken(hop) == [COPY, "desk@example.org"]
    assert send(made.port, "no way").startswith("550")


def test_redirected_mail_that_is_refused_there_stays_with_its_sender(gateway: MakeGateway, make_sink: MakeSink) -> None:
    hop = make_sink(script={"RCPT desk@example.org": "550 5.1.1 nobody"})
    made = gateway(hop, more={"filters": FILTERS})
    assert send(made.port, "away").startswith("451")
    assert taken(hop) == []


def test_redirected_to_a_recipient_who_gets_the_same_octets_is_one_mail(
    gateway: MakeGateway, make_sink: MakeSink
) -> None:
    hop = make_sink()
    made = gateway(hop, more={"filters": FILTERS})
    assert send(made.port, "bobs", BOB, CAROL).startswith("250")
    assert taken(hop) == [CAROL]


def test_redirected_to_a_recipient_who_gets_other_octets_each_has_an_outcome_of_its_own(
    gateway: MakeGateway, make_sink: MakeSink
) -> None:
    hop = make_sink(script={f"RCPT {CAROL}": ["250 2.1.5 ok", "450 4.2.1 later", "250 2.1.5 ok"]})
    made = gateway(hop, more={"filters": FILTERS})
    assert send(made.port, "bobs, and for carol", BOB, CAROL).startswith("451")
    assert taken(hop) == [CAROL]
    assert send(made.port, "bobs, and for carol", BOB, CAROL).startswith("250")
    assert taken(hop) == [CAROL, CAROL]
    marked = [b"Subject: [C] bobs" in message.data for message in hop.accepted]
    assert sorted(marked) == [False, True]


def over_lmtp(made: Gateway, subject: str, *recipients: str) -> list[int]:
    with Dialogue(made.port) as dialogue:
        assert dialogue.say("LHLO client.example").code == 250
        dialogue.envelope("a@example.net", *recipients)
        first = dialogue.data(f"Subject: {subject}\r\n\r\ntext\r\n.\r\n".encode())
        return [first.code, *(dialogue.reply().code for _ in recipients[1:])]


def test_over_lmtp_a_copy_that_is_not_taken_brings_its_recipient_back_and_nothing_twice(
    gateway: MakeGateway, make_sink: MakeSink
) -> None:
    hop = make_sink(script={f"RCPT {COPY}": ["450 4.2.1 later", "250 2.1.5 ok"]})
    port = free_port()
    listeners = [{"name": "lmtp", "address": f"lmtp:127.0.0.1:{port}"}]
    made = gateway(hop, port=port, more={"filters": FILTERS, "listeners": listeners})
    assert over_lmtp(made, "copy", BOB) == [451]
    assert taken(hop) == [BOB]
    assert over_lmtp(made, "copy", BOB) == [250]
    assert taken(hop) == [BOB, COPY]


def test_over_lmtp_what_a_copy_has_is_known_when_its_recipient_comes_back(
    gateway: MakeGateway, make_sink: MakeSink
) -> None:
    hop = make_sink(script={f"RCPT {BOB}": ["250 2.1.5 ok", "450 4.2.1 later", "250 2.1.5 ok"]})  # first it is asked
    port = free_port()
    listeners = [{"name": "lmtp", "address": f"lmtp:127.0.0.1:{port}"}]
    made = gateway(hop, port=port, more={"filters": FILTERS, "listeners": listeners})
    assert over_lmtp(made, "copy", BOB) == [450]
    assert taken(hop) == [COPY]
    assert over_lmtp(made, "copy", BOB) == [250]
    assert taken(hop) == [BOB, COPY]


def gateway_text(made: Gateway, more: dict[str, object]) -> str:
    """The gateway's settings with other filters."""
    lines = made.file.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("filters", "samples"))) + settings_text(more)


def test_a_reload_that_breaks_a_sample_or_a_pattern_changes_nothing(gateway: MakeGateway, make_sink: MakeSink) -> None:
    hop = make_sink()
    made = gateway(hop, more={"filters": FILTERS})
    sample = made.folder / "sample.eml"
    sample.write_bytes(b"To: bob@example.org\r\nSubject: invoice\r\n\r\ntext\r\n")
    rule = {"name": "no", "where": "subject", "match": ["invoice"], "action": "reject"}
    samples = [{"name": "invoice", "file": str(sample), "must": "arrive"}]
    seen = len(made.lines)
    made.reload(gateway_text(made, {"filters": [rule], "samples": samples}))
    made.wait_for("settings.refused.*must arrive", since=seen)
    assert send(made.port, "invoice").startswith("250")
    seen = len(made.lines)
    made.reload(gateway_text(made, {"filters": [{**rule, "match": ["invoice("]}]}))
    made.wait_for("settings.refused.*is no pattern", since=seen)
    assert send(made.port, "no way").startswith("550")
