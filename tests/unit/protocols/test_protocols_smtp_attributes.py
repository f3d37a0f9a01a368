"""Attributes of XCLIENT and XFORWARD: values decoded, checked, in one form."""

import pytest

from mpp.protocols.smtp.attributes import XCLIENT, XFORWARD, AttributeSyntaxError, parse_attributes


@pytest.mark.parametrize(
    ("argument", "read"),
    [
        (b"ADDR=192.0.2.1", "192.0.2.1"),
        (b"ADDR=IPV6:2001:DB8:0::1", "2001:db8::1"),
        (b"ADDR=IPv6:::ffff:192.0.2.1", "192.0.2.1"),
        (b"ADDR=2001:db8::1", "2001:db8::1"),
        (b"ADDR=[UNAVAILABLE]", None),
        (b"NAME=[tempunavail]", None),
        (b"name=mx.example.org", "mx.example.org"),
        (b"HELO=a+2Bb+3Dc", "a+b=c"),
        (b"HELO=[192.0.2.1]", "[192.0.2.1]"),
        (b"LOGIN=j+C3+BCrgen", "j\u00fcrgen"),
        (b"PORT=025", "25"),
        (b"PORT=65535", "65535"),
        (b"PROTO=esmtp", "ESMTP"),
        (b"DESTADDR=192.0.2.2", "192.0.2.2"),
    ],
)
def test_value(argument: bytes, read: str | None) -> None:
    assert list(parse_attributes(argument, XCLIENT).values()) == [read]


@pytest.mark.parametrize(
    "argument",
    [
        pytest.param(b"", id="none"),
        pytest.param(b"ADDR", id="no value"),
        pytest.param(b"=x", id="no name"),
        pytest.param(b"IDENT=x", id="of XFORWARD only"),
        pytest.param(b"\xffDDR=x", id="name that is no ASCII"),
        pytest.param(b"NAME=a name=b", id="twice"),
        pytest.param(b"NAME=", id="empty"),
        pytest.param(b"NAME=" + b"x" * 256, id="too long"),
        pytest.param(b"NAME=a+2", id="half an escape"),
        pytest.param(b"NAME=a+0A", id="LF"),
        pytest.param(b"NAME=a+00", id="NUL"),
        pytest.param(b"NAME=a+7F", id="DEL"),
        pytest.param(b"NAME=a+C2+85", id="C1"),
        pytest.param(b"NAME=a+E2+80+AE", id="reading direction"),
        pytest.param(b"NAME=a+FF", id="no UTF-8"),
        pytest.param(b"NAME=a+20b", id="space"),
        pytest.param(b"ADDR=192.0.2.256", id="no address"),
        pytest.param(b"ADDR=192.0.2.01", id="octal address"),
        pytest.param(b"ADDR=IPV6:192.0.2.1", id="wrong family"),
        pytest.param(b"ADDR=fe80::1%25eth0", id="scope"),
        pytest.param(b"PORT=65536", id="port too large"),
        pytest.param(b"PORT=-1", id="port below zero"),
        pytest.param(b"PORT=+D9+A1", id="digits of another script"),
        pytest.param(b"PROTO=HTTP", id="protocol"),
    ],
)
def test_refused(argument: bytes) -> None:
    with pytest.raises(AttributeSyntaxError):
        parse_attributes(argument, XCLIENT)


def test_xforward_has_its_own_names() -> None:
    assert parse_attributes(b"IDENT=4F2 SOURCE=remote", XFORWARD) == {"IDENT": "4F2", "SOURCE": "REMOTE"}
    with pytest.raises(AttributeSyntaxError, match="not known"):
        parse_attributes(b"LOGIN=a", XFORWARD)
