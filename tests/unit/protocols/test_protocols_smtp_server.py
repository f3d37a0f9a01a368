"""The server codec as dialogues: what the client sends, what it is answered, what the session sees."""

from collections.abc import Callable

import pytest

from mpp.protocols.errors import NEED_DATA, LocalProtocolError
from mpp.protocols.smtp.reply import Reply
from mpp.protocols.smtp.server import (
    Content,
    Data,
    Event,
    Fatal,
    Hello,
    Invalid,
    Mail,
    Quit,
    Rcpt,
    ServerCodec,
    StartTls,
    Xclient,
    Xforward,
)

OK = Reply(250, "2.0.0", "Ok")
GO = Reply(354, "", "Go")
READY = Reply(220, "", "Ready")
NO = Reply(550, "5.7.1", "No")
OFFERED = ("PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING")
PROXY = (*OFFERED, "XCLIENT NAME ADDR", "XFORWARD NAME ADDR")

Answers = Callable[[Event], Reply]


def usual(event: Event) -> Reply:
    """The session of these dialogues: takes all but recipients called no@, reads nothing away."""
    match event:
        case Invalid() | Fatal():
            return event.reply
        case Data():
            return GO
        case StartTls() | Xclient():
            return READY
        case Rcpt(address="no@example.net"):
            return NO
        case Quit():
            return Reply(221, "2.0.0", "Bye")
        case _:
            return OK


def talk(codec: ServerCodec, wire: bytes, answers: Answers = usual) -> list[tuple[str, str]]:
    """Send `wire`; return each event's name with the codes of its reply."""
    codec.receive_data(wire)
    seen = []
    while (event := codec.next_event()) is not NEED_DATA:
        assert codec.owes
        assert codec.next_event() is NEED_DATA
        sent = codec.send_hello("mx.example.net") if isinstance(event, Hello) else codec.send(answers(event))
        seen.append((type(event).__name__, " ".join(line[:3].decode() for line in sent.splitlines())))
    return seen


def codes(wire: bytes, **options: object) -> str:
    """The last code of each reply in a fresh dialogue."""
    options.setdefault("extensions", OFFERED)
    return " ".join(code.split()[-1] for _, code in talk(ServerCodec(**options), wire))  # type: ignore[arg-type]


