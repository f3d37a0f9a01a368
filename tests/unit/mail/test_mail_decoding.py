import base64
import quopri

import pytest

from mpp.mail.decoding import decode_base64, decode_charset, decode_quoted_printable, decode_transfer


@pytest.mark.parametrize(
    ("encoded", "octets"),
    [
        pytest.param(b"aGVsbG8=", b"hello", id="plain"),
        pytest.param(b"aGVs\r\nbG8=\r\n", b"hello", id="lines"),
        pytest.param(b"aGVsbG8", b"hello", id="padding missing"),
        pytest.param(b"aGVs!-bG8=", b"hello", id="junk within"),
        pytest.param(b"aGVsbG8=aGVsbG8=", b"hellohello", id="padding within"),
        pytest.param(b"QUJD\nRAkw\nMTIzND01", base64.b64decode("QUJDRAkwMTIzND01"), id="lines of any length"),
        pytest.param(b"a", b"", id="six bits"),
        pytest.param(b"aGVsb", b"hel", id="six bits at the end"),
        pytest.param(b"====", b"", id="padding only"),
        pytest.param(b"\xff\xfe", b"", id="junk only"),
    ],
)
def test_base64(encoded, octets):
    assert decode_base64(encoded) == octets


@pytest.mark.parametrize(
    ("encoded", "octets"),
    [
        pytest.param(b"a=3Db", b"a=b", id="escape"),
        pytest.param(b"=c3=a4", b"\xc3\xa4", id="lower-case hex"),
        pytest.param(b"a=\r\nb=\nc", b"abc", id="soft breaks"),
        pytest.param(b"a= \t \r\nb", b"ab", id="soft break with white space behind"),
        pytest.param(b"a\r\nb\n", b"a\r\nb\n", id="line ends kept"),
        pytest.param(b"a=ZZ=", b"a=ZZ", id="no escape"),
        pytest.param(b"a=\rb\nc", b"a=\rb\nc", id="CR alone is no soft break and swallows nothing"),
        pytest.param(b"a_b", b"a_b", id="underscore"),
    ],
)
def test_quoted_printable(encoded, octets):
    assert decode_quoted_printable(encoded) == octets


def test_what_encoders_write_is_read():
    data = bytes(range(256)) * 20
    assert decode_transfer(base64.encodebytes(data), "base64") == data
    assert decode_transfer(quopri.encodestring(b"\xe4 = x \n" * 30), "quoted-printable") == b"\xe4 = x \n" * 30
    assert decode_transfer(data, "x-uuencode") == data


@pytest.mark.parametrize(
    ("octets", "charset", "text"),
    [
        pytest.param(b"\xe4", "iso-8859-1", "ä", id="latin-1"),
        pytest.param(b"\x93", "iso-8859-1", "\u201c", id="latin-1 is windows-1252 in mail"),
        pytest.param(b"\xc3\xa4", "", "ä", id="none"),
        pytest.param(b"\xe4", "us-ascii", "ä", id="8 bit in ASCII"),
        pytest.param(b"a\xffb", "utf-8", "a\ufffdb", id="broken UTF-8"),
        pytest.param(b"a\x81", "windows-1252", "a\ufffd", id="octet the charset does not have"),
        pytest.param(b"6162", "hex", "6162", id="a codec that is no charset"),
        pytest.param(b"a", "idna", "a", id="a codec of host names"),
        pytest.param(b"a", "..\x00/x", "a", id="hostile name"),
        pytest.param("日本".encode("iso2022_jp"), "ISO-2022-JP", "日本", id="stateful"),
        pytest.param("漢字".encode("gb18030"), "gb2312", "漢字", id="superset"),
        pytest.param("ab".encode("utf-16"), "utf-16", "ab", id="wide"),
    ],
)
def test_charsets(octets, charset, text):
    assert decode_charset(octets, charset) == text
