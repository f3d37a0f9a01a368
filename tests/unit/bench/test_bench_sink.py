"""The sink counts every message once, however its octets are cut: else the bench would wait for mail that came."""

import pytest

from bench.messages import shapes
from bench.sink import Count, Sink


class Transport:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.written += b"(closed)"


DIALOGUE = (
    b"EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
    b"Subject: x\r\n\r\n..\r\n.\r\r\n.x\r\n.\r\n"
    b"MAIL FROM:<a@example.com>\r\nDATA\r\n.\r\nHELP\r\nQUIT\r\n"
)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 1000])
def test_any_cut_gives_the_same_count_and_replies(step: int) -> None:
    count, transport = Count(), Transport()
    sink = Sink(count)
    sink.connection_made(transport)  # type: ignore[arg-type]
    for at in range(0, len(DIALOGUE), step):
        sink.data_received(DIALOGUE[at : at + step])
    codes = [line[:3] for line in transport.written.split(b"\r\n") if line[3:4] == b" "]
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"250", b"354", b"250", b"214", b"221"]
    assert b"214 2 " in transport.written
    assert transport.written.endswith(b"(closed)")


@pytest.mark.parametrize("name", ["2k", "20k", "300k"])
def test_every_message_has_its_size_and_lines_that_need_no_dots(name: str) -> None:
    shape = shapes()[name]
    raw = shape.with_token(b"0123456789abcdef")
    assert len(raw) == shape.size
    assert b"\n." not in raw
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert raw != shape.with_token(b"fedcba9876543210")