HELLO = b"EHLO client.example.org\r\n"
MAIL = b"MAIL FROM:<a@example.org>\r\n"
RCPT = b"RCPT TO:<b@example.net>\r\n"
BAD_RCPT = b"RCPT TO:<no@example.net>\r\n"
END = b"text\r\n.\r\n"


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        pytest.param(
            HELLO + MAIL + RCPT + b"DATA\r\n" + END + b"QUIT\r\n",
            "250 250 250 354 250 221",
            id="one message, pipelined",
        ),
        pytest.param(
            (HELLO + (MAIL + RCPT + b"DATA\r\n" + END) * 2), "250 250 250 354 250 250 250 354 250", id="two messages"
        ),
        pytest.param(b"HELO a\r\n" + MAIL, "250 250", id="HELO"),
        pytest.param(MAIL + RCPT + b"DATA\r\n", "503 503 503", id="before EHLO"),
        pytest.param(b"NOOP\r\nRSET\r\nVRFY x\r\nHELP\r\nQUIT\r\n", "250 250 250 250 221", id="allowed before EHLO"),
        pytest.param(HELLO + RCPT + b"DATA\r\n", "250 503 503", id="before MAIL"),
        pytest.param(HELLO + MAIL + MAIL, "250 250 503", id="nested MAIL"),
        pytest.param(HELLO + MAIL + b"DATA\r\n", "250 250 554", id="no recipient"),
        pytest.param(HELLO + MAIL + BAD_RCPT + b"DATA\r\n", "250 250 550 554", id="no recipient accepted"),
        pytest.param(HELLO + MAIL + RCPT + b"RSET\r\n" + RCPT, "250 250 250 250 503", id="RSET ends the transaction"),
        pytest.param(HELLO + MAIL + RCPT + HELLO + RCPT, "250 250 250 250 503", id="EHLO ends the transaction"),
        pytest.param(
            HELLO + MAIL + RCPT + b"DATA\r\n" + END + RCPT, "250 250 250 354 250 503", id="content ends the transaction"
        ),
        pytest.param(b"LHLO a\r\n", "500", id="LHLO is LMTP's"),
        pytest.param(HELLO + b"MAIL FROM:<> SIZE=1000\r\n", "250 250", id="SIZE at the limit"),
        pytest.param(HELLO + b"MAIL FROM:<> SIZE=1001\r\n", "250 552", id="SIZE over the limit"),
        pytest.param(HELLO + b"MAIL FROM:<> RET=FULL\r\n", "250 555", id="DSN not offered"),
        pytest.param(
            HELLO + MAIL + b"RCPT TO:<b@example.net> NOTIFY=NEVER\r\n", "250 250 555", id="DSN not offered at RCPT"
        ),
        pytest.param(
            HELLO + MAIL + "RCPT TO:<ü@example.net>\r\n".encode(), "250 250 553", id="8-bit address without SMTPUTF8"
        ),
        pytest.param(
            HELLO + b"MAIL FROM:<> SMTPUTF8\r\n" + "RCPT TO:<ü@example.net>\r\n".encode(),
            "250 250 250",
            id="8-bit address with SMTPUTF8",
        ),
        pytest.param(HELLO + b"STARTTLS\r\n", "250 502", id="STARTTLS not offered"),
        pytest.param(HELLO + b"XCLIENT NAME=a\r\nXFORWARD NAME=a\r\n", "250 550 550", id="XCLIENT not offered"),
        pytest.param(b"QUIT\r\nNOOP\r\n", "221", id="nothing after QUIT"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nNOOP\r\n", "554", id="a browser"),
        # line ends of commands
        pytest.param(b"NOOP\nNOOP\r\n", "521", id="LF ends no command"),
        pytest.param(b"NOOP\rNOOP\r\n", "521", id="CR ends no command"),
        pytest.param(b"NOOP\r\r\n", "521", id="CRCRLF"),
        pytest.param(b"\n", "521", id="LF alone"),
        pytest.param(b"\r\n", "500", id="empty line"),
        pytest.param(HELLO + MAIL + b"RCPT TO:<b@example.net>\nDATA\r\n", "250 250 521", id="RCPT with LF"),
        # over-long lines
        pytest.param(b"NOOP " + b"x" * 2041 + b"\r\nNOOP\r\n", "250 250", id="2048 octets"),
        pytest.param(b"NOOP " + b"x" * 2042 + b"\r\nNOOP\r\n", "500 250", id="2049 octets"),
        pytest.param(b"NOOP " + b"x" * 300_000 + b"\r\nNOOP\r\n", "500 250", id="300,000 octets"),
        pytest.param(b"NOOP " + b"x" * 3000 + b"\nNOOP\r\n", "521", id="over-long with LF"),
        pytest.param(b"NOOP " + b"x" * 3000 + b"\rMAIL\r\n", "521", id="over-long with CR"),
        pytest.param(b"NOOP " + b"x" * 3000 + b"\r\r\n", "521", id="over-long with CRCRLF"),
        pytest.param(b"EHLO a\0b\r\nNOOP\r\n", "501 250", id="NUL in a command"),
        # BDAT
        pytest.param(HELLO + MAIL + RCPT + b"BDAT 6 LAST\r\ntext\r\nNOOP\r\n", "250 250 250 250 250", id="BDAT LAST"),
        pytest.param(
            HELLO + MAIL + RCPT + b"BDAT 2\r\nteBDAT 2\r\nxtBDAT 0 LAST\r\n",
            "250 250 250 250 250 250",
            id="three chunks",
        ),
        pytest.param(
            HELLO + MAIL + RCPT + b"BDAT 4\r\nQUITDATA\r\nRSET\r\n", "250 250 250 250 503 250", id="DATA after BDAT"
        ),
        pytest.param(
            HELLO + MAIL + RCPT + b"BDAT 4\r\nQUIT" + RCPT + MAIL, "250 250 250 250 503 503", id="RCPT after BDAT"
        ),
        pytest.param(
            HELLO + MAIL + BAD_RCPT + b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
            "250 250 550 554 250",
            id="BDAT without recipient",
        ),
        pytest.param(HELLO + b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "250 503 250", id="BDAT without MAIL"),
        pytest.param(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "503 250", id="BDAT before EHLO"),
        pytest.param(HELLO + MAIL + RCPT + b"BDAT x\r\nQUIT\r\n", "250 250 250 521", id="BDAT without size"),
        pytest.param(
            HELLO + MAIL + RCPT + b"BDAT 1001\r\n" + b"x" * 1001 + b"BDAT 1 LAST\r\nxNOOP\r\n",
            "250 250 250 552 503 250",
            id="too large a chunk ends the transaction",
        ),
        pytest.param(
            HELLO + MAIL + RCPT + b"DATA\r\nBDAT 9 LAST\r\n.\r\nNOOP\r\n",
            "250 250 250 354 250 250",
            id="BDAT in DATA is text",
        ),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["at once", "octet by octet"])
