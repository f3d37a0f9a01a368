"""Dialogues of the SMTP and LMTP client codec: commands in, octets out; octets in, answers out."""

import pytest

from mpp.protocols.errors import NEED_DATA, LocalProtocolError, RemoteProtocolError
from mpp.protocols.smtp.client import (
    MAX_LINE,
    MAX_LINES,
    SLICE,
    Answer,
    ClientCodec,
    Data,
    EndOfData,
    Greeting,
    Hello,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Reset,
    StartTls,
    Xclient,
    Xforward,
    attribute_groups,
    parse_extensions,
)
from mpp.protocols.smtp.dots import stuffed


def greeted(*, lmtp: bool = False) -> ClientCodec:
    codec = ClientCodec(lmtp=lmtp)
    codec.receive_data(b"220 mx.example.org ESMTP\r\n")
    assert isinstance(codec.next_event(), Answer)
    return codec


def answers(codec: ClientCodec, wire: bytes) -> list[Answer]:
    codec.receive_data(wire)
    events = []
    while (event := codec.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def codes(codec: ClientCodec, wire: bytes) -> list[tuple[str, int]]:
    return [(type(answer.command).__name__, answer.reply.code) for answer in answers(codec, wire)]


def test_a_whole_delivery_in_two_round_trips() -> None:
    codec = greeted()
    assert codec.send(Hello("mpp.example.net")) == b"EHLO mpp.example.net\r\n"
    assert codes(codec, b"250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 8BITMIME\r\n") == [
        ("Hello", 250)
    ]
    assert codec.extensions == {"PIPELINING": "", "SIZE": "1000", "8BITMIME": ""}
    group = codec.send(Mail("a@example.net", {"SIZE": "5", "SMTPUTF8": None}), Rcpt("b@example.org"), Data())
    assert group == b"MAIL FROM:<a@example.net> SIZE=5 SMTPUTF8\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
    assert codes(codec, b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go\r\n") == [("Mail", 250), ("Rcpt", 250), ("Data", 354)]
    assert codec.send_body([b"x: y\r\n\r\n", b".dot\r\n"]) == b"x: y\r\n\r\n..dot\r\n.\r\n"
    (answer,) = answers(codec, b"250 2.0.0 Ok: queued as 4X\r\n")
    assert answer.command == EndOfData()
    assert (answer.reply.code, answer.reply.enhanced, answer.reply.lines) == (250, "2.0.0", ("Ok: queued as 4X",))
    assert codec.waiting == 0
    assert codec.send(Quit()) == b"QUIT\r\n"


def test_the_null_reverse_path_is_written_as_one() -> None:
    assert greeted().send(Mail("")) == b"MAIL FROM:<>\r\n"


def test_lmtp_answers_the_body_for_each_accepted_recipient() -> None:
    codec = greeted(lmtp=True)
    assert codec.send(Hello("mpp")) == b"LHLO mpp\r\n"
    answers(codec, b"250 hi\r\n")
    codec.send(Mail("a@b.example"), Rcpt("one@x.example"), Rcpt("two@x.example"), Rcpt("three@x.example"), Data())
    answers(codec, b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n")
    codec.send_body([b"hi\r\n"])
    got = answers(codec, b"250 stored\r\n452 4.2.2 full\r\n")
    assert [(answer.command, answer.reply.code) for answer in got] == [
        (EndOfData("one@x.example"), 250),
        (EndOfData("three@x.example"), 452),
    ]


def test_a_new_transaction_forgets_the_recipients_of_the_last() -> None:
    codec = greeted(lmtp=True)
    codec.send(Mail("a@b.example"), Rcpt("old@x.example"), Reset(), Mail("a@b.example"), Rcpt("new@x.example"), Data())
    answers(codec, b"250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    codec.send_body([])
    assert codec.waiting == 1


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"hello\r\n", "not a reply"),
        (b"25 ok\r\n", "not a reply"),
        (b"150 ok\r\n", "not a reply"),
        (b"650 ok\r\n", "not a reply"),
        (b"250_ok\r\n", "not a reply"),
        (b"\r\n", "not a reply"),
        (b"250-a\r\n251 b\r\n", "the code changes"),
        (b"250-a\r\nhello\r\n", "not a reply"),
        (b"250-a\r\n" * (MAX_LINES + 1), "lines"),
        (b"250 " + b"a" * MAX_LINE + b"\r\n", "not a reply"),
        (b"250 " + b"a" * MAX_LINE, "octets"),
        (b"250 ok\r\n250 again\r\n", "nothing asked for"),
        (b"354 go on\r\n", "354 in answer to Noop"),
    ],
)
def test_garbage_is_the_servers_fault(wire: bytes, why: str) -> None:
    codec = greeted()
    codec.send(Noop())
    with pytest.raises(RemoteProtocolError, match=why):
        answers(codec, wire)


def test_data_is_not_accepted_with_250() -> None:
    codec = greeted()
    codec.send(Data())
    with pytest.raises(RemoteProtocolError, match="250 in answer to Data"):
        answers(codec, b"250 ok\r\n")


def test_bare_line_feeds_end_replies_and_a_code_alone_is_one() -> None:
    codec = greeted()
    codec.send(Noop(), Reset())
    assert codes(codec, b"250 ok\n250\n") == [("Noop", 250), ("Reset", 250)]


def test_control_characters_are_kept_out_of_lines() -> None:
    codec = greeted()
    codec.send(Noop(), Noop())
    first, second = answers(codec, b"550 a\x1b[31m\x00\rb\r\n550-x\x07\r\n550 \xff\r\n")
    assert first.reply.lines == (r"a\x1b[31m\x00\x0db",)
    assert second.reply.lines == (r"x\x07", r"\xff")


@pytest.mark.parametrize(
    ("wire", "enhanced", "lines"),
    [
        (b"550 5.1.1 unknown\r\n", "5.1.1", ("unknown",)),
        (b"550-5.1.1 one\r\n550-5.1.10 two\r\n550 5.1.1\r\n", "5.1.1", ("one", "5.1.10 two", "")),
        (b"550 5.1.1\r\n", "5.1.1", ("",)),
        (b"550 4.1.1 of another class\r\n", "", ("4.1.1 of another class",)),
        (b"550 5.1.1234 no\r\n", "", ("5.1.1234 no",)),
        (b"550 5.1.1x\r\n", "", ("5.1.1x",)),
    ],
)
def test_enhanced_codes(wire: bytes, enhanced: str, lines: tuple[str, ...]) -> None:
    codec = greeted()
    codec.send(Noop())
    (answer,) = answers(codec, wire)
    assert (answer.reply.enhanced, answer.reply.lines) == (enhanced, lines)


def test_421_asked_and_unasked() -> None:
    codec = greeted()
    codec.send(Mail("a@b.example"), Rcpt("c@d.example"))
    assert codes(codec, b"421 4.3.2 shutting down\r\n") == [("Mail", 421)]
    codec = greeted()
    (answer,) = answers(codec, b"421 timeout\r\n")
    assert answer.command is None
    assert answer.reply.transient


def test_a_greeting_may_refuse() -> None:
    codec = ClientCodec()
    (answer,) = answers(codec, b"554-go\r\n554 away\r\n")
    assert answer.command == Greeting()
    assert answer.reply.permanent
    assert answer.reply.text == "go\naway"


def test_close_with_and_without_answers_due() -> None:
    codec = greeted()
    codec.send(Noop())
    codec.receive_data(b"")
    with pytest.raises(RemoteProtocolError, match="closed"):
        codec.next_event()
    codec = greeted()
    codec.receive_data(b"")
    assert codec.next_event() is NEED_DATA
    assert codec.closed


def test_starttls_forgets_what_was_offered_and_refuses_early_octets() -> None:
    codec = greeted()
    codec.send(Hello("x"))
    answers(codec, b"250-hi\r\n250 STARTTLS\r\n")
    assert codec.send(StartTls()) == b"STARTTLS\r\n"
    answers(codec, b"220 go\r\n")
    assert codec.extensions == {}
    codec = greeted()
    codec.send(StartTls())
    codec.receive_data(b"220 go\r\n250 injected\r\n")
    with pytest.raises(RemoteProtocolError, match="behind"):
        codec.next_event()


def test_a_refused_hello_leaves_no_extensions_and_helo_offers_none() -> None:
    codec = greeted()
    codec.send(Hello("x"))
    answers(codec, b"502 no\r\n")
    assert codec.send(Hello("x", "HELO")) == b"HELO x\r\n"
    answers(codec, b"250-hi\r\n250 SIZE 5\r\n")
    assert codec.extensions == {}


@pytest.mark.parametrize(
    "commands",
    [
        (Data(), Noop()),
        (Hello("x"), Noop()),
        (StartTls(), Noop()),
        (Quit(), Noop()),
        (Xclient({"ADDR": "1"}), Noop()),
        (Hello(""),),
        (Hello("a b"),),
        (Hello("a\r\nRSET"),),
        (Mail("a\r\nRSET@b.example"),),
        (Mail("a b@c.example"),),
        (Mail("a> SIZE=1"),),
        (Rcpt("a\x00@b.example"),),
        (Rcpt("a\ud800@b.example"),),
        (Mail("a@b.example", {"SIZE": "1 2"}),),
        (Mail("a@b.example", {"SI ZE": None}),),
        (Mail("a@b.example", {"ENVID": "a\r\nx"}),),
        (Xforward({}),),
        (Xforward({"A B": "c"}),),
    ],
)
def test_what_must_not_be_sent_is_not_sent(commands: tuple[Noop, ...]) -> None:
    codec = greeted()
    with pytest.raises(LocalProtocolError):
        codec.send(*commands)


def test_nothing_is_sent_before_the_greeting_or_where_a_body_is_due() -> None:
    codec = ClientCodec()
    with pytest.raises(LocalProtocolError, match="Greeting"):
        codec.send(Noop())
    codec = greeted()
    with pytest.raises(LocalProtocolError, match="no body"):
        codec.send_body([b"x"])
    codec.send(Data())
    with pytest.raises(LocalProtocolError, match="Data"):
        codec.send(Noop())
    answers(codec, b"354 go\r\n")
    with pytest.raises(LocalProtocolError, match="body is due"):
        codec.send(Noop())


def test_a_failed_group_leaves_no_answer_expected() -> None:
    codec = greeted()
    with pytest.raises(LocalProtocolError):
        codec.send(Noop(), Rcpt("a b"))
    assert codec.waiting == 0


@pytest.mark.parametrize(
    ("buffers", "wire"),
    [
        ([], b".\r\n"),
        ([b""], b".\r\n"),
        ([b"a"], b"a\r\n.\r\n"),
        ([b"a\r\n"], b"a\r\n.\r\n"),
        ([b"."], b"..\r\n.\r\n"),
        ([b".\r\n.\r\n"], b"..\r\n..\r\n.\r\n"),
        ([b"a\r\n", b".b"], b"a\r\n..b\r\n.\r\n"),
        ([b"a\r", b"\n.b"], b"a\r\n..b\r\n.\r\n"),
        ([b"a\r", b"\n", b".b"], b"a\r\n..b\r\n.\r\n"),
        ([b"a\r", b"", b"\n.", b"b"], b"a\r\n..b\r\n.\r\n"),
        ([b"a", b".b"], b"a.b\r\n.\r\n"),
        ([b"a\n.b"], b"a\n.b\r\n.\r\n"),
        ([b"a\r", b"\n"], b"a\r\n.\r\n"),
    ],
)
def test_dots_at_line_starts_are_doubled_over_borders(buffers: list[bytes], wire: bytes) -> None:
    assert b"".join(stuffed(buffers)) == wire
    assert b"".join(stuffed([memoryview(buffer) for buffer in buffers])) == wire


def test_what_needs_no_dot_is_not_copied() -> None:
    plain, dotted = b"plain\r\n" * 100, b"x\r\n.y\r\n"
    got = list(stuffed([plain, dotted, plain]))
    assert got[0] is plain
    assert got[1] == b"x\r\n..y\r\n"
    assert got[2] is plain


def test_a_large_buffer_goes_in_slices_of_itself() -> None:
    large = b"0123456\r\n" * (SLICE // 4)
    got = list(stuffed([large]))
    assert all(len(piece) <= SLICE for piece in got)
    assert all(piece.obj is large for piece in got[:-1] if isinstance(piece, memoryview))
    assert b"".join(got) == large + b".\r\n"


def test_auth_oddities_and_broken_keywords() -> None:
    lines = ["size 10", "AUTH LOGIN PLAIN", "AUTH=LOGIN NTLM", "", "x_y", "XFORWARD NAME ADDR", r"\x00BAD"]
    assert parse_extensions(lines) == {"SIZE": "10", "AUTH": "LOGIN PLAIN NTLM", "XFORWARD": "NAME ADDR"}


def test_xforward_is_xtext() -> None:
    codec = greeted()
    assert codec.send(Xforward({"NAME": "", "HELO": "a b+c=ü"})) == (
        b"XFORWARD NAME=[UNAVAILABLE] HELO=a+20b+2Bc+3D+C3+BC\r\n"
    )


def test_attributes_are_cut_into_commands_of_512_octets() -> None:
    attributes = {"NAME": "n" * 250, "ADDR": "192.0.2.1", "HELO": "h" * 250, "PORT": "25", "IDENT": "i" * 300, "X": "y"}
    groups = attribute_groups(attributes, "name addr HELO IDENT")
    assert groups == [
        {"NAME": "n" * 250, "ADDR": "192.0.2.1"},
        {"HELO": "h" * 250, "IDENT": ""},
    ]
    codec = greeted()
    assert all(len(codec.send(Xforward(group))) <= 512 for group in groups)
