"""The attachment policy through a whole gateway: what is refused, held, taken out for whom, and what else stays as it was."""

import base64
import io
import json
import re
import smtplib
import zipfile
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from typing import Any

import pytest

from mpp.mail.message import Message
from servers.attachments import PROGRAM, macro_word, zipped
from servers.gateway import Gateway, MakeGateway
from servers.sink import Sink
from servers.warm import run

BOB, CAROL = "bob@example.org", "carol@example.org"


def mail(*files: tuple[str, bytes], html: bool = False) -> bytes:
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = "ann@example.net", BOB, "Files"
    made["Message-ID"] = "<files@example.net>"
    made.set_content("See the files.\n")
    if html:
        made.add_alternative("<p>See the files.</p>\n", subtype="html")
    for name, data in files:
        made.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return made.as_bytes()


def send(mpp: Gateway, data: bytes, *recipients: str) -> tuple[int, bytes]:
    with smtplib.SMTP("127.0.0.1", mpp.port, timeout=60) as client:
        client.ehlo()
        client.mail("ann@example.net")
        for each in recipients or (BOB,):
            client.rcpt(each)
        return client.data(data)


def rule(action: str, **more: Any) -> dict[str, Any]:
    return {"name": "programs", "flags": ["executable"], "action": action, **more}


def command(mpp: Gateway, *arguments: str) -> list[dict[str, Any]]:
    """Run a command on the gateway's own settings; return the objects that it prints."""
    done = run(*arguments, "--settings", str(mpp.file), "--json")
    assert not done.stderr, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def bodies(data: bytes) -> list[tuple[str, str | None, bytes]]:
    return [(part.type, part.name, part.decode()) for part in Message(data).leaves()]


def test_a_program_in_an_archive_is_refused_with_its_name(gateway: MakeGateway, sink: Sink) -> None:
    mpp = gateway(sink, more={"attachments": [rule("reject")]})
    code, said = send(mpp, mail(("a.zip", zipped({"in/run.exe": PROGRAM}))))
    assert (code, said.startswith(b"5.7.1 Message refused, attachment not allowed here (in/run.exe), id ")) == (
        554,
        True,
    )
    assert send(mpp, mail(("a.zip", zipped({"a.txt": b"words"}))))[0] == 250
    assert len(sink.wait(1)) == 1


def test_a_program_is_taken_out_for_some_and_the_original_is_held(gateway: MakeGateway, sink: Sink) -> None:
    """Bob's copy has a note in its place, Carol's is as it came; all other octets of Bob's are as they were."""
    rules = [rule("allow", name="trusting", recipients=[CAROL]), rule("strip")]
    mpp = gateway(
        sink, more={"attachments": rules, "inspection": {"languages": ["en", "de"], "contact": "help@example.org"}}
    )
    data = mail(("a.txt", b"words"), ("run.exe", PROGRAM), ("b.pdf", b"%PDF-1.4 words"), html=True)
    assert send(mpp, data, BOB, CAROL)[0] == 250
    by_recipient = {each.recipients[0]: each.data for each in sink.wait(2)}
    assert by_recipient[CAROL].endswith(data)
    changed = by_recipient[BOB]
    place, end = data.index(base64.encodebytes(PROGRAM)[:20]), data.index(b"\r\n--", data.index(b"run.exe"))
    part = data.rindex(b"\r\n--", 0, place)
    assert data[:part] in changed
    assert changed.endswith(data[end:])
    before, after = bodies(data), bodies(changed)
    assert [each for each in after if each in before] == [each for each in before if each[1] != "run.exe"]
    plain, page = (each for each in after if each not in before)
    text = plain[2].decode()
    assert (plain[0], page[0]) == ("text/plain", "text/html")
    for word in ("An attachment was removed", "Aus dieser Nachricht", "Name: run.exe", f"Size: {len(PROGRAM)} bytes",
                 "Reason: it is or contains a program", "help@example.org"):  # fmt: skip
        assert word in text
        assert word.partition(":")[0] in page[2].decode()
    identity = re.search(r"Message number: ([0-9a-f]{24,})", text)
    assert identity
    message_from_bytes(changed, policy=default)
    (held,) = command(mpp, "quarantine", "list")
    assert (held["id"], held["recipient"], held["class"]) == (identity[1], BOB, "stripped")
    assert held["rule"] == "attachments.programs"
    (told,) = command(mpp, "why", identity[1])
    assert any("run.exe is replaced by a note" in sentence for sentence in told["why"])
    command(mpp, "quarantine", "release", identity[1])
    assert sink.wait(3)[2].data.endswith(data)
    assert sink.accepted[2].recipients == (BOB,)