def test_dialogue(wire: bytes, expected: str, whole: bool) -> None:
    if whole or len(wire) > 10_000:
        assert codes(wire, max_size=1000) == expected
        return
    codec = ServerCodec(max_size=1000, extensions=OFFERED)
    seen = [code for octet in wire for _, code in talk(codec, bytes([octet]))]
    assert " ".join(code.split()[-1] for code in seen) == expected


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        pytest.param(
            b"LHLO a\r\n" + MAIL + RCPT + RCPT + BAD_RCPT + b"DATA\r\n" + END,
            "250 250 250 250 550 354 250 250",
            id="reply each",
        ),
        pytest.param(
            b"LHLO a\r\n" + MAIL + RCPT + RCPT + b"BDAT 1\r\nxBDAT 0 LAST\r\n", "250 250 250 250 250 250 250", id="BDAT"
        ),
        pytest.param(b"LHLO a\r\n" + MAIL + BAD_RCPT + b"DATA\r\n", "250 250 550 503", id="no recipient"),
        pytest.param(b"EHLO a\r\nHELO a\r\n", "500 500", id="EHLO is SMTP's"),
    ],
)
def test_lmtp(wire: bytes, expected: str) -> None:
    seen = talk(ServerCodec(lmtp=True, extensions=OFFERED), wire)
    assert " ".join(code if event == "Content" else code.split()[-1] for event, code in seen) == expected


def test_lmtp_answers_each_recipient_in_order() -> None:
    codec = ServerCodec(lmtp=True)
    talk(codec, b"LHLO a\r\n" + MAIL + RCPT + RCPT + b"DATA\r\n")
    codec.receive_data(END)
    assert isinstance(codec.next_event(), Content)
    with pytest.raises(LocalProtocolError):
        codec.send_each([OK])
    assert codec.send_each([OK, NO]) == OK.wire + NO.wire
    assert codec.accepted == 0


def test_ehlo_lists_what_is_offered_now() -> None:
    codec = ServerCodec(extensions=("PIPELINING", "SIZE 10"))
    codec.receive_data(HELLO * 2 + b"HELO a\r\n")
    codec.next_event()
    assert codec.send_hello("mx.example.net") == b"250-mx.example.net\r\n250-PIPELINING\r\n250 SIZE 10\r\n"
    codec.extensions = ("STARTTLS",)
    codec.next_event()
    assert codec.send_hello("mx.example.net") == b"250-mx.example.net\r\n250 STARTTLS\r\n"
    codec.next_event()
    assert codec.send_hello("mx.example.net") == b"250 mx.example.net\r\n"


