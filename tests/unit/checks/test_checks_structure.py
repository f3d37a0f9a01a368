"""Ambiguity as a finding: only where programs see other files or other text."""

import base64

import pytest

from mpp.checks.attachments.mails import attached_files
from mpp.checks.structure.check import FILES, TEXT, UNREAD, examine, judge
from mpp.checks.structure.settings import Structure
from mpp.mail.message import Limits, Message
from mpp.verdict.decide import decide
from mpp.verdict.finding import SCANNER_FAILED, OnFailure, Verdict
from mpp.verdict.policy import Marks
from servers.transactions import a_transaction

EXE = base64.b64encode(b"MZ program")


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