@pytest.mark.parametrize(
    ("action", "more"), [("quarantine", {}), ("ban", {"policies": {"default": {"banned": "quarantine"}}})]
)
def test_a_program_is_held(gateway: MakeGateway, sink: Sink, action: str, more: dict[str, Any]) -> None:
    mpp = gateway(sink, more={"attachments": [rule(action)], **more})
    assert send(mpp, mail(("run.exe", PROGRAM)))[0] == 250
    assert [(each["class"], each["recipient"]) for each in command(mpp, "quarantine", "list")] == [("banned", BOB)]
    assert sink.messages == []


def test_a_document_goes_on_without_its_macros_and_one_that_cannot_be_cleaned_does_not(
    gateway: MakeGateway, sink: Sink
) -> None:
    mpp = gateway(sink, more={"attachments": [{"name": "macros", "flags": ["macro"], "action": "remove-macros"}]})
    data = mail(("offer.docm", macro_word()), ("in.zip", zipped({"offer.docm": macro_word()})), ("a.txt", b"words"))
    assert send(mpp, data)[0] == 250
    (arrived,) = sink.wait(1)
    text, offer, note, words = bodies(arrived.data)
    assert (offer[1], offer[0]) == (
        "offer.docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    )
    assert b"vba" not in offer[2].lower()
    assert zipfile.ZipFile(io.BytesIO(offer[2])).testzip() is None
    assert b"Name: in.zip" in note[2]
    assert [text, words] == [bodies(data)[0], bodies(data)[3]]
    (held,) = command(mpp, "quarantine", "list")
    assert held["class"] == "stripped"


@pytest.mark.parametrize("signed", ["edit", "quarantine"])
def test_a_signed_mail_is_edited_or_held(gateway: MakeGateway, sink: Sink, signed: str) -> None:
    """Where it is edited the trace says which signature breaks."""
    inner = mail(("run.exe", PROGRAM)).partition(b"\r\n\r\n")
    kind = re.search(rb"Content-Type: multipart/mixed;[^\n]*\n(?:[ \t][^\n]*\n)*", inner[0] + b"\r\n")
    assert kind
    data = (
        b'From: ann@example.net\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary="sig"\r\n\r\n--sig\r\n'
        + kind[0] + b"\r\n" + inner[2] + b"\r\n--sig\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--sig--\r\n"
    )  # fmt: skip
    mpp = gateway(sink, more={"attachments": [rule("strip")], "inspection": {"signed": signed}})
    assert send(mpp, data)[0] == 250
    (held,) = command(mpp, "quarantine", "list")
    assert held["class"] == ("stripped" if signed == "edit" else "banned")
    if signed == "quarantine":
        assert sink.messages == []
        return
    (arrived,) = sink.wait(1)
    assert b"run.exe" not in arrived.data
    (told,) = command(mpp, "why", held["id"])
    assert told["breaks"] == ["multipart/signed"]


def test_a_file_that_only_some_programs_see_is_found_and_the_mail_held_whole(gateway: MakeGateway, sink: Sink) -> None:
    """Two boundaries: the program hides behind the one that most programs pass over. It cannot be taken out, so all is held."""
    body = b"--b\r\nContent-Type: application/x; name=a.exe\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    raw = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n--a\r\n\r\nhello\r\n--a--\r\n"
    raw += body + base64.encodebytes(PROGRAM).replace(b"\n", b"\r\n") + b"--b--\r\n"
    mpp = gateway(sink, more={"attachments": [rule("strip")]})
    assert send(mpp, raw)[0] == 250
    assert sink.messages == []
    (held,) = command(mpp, "quarantine", "list")
    assert held["recipient"] == BOB
    assert "AMBIGUOUS_FILES" in json.dumps(command(mpp, "why", held["id"]))


def test_ambiguity_is_told_in_the_report(gateway: MakeGateway, sink: Sink) -> None:
    raw = b"Subject: x\r\nContent-Type: text/plain; name=a.txt; name=a.exe\r\n\r\nhello\r\n"
    policies = {"default": {"mark_above": 2.0, "report": True}}
    mpp = gateway(sink, more={"policies": policies})
    assert send(mpp, raw)[0] == 250
    (got,) = sink.messages
    assert re.search(rb"X-Spam-Report:(?s:.*?)\* +3(?:\.0)? AMBIGUOUS_FILES", got.data)