def test_usual_extensions_tell_the_size() -> None:
    assert "SIZE 1234" in ServerCodec(max_size=1234).extensions


def test_nothing_sent_before_the_handshake_survives_it() -> None:
    codec = ServerCodec(extensions=(*OFFERED, "STARTTLS"))
    talk(codec, HELLO)
    assert talk(codec, b"STARTTLS\r\n" + MAIL + RCPT) == [("StartTls", "220")]
    assert talk(codec, b"NOOP\r\n") == []  # in the clear, between our 220 and the handshake
    codec.reset_for_tls()
    assert talk(codec, MAIL + HELLO + MAIL) == [
        ("Invalid", "503"),
        ("Hello", "250 250 250 250 250 250 250 250"),
        ("Mail", "250"),
    ]


def test_octets_that_nobody_asked_for_do_not_survive_the_handshake() -> None:
    codec = ServerCodec(extensions=(*OFFERED, "STARTTLS"))
    talk(codec, HELLO)
    codec.receive_data(b"STARTTLS\r\nNOOP\r\nNO")
    assert isinstance(codec.next_event(), StartTls)
    codec.send(READY)
    codec.receive_data(b"OP\r\nNOOP\r\n")
    codec.reset_for_tls()
    assert talk(codec, b"") == []
    assert talk(codec, b"NOOP\r\n") == [("Noop", "250")]


def test_refused_starttls_changes_nothing() -> None:
    codec = ServerCodec(extensions=(*OFFERED, "STARTTLS"))
    assert [event for event, _ in talk(codec, HELLO + b"STARTTLS\r\n" + MAIL, lambda _event: OK)] == [
        "Hello",
        "StartTls",
        "Mail",
    ]


def test_xclient_restarts_the_dialogue() -> None:
    codec = ServerCodec(extensions=PROXY)
    talk(codec, HELLO)
    assert [code for _, code in talk(codec, b"XCLIENT ADDR=192.0.2.1\r\n" + MAIL)] == ["220", "503"]


@pytest.mark.parametrize("command", [b"XCLIENT ADDR=192.0.2.1\r\n", b"XFORWARD ADDR=192.0.2.1\r\n"])
def test_proxy_commands_in_a_transaction(command: bytes) -> None:
    assert codes(HELLO + MAIL + command, extensions=PROXY) == "250 250 503"


def test_xforward_reaches_the_session() -> None:
    codec = ServerCodec(extensions=PROXY)
    codec.receive_data(b"XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1\r\n")
    assert codec.next_event() == Xforward({"NAME": None, "ADDR": "192.0.2.1"})


def content_of(wire: bytes, **options: object) -> Content:
    codec = ServerCodec(**options)  # type: ignore[arg-type]
    seen: list[Event] = []
    talk(codec, HELLO + MAIL + RCPT + wire, lambda event: (seen.append(event), usual(event))[1])
    (content,) = (event for event in seen if isinstance(event, Content))
    assert codec.held == 0
    return content


def test_content_too_large_is_read_away() -> None:
    content = content_of(b"DATA\r\n" + b"x" * 99 + b"\r\n.\r\n", max_size=100)
    assert content == Content(b"", too_large=True)


def test_last_chunk_too_large() -> None:
    assert content_of(b"BDAT 101 LAST\r\n" + b"x" * 101, max_size=100) == Content(b"", too_large=True, chunked=True)


def test_long_line_is_told_and_kept() -> None:
    content = content_of(b"DATA\r\n" + b"x" * 99 + b"\r\n.\r\n", max_line=98)
    assert content == Content(b"x" * 99 + b"\r\n", long_line=True)


def test_held_counts_what_came() -> None:
    codec = ServerCodec()
    assert not codec.receiving
    talk(codec, HELLO + MAIL + RCPT + b"DATA\r\n" + b"x" * 5000)
    assert codec.receiving
    assert codec.held == 5000


