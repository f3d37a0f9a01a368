"""Command lines: what is read, what is refused with which reply."""

import pytest

from mpp.protocols.smtp.commands import (
    Bdat,
    Data,
    Expand,
    Fatal,
    Hello,
    Help,
    Invalid,
    Mail,
    Noop,
    Parsed,
    Quit,
    Rcpt,
    Reset,
    StartTls,
    Verify,
    Xclient,
    Xforward,
    parse_command,
)

LONG = "d" * 60


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b"HELO mx.example.org", Hello("HELO", "mx.example.org")),
        (b"ehlo [192.0.2.1]", Hello("EHLO", "[192.0.2.1]")),
        (b"EHLO under_score ", Hello("EHLO", "under_score")),
        (b"LHLO " + b"x" * 255, Hello("LHLO", "x" * 255)),
        (b"MAIL FROM:<a@example.org>", Mail("a@example.org", {})),
        (b"mail from: <a@example.org>", Mail("a@example.org", {})),
        (b"MAIL FROM:<>", Mail("", {})),
        (b"MAIL FROM:<> SIZE=5 BODY=8bitmime", Mail("", {"SIZE": "5", "BODY": "8bitmime"})),
        (b'MAIL FROM:<"a>b c"@example.org>', Mail('"a>b c"@example.org', {})),
        (b'MAIL FROM:<"a\\"b"@example.org>', Mail('"a\\"b"@example.org', {})),
        (b"MAIL FROM:<@x.example,@y.example:a@example.org>", Mail("a@example.org", {})),
        ("MAIL FROM:<ü@example.org> SMTPUTF8".encode(), Mail("ü@example.org", {"SMTPUTF8": None})),
        (b"MAIL FROM:<a@example.org> RET=HDRS ENVID=a+2Bb", Mail("a@example.org", {"RET": "HDRS", "ENVID": "a+2Bb"})),
        (b"RCPT TO:<b@[192.0.2.1]>", Rcpt("b@[192.0.2.1]", {})),
        (b"RCPT TO:<PostMaster>", Rcpt("PostMaster", {})),
        (b"RCPT TO:<b%c@example.org>", Rcpt("b%c@example.org", {})),
        (
            b"RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+40example.org",
            Rcpt("b@example.org", {"NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;b+40example.org"}),
        ),
        (b"DATA", Data()),
        (b"data ", Data()),
        (b"BDAT 0 LAST", Bdat(0, last=True)),
        (b"bdat 17", Bdat(17, last=False)),
        (b"STARTTLS", StartTls()),
        (b"RSET", Reset()),
        (b"NOOP", Noop()),
        (b"NOOP anything", Noop()),
        (b"QUIT", Quit()),
        (b"VRFY someone", Verify("someone")),
        (b"EXPN list", Expand("list")),
        (b"HELP", Help("")),
        (b"XCLIENT ADDR=192.0.2.1 name=[UNAVAILABLE]", Xclient({"ADDR": "192.0.2.1", "NAME": None})),
        (b"XFORWARD HELO=a+2Bb SOURCE=local", Xforward({"HELO": "a+b", "SOURCE": "LOCAL"})),
    ],
    ids=lambda value: value.decode("utf-8", "replace")[:40] if isinstance(value, bytes) else "",
)
def test_read(line: bytes, event: Parsed) -> None:
    assert parse_command(line) == event


