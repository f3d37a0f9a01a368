"""Mail filtered by a real spamd and a real clamd through the whole gateway: what is refused, marked, removed and kept."""

import io
import json
import re
import smtplib
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from servers.gateway import Gateway, MakeGateway
from servers.sink import Sink
from servers.warm import run

HEADER = b"From: ann@example.net\r\nDate: Mon, 04 May 2026 09:12:31 +0200\r\nMessage-ID: <1@example.net>\r\nSubject: Lunch\r\n"
HAM = HEADER + b"\r\nShall we meet at noon? The place at the corner has a table for us.\r\n"
GTUBE = HAM + b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
ROUTES = [
    {"domains": ["example.org", "second.example"]},
    {"domains": ["*"], "ours": False},
]

Filtering = Callable[..., Gateway]


@pytest.fixture
def filtering(gateway: MakeGateway, sink: Sink, spamd: str, clamd: str) -> Filtering:
    """A gateway with both scanners; the keywords are settings."""

    def make(**more: object) -> Gateway:
        routes = [{**route, "hosts": [sink.address]} for route in ROUTES]
        return gateway(sink, scanners=[f"spamd:{spamd}", f"clamd:{clamd}"], more={"routes": routes, **more})

    return make


def send(mpp: Gateway, mail: bytes, *recipients: str) -> smtplib.SMTPDataError | None:
    """Return the refusal after the dot; None where it was accepted."""
    with smtplib.SMTP("127.0.0.1", mpp.port, timeout=60) as client:
        try:
            refused = client.sendmail("ann@example.net", recipients or ("bob@example.org",), mail)
        except smtplib.SMTPDataError as error:
            return error
    assert refused == {}
    return None


def fields(data: bytes, name: str) -> list[str]:
    """Top-level fields of this name, unfolded."""
    header = data.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").decode()
    return re.findall(rf"(?im)^{name}:[ \t]*([^\r\n]*)", header)


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("invoice.com", EICAR)
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["Subject"] = "ann@example.net", "Invoice"
    mail.set_content("See the file.\n")
    mail.add_attachment(packed.getvalue(), maintype="application", subtype="zip", filename="invoice.zip")
    return mail.as_bytes()


def test_spam_is_refused_and_below_reject_it_is_tagged(filtering: Filtering, sink: Sink) -> None:
    policies = {"lenient": {"reject_above": "off", "report": True}}
    rules = [{"policy": "lenient", "recipients": ["carol@example.org"]}]
    text = {"spam_text": "No spam here ({reason}), ask {contact}, id {id}"}
    mpp = filtering(policies={**policies, "default": text}, policy_rules=rules, node={"contact": "help@example.org"})
    refusal = send(mpp, GTUBE)
    assert refusal
    assert refusal.smtp_code == 554
    said = refusal.smtp_error.decode()
    assert re.fullmatch(r"5\.7\.\d No spam here \(.+\), ask help@example\.org, id [0-9a-f]{24,}", said)
    assert send(mpp, GTUBE.replace(b"Lunch", b"***SPAM*** Lunch"), "carol@example.org") is None
    (tagged,) = sink.wait(1)
    assert fields(tagged.data, "X-Spam-Flag") == ["YES"]
    assert fields(tagged.data, "X-Spam-Status")[0].startswith("Yes, score=")
    assert "GTUBE" in fields(tagged.data, "X-Spam-Status")[0]
    assert "GTUBE" in fields(tagged.data, "X-Spam-Report")[0]
    assert fields(tagged.data, "Subject") == ["***SPAM*** Lunch"]


@pytest.mark.parametrize("mail", [HEADER + b"\r\n" + EICAR + b"\r\n", zipped()], ids=["plain", "in a zip"])
def test_a_virus_is_refused_by_its_name(filtering: Filtering, sink: Sink, mail: bytes) -> None:
    mpp = filtering()
    refusal = send(mpp, mail)
    assert refusal
    assert refusal.smtp_code == 554
    assert b"Eicar" in refusal.smtp_error
    assert sink.messages == []


def test_ham_is_marked_for_our_domains_only(filtering: Filtering, sink: Sink) -> None:
    mpp = filtering(marks={"always": True}, networks={"trusted": ["127.0.0.0/8"]})
    for recipient in ("bob@example.org", "eve@elsewhere.example"):
        assert send(mpp, HAM, recipient) is None
    ours, others = sink.wait(2)
    assert fields(ours.data, "X-Spam-Status")[0].startswith("No, ")
    assert fields(ours.data, "X-Virus-Scanned") == ["MPP at mpp.example"]
    assert fields(ours.data, "Subject") == ["Lunch"]
    assert others.data.endswith(HAM)
    assert fields(others.data, "X-.*") == []


@pytest.mark.parametrize("trusted", [False, True])
def test_forged_fields_go_from_outside_and_stay_from_trusted(filtering: Filtering, sink: Sink, trusted: bool) -> None:
    mpp = filtering(networks={"trusted": ["127.0.0.0/8"] if trusted else []})
    forged = b"X-Spam-Forged: yes\r\nAuthentication-Results: mpp.example; spf=pass\r\n"
    foreign = b"Authentication-Results: other.example; spf=pass\r\n"
    assert send(mpp, forged + foreign + HAM) is None
    (arrived,) = sink.wait(1)
    assert fields(arrived.data, "X-Spam-Forged") == ["yes"] * trusted
    results = fields(arrived.data, "Authentication-Results")
    assert results == (["mpp.example; spf=pass"] if trusted else []) + ["other.example; spf=pass"]


def test_scan_says_what_the_log_says(filtering: Filtering, sink: Sink, tmp_path: Path) -> None:
    mpp = filtering(policies={"default": {"reject_above": "off"}})
    mails = {"ham": HAM, "gtube": GTUBE, "zip": zipped()}
    for name, mail in mails.items():
        since = len(mpp.lines)
        send(mpp, mail)
        logged = mpp.wait_for(r"event=message .* verdict=(\S+) score=(\S+) .*findings=(\S+)", since=since)
        file = tmp_path / f"{name}.eml"
        file.write_bytes(mail)
        options = ["--rcpt", "bob@example.org", "--from", "ann@example.net", str(file)]
        done = run("scan", "--json", "--settings", str(mpp.file), *options)
        scanned = json.loads(done.stdout)
        assert done.returncode == (0 if scanned["verdict"] == "clean" else 1)
        assert scanned["verdict"] == logged[1]
        assert scanned["score"] == pytest.approx(float(logged[2]), abs=2)  # what depends on the last hop may differ
        found = {
            finding["symbol"]
            for finding in scanned["findings"]
            if finding["check"] == "clamav" or "GTUBE" in finding["symbol"]
        }
        assert all(symbol in mpp.lines[-1] for symbol in found)