@pytest.mark.parametrize(
    ("begin", "received"),
    [
        pytest.param(MAIL + RCPT + b"DATA\r\n", 300, id="DATA, too large"),
        pytest.param(MAIL + RCPT + b"BDAT 900\r\n", 300, id="BDAT, too large"),
        pytest.param(b"BDAT 900\r\n", 300, id="BDAT refused"),
        pytest.param(MAIL + RCPT, 0, id="no content"),
    ],
)
def test_received_counts_what_is_read_away_too(begin: bytes, received: int) -> None:
    codec = ServerCodec(max_size=100)
    talk(codec, HELLO + begin + b"x" * received)
    assert (codec.received, codec.held) == (received, 0)


@pytest.mark.parametrize("early", [True, False], ids=["before DATA", "within it"])
def test_discard(early: bool) -> None:
    codec = ServerCodec()
    talk(codec, HELLO + MAIL + RCPT)
    if early:
        codec.discard()
    talk(codec, b"DATA\r\n" + b"x" * 5000)
    if not early:
        codec.discard()
    assert codec.held == 0
    codec.receive_data(b"\r\n.\r\n")
    assert codec.next_event() == Content(b"", discarded=True)
    codec.send(OK)
    talk(codec, MAIL + RCPT + b"DATA\r\n")
    codec.receive_data(b"x\r\n.\r\n")
    assert codec.next_event() == Content(b"x\r\n")  # the next transaction is another


def test_discard_between_chunks() -> None:
    codec = ServerCodec()
    talk(codec, HELLO + MAIL + RCPT + b"BDAT 1\r\nx")
    codec.discard()
    assert talk(codec, b"BDAT 1\r\nxBDAT 1 LAST\r\nx" + MAIL) == [
        ("Invalid", "452"),
        ("Invalid", "503"),
        ("Mail", "250"),
    ]


def test_refused_chunk_ends_the_transaction() -> None:
    codec = ServerCodec()
    talk(codec, HELLO + MAIL + RCPT)
    assert [
        code for _, code in talk(codec, b"BDAT 1\r\nxBDAT 1 LAST\r\nx", lambda event: getattr(event, "reply", NO))
    ] == ["550", "503"]


def test_refused_data_leaves_no_door_open() -> None:
    codec = ServerCodec()
    talk(codec, HELLO + MAIL + RCPT)
    assert talk(codec, b"DATA\r\n", lambda _event: NO) == [("Data", "550")]
    assert not codec.receiving


@pytest.mark.parametrize("code", [421, 521])
def test_nothing_is_read_after_a_reply_that_ends_the_connection(code: int) -> None:
    codec = ServerCodec()
    assert len(talk(codec, b"NOOP\r\nNOOP\r\n", lambda _event: Reply(code, "", "Bye"))) == 1
    assert codec.closed
    assert talk(codec, b"NOOP\r\n") == []


def test_overlong_command_is_told_without_octets_of_the_next() -> None:
    codec = ServerCodec(max_command=20)
    codec.receive_data(b"x" * 21 + b"\r\nNOOP\r\n")
    event = codec.next_event()
    assert isinstance(event, Invalid)
    assert event.command == b"x" * 20


def test_size_limit_may_change() -> None:
    codec = ServerCodec(max_size=10)
    assert [code for _, code in talk(codec, HELLO + b"MAIL FROM:<> SIZE=11\r\n")][-1] == "552"
    codec.max_size = 11
    assert [code for _, code in talk(codec, b"MAIL FROM:<> SIZE=11\r\n")] == ["250"]


def test_our_own_mistakes() -> None:
    codec = ServerCodec()
    with pytest.raises(LocalProtocolError):
        codec.send(OK)
    with pytest.raises(LocalProtocolError):
        codec.send_hello("mx.example.net")
    codec.receive_data(HELLO + MAIL)
    assert isinstance(codec.next_event(), Hello)
    with pytest.raises(LocalProtocolError):
        codec.send_each([OK])
    codec.send(OK)
    assert isinstance(codec.next_event(), Mail)
    with pytest.raises(LocalProtocolError):
        codec.hello_reply("mx.example.net")
