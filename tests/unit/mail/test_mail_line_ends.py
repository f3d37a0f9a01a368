import pytest

from mpp.mail.line_ends import bare, normalise


@pytest.mark.parametrize(
    ("data", "is_bare", "normal"),
    [
        (b"", False, b""),
        (b"a\r\nb\r\n", False, b"a\r\nb\r\n"),
        (b"a\nb", True, b"a\r\nb"),
        (b"a\rb", True, b"a\r\nb"),
        (b"a\r\r\nb", True, b"a\r\n\r\nb"),
        (b"a\n\rb", True, b"a\r\n\r\nb"),
        (b"\rX\n", True, b"\r\nX\r\n"),
        (b"\r", True, b"\r\n"),
        (b"\r\n\n", True, b"\r\n\r\n"),
        (b"\r\n.\r\r\n", True, b"\r\n.\r\n\r\n"),
    ],
)
def test_judge(data, is_bare, normal):
    assert bare(data) is is_bare
    assert bare(bytearray(data)) is is_bare
    assert normalise(data) == normal


def test_clean_data_are_not_copied():
    data = b"a\r\n" * 10
    assert normalise(data) is data


@pytest.mark.parametrize("limit", [0, 1 << 20, 3 << 20])
def test_the_work_ends_above_the_limit(limit):
    made = normalise(b"a\r\r" * (1 << 20), limit)
    if limit:
        assert limit < len(made) < limit + (1 << 20)
    else:
        assert made == b"a\r\n\r\n" * (1 << 20)
