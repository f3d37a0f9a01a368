"""Decoders of the dialects on large bodies: cut into pieces they give what they give on the whole."""

import quopri

import pytest

from mpp.mail.dialects.loose import quoted_printable
from mpp.mail.pieces import in_lines


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(b"caf\xc3\xa9 = \xff\n" * 20_000, id="lines"),
        pytest.param(bytes(range(200, 256)) * 5_000, id="one line of escapes"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_pieces_make_up_the_whole(whole):
    encoded = quopri.encodestring(whole).replace(b"=\n", b"")
    assert quoted_printable(encoded) == whole


def test_no_piece_is_large():
    sizes = []
    in_lines(lambda piece: sizes.append(len(piece)) or b"", b"=" * 1_000_000)
    assert sum(sizes) == 1_000_000
    assert max(sizes) <= 1 << 16