@pytest.mark.parametrize(
    ("line", "code", "enhanced"),
    [
        (b"", 500, "5.5.2"),
        (b" EHLO a", 500, "5.5.2"),
        (b"FOO", 500, "5.5.2"),
        (b"DATA\0", 500, "5.5.2"),
        (b"EHLO", 501, "5.5.4"),
        (b"EHLO a b", 501, "5.5.4"),
        (b"EHLO a\tb", 501, "5.5.4"),
        (b"EHLO a\0", 501, "5.5.4"),
        (b"EHLO a\x1b[2J", 501, "5.5.4"),
        (b"EHLO a\x7f", 501, "5.5.4"),
        (b"EHLO a\xc2\x85", 501, "5.5.4"),
        (b"EHLO " + b"x" * 256, 501, "5.5.4"),
        (b"DATA now", 501, "5.5.4"),
        (b"RSET now", 501, "5.5.4"),
        (b"QUIT now", 501, "5.5.4"),
        (b"STARTTLS now", 501, "5.5.4"),
        (b"NOOP \0", 501, "5.5.4"),
        (b"VRFY", 501, "5.5.4"),
        (b"VRFY \xff", 501, "5.5.4"),
        (b"EXPN", 501, "5.5.4"),
        (b"AUTH PLAIN AGEAYg==", 502, "5.5.1"),
        (b"ETRN example.org", 502, "5.5.1"),
        (b"TURN", 502, "5.5.1"),
        (b"SEND FROM:<a@example.org>", 502, "5.5.1"),
        (b"MAIL", 501, "5.5.2"),
        (b"MAIL TO:<a@example.org>", 501, "5.5.2"),
        (b"MAIL FROM", 501, "5.5.2"),
        (b"MAIL FROM:", 501, "5.1.7"),
        (b"MAIL FROM:a@example.org", 501, "5.1.7"),
        (b"MAIL FROM:<a@example.org", 501, "5.1.7"),
        (b"MAIL FROM:<a@example.org>x", 501, "5.1.7"),
        (b"MAIL FROM:<a@example.org>SIZE=1", 501, "5.1.7"),
        (b"MAIL FROM:<a>", 501, "5.1.7"),
        (b"MAIL FROM:<postmaster>", 501, "5.1.7"),
        (b"MAIL FROM:<a b@example.org>", 501, "5.1.7"),
        (b"MAIL FROM:<a@example.org\0>", 501, "5.5.4"),
        (b"MAIL FROM:<a@example.org\r>", 501, "5.5.4"),
        (b'MAIL FROM:<"a\nb"@example.org>', 501, "5.5.4"),
        (b"MAIL FROM:<\xff@example.org> SMTPUTF8", 501, "5.5.4"),
        ("MAIL FROM:<\u202ea@example.org> SMTPUTF8".encode(), 501, "5.5.4"),
        ("MAIL FROM:<ü@example.org>".encode(), 550, "5.6.7"),
        (f"MAIL FROM:<{'l' * 65}@example.org>".encode(), 501, "5.1.7"),
        (f"MAIL FROM:<a@{'.'.join([LONG] * 5)}>".encode(), 501, "5.1.7"),
        (b"MAIL FROM:<a@example.org> SIZE", 501, "5.5.4"),
        (b"MAIL FROM:<a@example.org> SIZE=", 501, "5.5.4"),
        (b"MAIL FROM:<a@example.org> SIZE=-1", 501, "5.5.4"),
        (b"MAIL FROM:<a@example.org> SIZE=1 size=2", 501, "5.5.4"),
        (b"MAIL FROM:<a@example.org> SIZE=" + b"9" * 21, 501, "5.5.4"),
        (b"MAIL FROM:<a@example.org> BODY=BINARYMIME", 555, "5.5.4"),
        (b"MAIL FROM:<a@example.org> BODY", 501, "5.5.4"),
        (b"MAIL FROM:<a@example.org> SMTPUTF8=yes", 501, "5.5.4"),
        (b"MAIL FROM:<a@example.org> FOO=1", 555, "5.5.4"),
        (b"MAIL FROM:<a@example.org> AUTH=<>", 555, "5.5.4"),
        (b"MAIL FROM:<a@example.org> NOTIFY=NEVER", 555, "5.5.4"),
        (b"MAIL FROM:<a@example.org> RET=ALL", 501, "5.5.4"),
        (b"MAIL FROM:<a@example.org> ENVID=a+0Ab", 501, "5.5.4"),
        (b"MAIL FROM:<a@example.org> ENVID=" + b"x" * 101, 501, "5.5.4"),
        (b"RCPT TO:<>", 501, "5.1.3"),
        (b"RCPT TO:b@example.org", 501, "5.1.3"),
        (b"RCPT TO:<b@example..org>", 501, "5.1.3"),
        (b"RCPT TO:<b@exa mple.org>", 501, "5.1.3"),
        (b"RCPT TO:<b@example.org>,<c@example.org>", 501, "5.1.3"),
        (f"RCPT TO:<{'l' * 65}@example.org>".encode(), 501, "5.1.3"),
        (b"RCPT TO:<b@example.org> NOTIFY=NEVER,DELAY", 501, "5.5.4"),
        (b"RCPT TO:<b@example.org> NOTIFY=DELAY,DELAY", 501, "5.5.4"),
        (b"RCPT TO:<b@example.org> ORCPT=nothing", 501, "5.5.4"),
        (b"RCPT TO:<b@example.org> ORCPT=rfc822;a+0D+0Ab", 501, "5.5.4"),
        (b"RCPT TO:<b@example.org> SIZE=1", 555, "5.5.4"),
        (b"XCLIENT", 501, "5.5.4"),
        (b"XCLIENT ADDR", 501, "5.5.4"),
        (b"XCLIENT FOO=1", 501, "5.5.4"),
        (b"XCLIENT ADDR=192.0.2.256", 501, "5.5.4"),
        (b"XCLIENT ADDR=example.org", 501, "5.5.4"),
        (b"XCLIENT PORT=65536", 501, "5.5.4"),
        (b"XCLIENT PROTO=HTTP", 501, "5.5.4"),
        (b"XCLIENT HELO=a+0D+0Ab", 501, "5.5.4"),
        (b"XCLIENT LOGIN=a+00", 501, "5.5.4"),
        (b"XCLIENT NAME=a NAME=b", 501, "5.5.4"),
        (b"XFORWARD LOGIN=a", 501, "5.5.4"),
        (b"XFORWARD SOURCE=MARS", 501, "5.5.4"),
    ],
    ids=lambda value: value.decode("utf-8", "replace")[:50] if isinstance(value, bytes) else "",
)
def test_refused(line: bytes, code: int, enhanced: str) -> None:
    event = parse_command(line)
    assert isinstance(event, Invalid)
    assert (event.reply.code, event.reply.enhanced) == (code, enhanced)
    assert event.command == line[:256]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"GET / HTTP/1.1", 554),
        (b"post /x HTTP/1.0", 554),
        (b"CONNECT mail.example.org:25 HTTP/1.1", 554),
        (b"Host: mail.example.org", 554),
        (b"BDAT", 521),
        (b"BDAT x", 521),
        (b"BDAT -1", 521),
        (b"BDAT 0x10", 521),
        (b"BDAT 1 LAST x", 521),
        (b"BDAT 1\0", 521),
        (b"BDAT\t1", 521),
        (b"BDAT " + b"9" * 20, 521),
    ],
)
def test_no_way_on(line: bytes, code: int) -> None:
    event = parse_command(line)
    assert isinstance(event, Fatal)
    assert event.reply.code == code


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("IPV6:2001:DB8:0::1", "2001:db8::1"),
        ("IPv6:::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[TEMPUNAVAIL]", None),
    ],
)
def test_addresses_of_xclient_have_one_form(given: str, read: str | None) -> None:
    assert parse_command(f"XCLIENT ADDR={given}".encode()) == Xclient({"ADDR": read})
