"""Ambiguity as a finding: only where programs see other files or other text."""

import base64

import pytest

from mpp.checks.attachments.mails import attached_files
from mpp.checks.structure.check import FILES, TEXT, UNREAD, examine, judge
from mpp.checks.structure.settings import Structure
from mpp.mail.dialects.loose import _ALPHABET, _BINHEX_ALPHABET
from mpp.mail.message import Limits, Message
from mpp.mail.part import Part
from mpp.verdict.decide import decide
from mpp.verdict.finding import SCANNER_FAILED, OnFailure, Verdict
from mpp.verdict.policy import Marks
from servers.transactions import a_transaction

EXE = base64.b64encode(b"MZ program")
TO_BINHEX = bytes.maketrans(_ALPHABET, _BINHEX_ALPHABET)


def mixed(parameters: bytes, *parts: bytes) -> Message:
    body = b"".join(b"--a\r\n" + part + b"\r\n" for part in parts)
    return Message(b"Content-Type: multipart/mixed; " + parameters + b"\r\n\r\n" + body + b"--a--\r\n")


def file(name: bytes = b"filename=a.exe", encoding: bytes = b"base64") -> bytes:
    fields = (
        b"Content-Type: application/x\r\nContent-Disposition: attachment; %b\r\nContent-Transfer-Encoding: %b\r\n\r\n"
    )
    return fields % (name, encoding) + EXE


def text(encoding: bytes, body: bytes) -> bytes:
    return b"Content-Type: text/plain\r\nContent-Transfer-Encoding: %b\r\n\r\n" % encoding + body


@pytest.mark.parametrize(
    ("message", "symbol"),
    [
        pytest.param(mixed(b"boundary=a", file()), None, id="whole"),
        pytest.param(mixed(b"boundary=b; boundary=a", file()), FILES, id="two boundaries"),
        pytest.param(mixed(b"boundary=a", file(encoding=b"7bit\r\nContent-Transfer-Encoding: base64")), FILES, id="two encodings"),
        pytest.param(mixed(b"boundary=a", file(b"filename=a.png; filename*=us-ascii''a.exe")), FILES, id="two ends of a name"),
        pytest.param(mixed(b"boundary=a", file(b"filename=b.exe; filename*=us-ascii''a.exe")), None, id="two names of one end"),
        pytest.param(mixed(b"boundary=a", text(b"quoted-printable", b"one=two")), TEXT, id="a broken escape"),
        pytest.param(mixed(b"boundary=a", text(b"quoted-printable", b"one \r\ntwo")), None, id="white space alone"),
    ],
)  # fmt: skip
def test_what_is_ambiguous(message, symbol):
    assert [finding.symbol for finding in examine(message, Structure())] == ([symbol] if symbol else [])


def test_the_finding_says_by_what_and_who():
    (finding,) = examine(mixed(b"boundary=b; boundary=a", file()), Structure(files_score=4.5))
    assert finding.score == 4.5
    assert "content-type" in finding.evidence
    assert "mime-tools" in finding.evidence


def test_it_can_be_turned_off_and_all_is_read_all_the_same():
    message = mixed(b"boundary=b; boundary=a", file())
    assert examine(message, Structure(ambiguous=False)) == []
    assert b"MZ program" in [each.data for each in attached_files(message)]


def test_what_was_not_read_to_its_end_is_unchecked():
    message = mixed(b"boundary=a", *[text(b"7bit", b"x")] * 20)
    (finding,) = examine(Message(message.raw, Limits(parts=10)), Structure())
    assert (finding.symbol, finding.verdict) == (UNREAD, Verdict.UNCHECKED)
    assert "limits.parts" in finding.text


async def test_what_takes_too_long_is_not_decided():
    odd = mixed(b"boundary=b; boundary=a", file())
    (finding,) = await judge(odd, Structure(), 0.0)
    assert (finding.symbol, finding.failure) == (SCANNER_FAILED, OnFailure.DEFER)
    assert [each.symbol for each in await judge(mixed(b"boundary=b; boundary=a", file()), Structure(), 60.0)] == [FILES]
    assert await judge(mixed(b"boundary=a", file()), Structure(), 0.0) == []
    plan = decide(a_transaction(), Marks(), [finding])
    assert {fate.disposition.value for fate in plan.fates.values()} == {"defer"}
    assert any(sentence.startswith("limits.checks_timeout: nothing is decided") for sentence in plan.why)


def test_what_would_be_mended_too_often_is_unchecked_and_decoded_as_we_do_it():
    broken = b"=G" * 50
    message = Message(mixed(b"boundary=a", text(b"quoted-printable", broken)).raw, Limits(mendings=49))
    (finding,) = examine(message, Structure())
    assert (finding.symbol, finding.verdict) == (UNREAD, Verdict.UNCHECKED)
    assert "limits.mendings" in finding.text
    assert {leaf.decode() for leaf in message.every_leaf()} == {broken}
    mended = Message(message.raw, Limits(mendings=50))
    assert [each.symbol for each in examine(mended, Structure())] == [TEXT]
    assert broken.replace(b"=G", b"") in {leaf.decode() for leaf in mended.every_leaf()}


def test_what_several_bodies_would_be_mended_counts_together():
    bodies = [text(b"quoted-printable", b"=G" * 30 + b"%d" % number) for number in range(3)]
    assert "mendings" in exceeded(mixed(b"boundary=a", *bodies), Limits(mendings=80))
    assert exceeded(mixed(b"boundary=a", *bodies), Limits(mendings=90)) == ()


@pytest.mark.parametrize(
    ("encoding", "body", "mendings"),
    [
        pytest.param(b"base64", b"QQ==" * 10 + b"QUJD", 20, id="padding"),
        pytest.param(b"base64", b"A\r\n" * 161, 10, id="lines of base64"),
        pytest.param(b"x-uuencode", b"begin 644 a\r\n" + b"!\r\n" * 160, 10, id="lines of uuencode"),
        pytest.param(b"x-yenc", b"=@" * 160, 10, id="escapes of yEnc"),
    ],
)
def test_what_is_mended_has_a_limit(encoding, body, mendings):
    assert exceeded(mixed(b"boundary=a", text(encoding, body)), Limits(mendings=mendings - 1)) == ("mendings",)
    assert exceeded(mixed(b"boundary=a", text(encoding, body)), Limits(mendings=mendings)) == ()


@pytest.mark.parametrize(("repeats", "limit"), [(20, ("mendings",)), (1, ())])
def test_what_binhex_repeats_too_often_is_not_read_to_its_end(repeats, limit):
    packed = b"\4name" + bytes(17) + b"AAAA" + b"B\x90\5" * repeats
    body = b":" + base64.b64encode(packed).translate(TO_BINHEX, b"=") + b":"
    assert exceeded(mixed(b"boundary=a", text(b"binhex", body)), Limits()) == limit


def exceeded(message: Message, limits: Limits) -> tuple[str, ...]:
    again = Message(message.raw, limits)
    examine(again, Structure())
    return again.exceeded


def test_a_body_is_decoded_once_in_each_way_to_be_compared(monkeypatch):
    decoded = []
    monkeypatch.setattr(Part, "decode", lambda part, plain=Part.decode: decoded.append(part) or plain(part))
    message = mixed(b"boundary=a", text(b"quoted-printable", b"one=two"), text(b"base64", b"QQ=QUJD"))
    assert [each.symbol for each in examine(message, Structure())] == [TEXT]
    ways = {(leaf.body, leaf.decoder or leaf.encoding) for leaf in decoded}
    assert len(decoded) == len(ways)
