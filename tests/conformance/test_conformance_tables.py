"""What header_checks and body_checks change: by the rules here, and by a Postfix with the same tables, octet for octet."""

import re
import smtplib
from datetime import datetime
from pathlib import Path

import pytest

from mpp.checks.content.rules import Rules
from mpp.checks.content.settings import Content, Filter
from mpp.cli.programs import free_port
from mpp.mail.edits import apply_edits
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.verdict.decide import decide
from mpp.verdict.policy import Marks
from mpp.verdict.transaction import Transaction
from servers import postfix
from servers.sink import Sink

HEADERS = rb"""
/^X-Secret:/ IGNORE
/^X-Old: (.*)$/ REPLACE X-New: $1
/^(Content-Disposition: .*filename=".*)\.exe(.*)$/ REPLACE ${1}.exe.txt$2
"""
BODY = rb"""
/^internal:/ IGNORE
/^also internal/ STRIP for us
/^call (\d+)(.*)$/ REPLACE call 0-$1$2
/^quoted/ PREPEND > on behalf of another
/^long/ REPLACE short
/^quiet/ DUNNO
/^--b$/ PREPEND a part:
/^--b--/ REPLACE --b--
"""
MAIL = b"\r\n".join(
    (
        b"From: ann@example.net",
        b"To: bob@example.org",
        b"Subject: Lunch",
        b"Date: Mon, 04 May 2026 09:12:31 +0200",
        b"Message-ID: <1@example.net>",
        b"X-Secret: one",
        b"X-Old: a",
        b"\tfolded value",
        b"X-Secret: two,",
        b" folded",
        b"X-Old: a second",
        b"MIME-Version: 1.0",
        b'Content-Type: multipart/mixed; boundary="b"',
        b"",
        b"internal: the preamble is no part's line",
        b"--b",
        b"Content-Type: text/plain; charset=iso-8859-1",
        b"Content-Transfer-Encoding: 8bit",
        b"",
        b"internal: 1",
        b"internal: 1",
        b"call 4711 \xfcber",
        b"call 4711 \xfcber",
        b"also internal",
        b"",
        b"quoted",
        b"quiet internal:",
        b"long" + b"x" * 2044 + b"the second piece stays",
        b"internal: the last line",
        b"--b",
        b'Content-Type: application/octet-stream; name="a.exe"',
        b'Content-Disposition: attachment; filename="a.exe"',
        b"",
        b"call 1",
        b"--b",
        b"Content-Type: message/rfc822",
        b"",
        b"Subject: within",
        b"X-Secret: three",
        b"",
        b"internal: within",
        b"--b--",
        b"internal: behind all parts",
        b"",
    )
)


def by_rules(*tables: Filter) -> bytes:
    message = Message(MAIL)
    transaction = Transaction(
        id="1", envelope=Envelope("ann@example.net", (Recipient("bob@example.org"),)), client=Client("192.0.2.1"),
        message=message, size=len(MAIL), listener="mx", stage="edge", direction="inbound", trusted=False,
        ours=frozenset({"bob@example.org"}), policies={}, hostname="mx.example",
    )  # fmt: skip
    findings = Rules(tables, Content()).examine(message, transaction, datetime.now().astimezone())
    (fate,) = decide(transaction, Marks(virus_scanned=""), findings).fates.values()
    return b"".join(apply_edits(MAIL, fate.edits))


@pytest.mark.parametrize("kinds", [("header",), ("body",), ("header", "body")])
def test_lines_are_changed_as_postfix_changes_them(kinds: tuple[str, ...], tmp_path: Path, sink: Sink) -> None:
    parameters, rules = {"smtp_line_length_limit": "0"}, []
    for kind in kinds:
        table = tmp_path / kind
        table.write_bytes(HEADERS if kind == "header" else BODY)
        table.chmod(0o644)
        parameters[f"{kind}_checks"] = f"pcre:{table}"
        rules.append(Filter(name=kind, where=kind, map=f"pcre:{table}"))
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o11)  # Postfix reads as a user of its own
    with (
        postfix.client(free_port(), sink.address, parameters) as front,
        smtplib.SMTP("127.0.0.1", front.port) as client,
    ):
        client.sendmail("ann@example.net", ["bob@example.org"], MAIL, ["BODY=8BITMIME"])
        (arrived,) = sink.wait(1, timeout_s=30)
    theirs = re.sub(rb"\AReceived: .*\r\n(?:[ \t].*\r\n)*", b"", arrived.data)
    assert by_rules(*rules) == theirs
