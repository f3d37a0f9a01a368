import pytest

from mpp.mail.words import decode_words, encode_header_text, header_text, unfold


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(b" plain ", "plain", id="plain"),
        pytest.param(b" a\r\n b\n\tc", "a b\tc", id="only line ends go"),
        pytest.param(b"=?utf-8?Q?a_=C3=A4?= b", "a ä b", id="Q"),
        pytest.param(b"=?UTF-8?b?w6Q=?=", "ä", id="B"),
        pytest.param(b"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab", id="space between words goes"),
        pytest.param(b"=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "ä", id="character cut in two"),
        pytest.param(b"=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b", id="text between words stays"),
        pytest.param(b"=?iso-8859-1?q?=E4?= =?utf-8?q?=C3=A4?=", "ää", id="two charsets"),
        pytest.param(b"=?utf-8*de?q?a?=", "a", id="language, RFC 2231"),
        pytest.param(b"=?nonsense?q?=C3=A4?=", "ä", id="unknown charset"),
        pytest.param(b"=?utf-8?x?a?=", "=?utf-8?x?a?=", id="unknown encoding stays"),
        pytest.param(b"=?utf-8?q?a", "=?utf-8?q?a", id="not closed stays"),
        pytest.param("ä".encode(), "ä", id="8-bit UTF-8"),
        pytest.param(b"\xe4", "ä", id="8-bit of another charset"),
    ],
)
def test_header_text(raw, text):
    assert header_text(raw) == text


@pytest.mark.parametrize(
    ("text", "column", "wire"),
    [
        pytest.param("plain", 9, b"plain", id="ASCII"),
        pytest.param("Käse", 9, b"=?utf-8?Q?K=C3=A4se?=", id="mostly ASCII"),
        pytest.param("日本", 9, b"=?utf-8?B?5pel5pys?=", id="mostly not"),
        pytest.param("=?utf-8?q?a?=", 0, None, id="what looks encoded is encoded"),
        pytest.param("a\r\nX: y", 0, b"a X: y", id="line break"),
    ],
)
def test_encode(text, column, wire):
    encoded = encode_header_text(text, column)
    assert wire is None or encoded == wire
    assert b"\n" not in encoded.replace(b"\r\n ", b"")


@pytest.mark.parametrize("text", ["word " * 60, "ä" * 300, "日本語 " * 50, "x" * 3000, "=?utf-8?q?" * 20])
def test_encoded_text_is_read_back_and_lines_are_short(text):
    encoded = encode_header_text(text, 9)
    assert header_text(encoded).strip() == text.strip()
    assert max(map(len, encoded.split(b"\r\n"))) <= 78


def test_unfold_and_words_apart():
    assert unfold(b" a\r\n  b ") == b"a  b"
    assert decode_words("no words") == "no words"
