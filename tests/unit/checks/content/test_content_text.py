import pytest

from mpp.checks.content.html import addresses, parsed, text_of, visible_text
from mpp.checks.content.normalise import normalised
from mpp.checks.content.scopes import Scopes
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message


def seen(source: str) -> str:
    tree = parsed(source)
    assert tree is not None
    return visible_text(tree, source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("V<b></b>ia<!-- x -->gra", "Viagra"),
        ("V<span style='display: none'>x</span>iagra", "Viagra"),
        ("V<span style='display&#58;none'>x</span>iagra", "Viagra"),
        ("V<span style='dis/**/play:none'>x</span>iagra", "Viagra"),
        ("V<i style=FONT-SIZE:0>x</i>iagra", "Viagra"),
        ("V<i style='font-size:1px'>x</i>iagra", "Viagra"),
        ("V<i style='visibility:hidden'>x</i>iagra", "Viagra"),
        ("V<i hidden>x</i>iagra", "Viagra"),
        ("<i style='opacity:0'>x</i><i style='opacity:0.9'>y</i>", "y"),
        ("<i style='font-size:12px;max-height:100px'>y</i>", "y"),
        ("V&#105;&#x61;gr&aacute;", "Viagrá"),
        ("a<script>b</script><style>c</style>d", "ad"),
        ("one<br>two<p>three", "one\ntwo\nthree"),
        ("<body style='display:none'>all of it", "all of it"),
        ("", ""),
    ],
)
def test_html_is_what_a_reader_sees(source, text):
    assert seen(source) == text


def test_hidden_text_is_there_for_those_who_ask():
    tree = parsed("V<i hidden>x</i>iagra")
    assert text_of(tree) == "Vxiagra"


def test_addresses_of_links_pictures_and_forms():
    page = "<a href=http://a.example/>x</a><img src='//b.example/p.gif'><form action=https://c.example>"
    assert addresses(parsed(page)) == ["http://a.example/", "//b.example/p.gif", "https://c.example"]


def test_elements_within_elements_without_end_make_no_tree():
    assert parsed("<div>" * 5000) is None
    assert parsed("<td>x</td>" * 5000) is not None


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("v\u200bi\u00adagra\ufeff", "viagra"),
        ("Vіаgrа", "Viagra"),
        ("Привет, мир", "Привет, мир"),
        ("ｖｉａｇｒａ 𝐯𝐢𝐚𝐠𝐫𝐚", "viagra viagra"),
        ("a\u00a0b\u2003c", "a b c\nabc"),
        ("buy V-i-a-g-r-a now", "buy V-i-a-g-r-a now\nViagra"),
        ("v i a g r a!", "v i a g r a!\nviagra"),
        ("1.2.3.4", "1.2.3.4"),
        ("rеd\u202egnp.exe", "redgnp.exe"),
    ],
)
def test_normalised(text, clean):
    assert normalised(text) == clean


def test_look_alikes_everywhere_by_setting():
    assert normalised("РауРаl СОСА") == "PayPal СОСА"
    assert normalised("СОСА", everywhere=True) == "COCA"


RAW = (
    b"From: =?utf-8?q?B=C3=BCro?= <a@b.example>\r\nSubject: =?utf-8?b?VsSxYWdyYQ==?=\r\n folded\r\nX-A: 1\r\nX-A: 2\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nR3L832UgaHR0cDovL3d3dy54LmV4YW1wbGUvYT9iLg==\r\n--b\r\n"
    b"Content-Type: text/html\r\n\r\n<p>see <a href='https://u@Y.example:8/z'>this</a><i hidden>secret</i>\r\n--b\r\n"
    b'Content-Type: application/zip; name="a\xe2\x80\xaegpj.zip"\r\n\r\nxx\r\n--b--\r\n'
)


def scopes(raw=RAW, **more) -> Scopes:
    envelope = Envelope("s@b.example", (Recipient("r@c.example"), Recipient("t@c.example")))
    client = Client("192.0.2.1", name="mail.b.example", helo="helo.example")
    message = Message(raw)
    return Scopes(message, envelope, client, limit=1 << 20, **more)


@pytest.mark.parametrize(
    ("scope", "raw", "text"),
    [
        ("sender", True, "s@b.example"),
        ("recipient", True, "r@c.example\nt@c.example"),
        ("client", True, "192.0.2.1\nmail.b.example"),
        ("helo", True, "helo.example"),
        ("subject", True, "Vıagra folded"),
        ("subject", False, "Viagra folded"),
        ("header:x-a", True, "1\n2"),
        ("header:x-none", True, ""),
        ("host", True, "y.example\nwww.x.example"),
        ("url", True, "https://u@Y.example:8/z\nhttp://www.x.example/a?b"),
    ],
)
def test_scopes(scope, raw, text):
    assert scopes().text(scope, raw=raw).decode() == text


def test_the_body_is_decoded_and_seen():
    body = scopes().text("body", raw=False).decode()
    assert "Grüße" in body
    assert "see this" in body
    assert "secret" not in body
    assert "secret" in scopes().text("body", raw=True).decode()
    assert "href" in scopes().text("html", raw=True).decode()


def test_headers_are_decoded_a_line_each_and_octets_stay_octets():
    assert "From: Büro <a@b.example>\nSubject: Vıagra folded\n" in scopes().text("header", raw=True).decode()
    assert b"Subject: =?utf-8?b?VsSxYWdyYQ==?=\n folded\n" in scopes().text("header-raw", raw=True)
    assert b"R3L832Ug" in scopes().text("line", raw=True)
    assert scopes().text("message", raw=True) == RAW
    assert "a\u202egpj.zip" in scopes().text("attachment", raw=True).decode()
    assert "agpj.zip" in scopes().text("attachment", raw=False).decode()


def test_no_octets_break_a_scope():
    for raw in (
        b"",
        b"\xff\xfe",
        b"Subject: \xff\r\nContent-Type: text/html; charset=utf-16\r\n\r\n<\xff\xd8",
        b"\r\n" * 50,
    ):
        for scope in (
            "subject",
            "header",
            "body",
            "html",
            "url",
            "host",
            "attachment",
            "line",
            "message",
            "header-raw",
        ):
            text = scopes(raw).text(scope, raw=False)
            if scope not in ("line", "message", "header-raw"):
                text.decode("utf-8")


def test_what_is_beyond_the_limit_is_not_looked_at():
    raw = b"Content-Type: text/plain\r\n\r\n" + b"x" * 10_000 + b" end\r\n"
    message = Message(raw)
    body = Scopes(message, Envelope("", ()), Client(""), limit=5000).text("body", raw=True)
    assert body == b"x" * 5000
