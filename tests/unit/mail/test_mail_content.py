import pytest

from mpp.mail.content import content_of


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        pytest.param(b"", "text/plain", id="none"),
        pytest.param(b"Content-Type: TEXT/Html; x\r\n", "text/html", id="lower case"),
        pytest.param(b"Content-Type: text\r\n", "text/plain", id="broken"),
        pytest.param(b"Content-Type:\r\n text/html\r\n", "text/html", id="folded"),
        pytest.param(b"content-type: a/b\r\nContent-Type: c/d\r\n", "a/b", id="the first of two"),
        pytest.param(b"X-Content-Type: a/b\r\n", "text/plain", id="another field"),
        pytest.param(b"X: y\r\n content-type: a/b\r\n", "text/plain", id="a fold of another field"),
    ],
)
def test_type(header, kind):
    assert content_of(header).type == kind


def test_default_is_only_for_parts_without_a_type():
    assert content_of(b"", "message/rfc822").type == "message/rfc822"
    assert content_of(b"Content-Type: broken\r\n", "message/rfc822").type == "text/plain"


def test_quoted_encoding_is_unknown_to_every_parser():
    assert content_of(b'Content-Transfer-Encoding: "base64"\r\n').encoding == '"base64"'
    assert content_of(b"Content-Transfer-Encoding: BASE64 \r\n").encoding == "base64"


def test_only_multiparts_have_a_boundary():
    assert content_of(b'Content-Type: multipart/x; boundary="a b "\r\n').boundary == b"a b"
    assert content_of(b"Content-Type: text/plain; boundary=a\r\n").boundary == b""


@pytest.mark.parametrize(
    ("type_name", "filename", "names"),
    [
        (b"a", None, ("a", "")),
        (b"a", b"b", ("b", "a")),
        (b"a", b"a", ("a", "")),
        (b"a", b"", ("a", "")),
        (b"", b"", (None, "")),
        (None, b"b", ("b", "")),
        (None, None, (None, "")),
    ],
)
def test_a_part_bears_each_name_that_is_not_empty(type_name, filename, names):
    header = b"Content-Type: a/b" + (b"" if type_name is None else b'; name="%b"' % type_name)
    header += b"\r\nContent-Disposition: attachment" + (b"" if filename is None else b'; filename="%b"' % filename)
    content = content_of(header)
    assert (content.name, content.other_name) == names
