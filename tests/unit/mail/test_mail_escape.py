import pytest

from mpp.mail.escape import ascii_only, printable


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("plain text", "plain text", id="clean"),
        pytest.param("Grüße, 日本", "Grüße, 日本", id="letters of any script"),
        pytest.param("a\r\nb", r"a\x0d\x0ab", id="line break"),
        pytest.param("\x1b[31m", r"\x1b[31m", id="terminal sequence"),
        pytest.param("\x7f\x85", r"\x7f\u0085", id="DEL and C1"),
        pytest.param("a\u202eb", r"a\u202eb", id="direction override"),
        pytest.param("a\u2028b\u200b", r"a\u2028b\u200b", id="separators that do not show"),
        pytest.param("a\u3164\u2800", r"a\u3164\u2800", id="letters that do not show"),
        pytest.param("\U000e0041", r"\U000e0041", id="tag character"),
        pytest.param(b"\xff\xc3\xa4", r"\xffä", id="octets that are no UTF-8"),
        pytest.param("\udcff", r"\xff", id="the same kept as surrogate"),
        pytest.param("\ud800", r"\ud800", id="lone surrogate"),
        pytest.param(r"\x0a", r"\\x0a", id="backslash is doubled, so escapes cannot be forged"),
    ],
)
def test_printable(value, shown):
    assert printable(value) == shown


def test_ascii_only_escapes_the_rest_too():
    assert ascii_only("Grüße \U0001f600\n") == r"Gr\u00fc\u00dfe \U0001f600\x0a"


@pytest.mark.parametrize("show", [printable, ascii_only])
def test_limit_cuts_between_escapes(show):
    assert show("abcdef", 6) == "abcdef"
    assert show("abcdefg", 6) == "abc..."
    assert show("\n\n\n", 8) == r"\x0a..."
    assert show(b"\n" * 1000, 2) == ".."
    assert show("\n" * 2, 8) == r"\x0a\x0a"
