import base64

import pytest

from mpp.mail.message import Message

INNER = b"Content-Type: text/plain; charset=iso-8859-1; name=n.txt\r\nContent-Transfer-Encoding: base64\r\n\r\n5A==\r\n"


def test_leaf():
    (leaf,) = Message(INNER).leaves()
    assert (leaf.path, leaf.type, leaf.encoding, leaf.disposition) == ("1", "text/plain", "base64", "")
    assert (leaf.name, leaf.charset, leaf.parameters["charset"]) == ("n.txt", "iso-8859-1", "iso-8859-1")
    assert (leaf.raw(), leaf.decode(), leaf.text()) == (b"5A==\r\n", b"\xe4", "ä")
    assert [field.key for field in leaf.fields] == [b"content-type", b"content-transfer-encoding"]


def test_encoded_message_is_walked_into_without_offsets():
    raw = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(INNER)
    (leaf,) = Message(raw).leaves()
    assert (leaf.path, leaf.offset, leaf.length, leaf.decode()) == ("1.1", None, None, b"\xe4")


def test_filename_goes_before_name():
    header = b"Content-Disposition: ATTACHMENT; filename=a.zip\r\nContent-Type: a/b; name=b.txt\r\n\r\n"
    (leaf,) = Message(header).leaves()
    assert (leaf.disposition, leaf.name) == ("attachment", "a.zip")


@pytest.mark.parametrize(
    ("header", "attachment"),
    [
        (b"", False),
        (b"Content-Type: text/html\r\nContent-Disposition: inline\r\n", False),
        (b"Content-Disposition: attachment\r\n", True),
        (b"Content-Type: text/plain; name=a.txt\r\n", True),
        (b"Content-Type: image/png\r\n", True),
    ],
)
def test_a_part_is_an_attachment_by_disposition_name_or_type(header, attachment):
    (leaf,) = Message(header + b"\r\nx").leaves()
    assert leaf.attachment is attachment


def test_other_message_types_are_leaves():
    (leaf,) = Message(b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n").leaves()
    assert leaf.type == "message/delivery-status"
