import pytest

from mpp.mail.parameters import parse_parameters


@pytest.mark.parametrize(
    ("value", "name"),
    [
        pytest.param(b"a/b; name=x.txt", "x.txt", id="token"),
        pytest.param(b'a/b; name="x y.txt"', "x y.txt", id="quoted"),
        pytest.param(rb'a/b; name="x\"\\y"', 'x"\\y', id="quoted pairs"),
        pytest.param(b'a/b; name="x;y.txt"; z=1', "x;y.txt", id="semicolon in quotes"),
        pytest.param(b"a/b; name=x y.txt", "x y.txt", id="spaces without quotes"),
        pytest.param(b"a/b;;; NAME = x.txt ; z", "x.txt", id="sloppy"),
        pytest.param(b'a/b; name="x', "x", id="quotes not closed"),
        pytest.param(b'a/b; name="x\r\n y"', "x y", id="folded"),
        pytest.param(b"a/b; name*=utf-8'de'%C3%A4.txt", "ä.txt", id="RFC 2231"),
        pytest.param(b"a/b; name*=%C3%A4.txt", "ä.txt", id="RFC 2231 without its charset"),
        pytest.param(b"a/b; name*1=b.txt; name*0=a", "ab.txt", id="sections in any order"),
        pytest.param(b"a/b; name*2=zip; name*0=file.", "file.zip", id="sections with a gap"),
        pytest.param(b"a/b; name*1=file.; name*2=zip", "file.zip", id="sections without the first"),
        pytest.param(b"a/b; name*0*=utf-8''%C3; name*1*=%A4", "ä", id="character over two sections"),
        pytest.param(b"a/b; name=old; name*=utf-8''new", "new", id="the extended form counts"),
        pytest.param(b'a/b; name="=?utf-8?q?=C3=A4?="', "ä", id="encoded word"),
        pytest.param(b"a/b; name=x; name=y", "x", id="the first of two"),
        pytest.param(b"a/b; name*9999999999=x", None, id="absurd section"),
        pytest.param(b"a/b", None, id="none"),
    ],
)
def test_parameter(value, name):
    assert parse_parameters(value).get("name") == name
