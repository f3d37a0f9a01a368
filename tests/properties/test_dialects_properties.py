"""The dialect of Python's email package beside the package itself, on broken mail."""

import email
from email.message import Message as Reference

from hypothesis import given, settings
from hypothesis import strategies as st

from mpp.mail.dialects.python import Python
from mpp.mail.dialects.reader import read
from mpp.mail.mime import Limits

LINES = st.sampled_from(
    [
        b"", b" ", b"--a", b"--a--", b"--a ", b"--b", b"--b--", b"--ab", b"text", b"=41=4", b"QUJD", b"QUI=QUJD", b"no field", b"X: y", b" fold",
        b"Content-Type: multipart/mixed; boundary=a", b'Content-Type: multipart/x; foo="a; boundary=b"; boundary="b"',
        b"Content-Type: multipart/mixed; boundary*0=a; boundary*1*=%62; boundary=b", b"Content-Type: message/rfc822", b"Content-Type: a/b/c",
        b"Content-Type: multipart/digest; boundary*=''a", b"Content-Type: (c) text/plain", b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable ", b"Content-Transfer-Encoding: Quoted-Printable", b"Content-Transfer-Encoding : base64",
    ]
)  # fmt: skip
MAILS = st.lists(st.tuples(LINES, st.sampled_from([b"\r\n", b"\n", b"\r"])), max_size=25).map(
    lambda rows: b"Content-Type: multipart/mixed; boundary=a\r\n" + b"".join(line + end for line, end in rows)
)


def reference(part: Reference) -> list[tuple[str, bytes]]:
    if part.is_multipart() and (
        part.get_content_maintype() == "multipart" or part.get_content_type() == "message/rfc822"
    ):
        return [leaf for child in part.get_payload() for leaf in reference(child)]
    return [(part.get_content_type(), part.get_payload(decode=True) or b"")]


def compared(leaves: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """White space at the end has no say; the package has no octets of a message within."""
    return [(kind, b"" if kind.startswith("message/") else octets.rstrip()) for kind, octets in leaves]


@settings(max_examples=400, deadline=None)
@given(MAILS)
def test_broken_mail_is_read_as_the_package_reads_it(raw: bytes) -> None:
    root = read(raw, Python(), Limits(), set())
    assert root is not None
    ours = [(leaf.type, leaf.decode()) for leaf in root.leaves()]
    assert compared(ours) == compared(reference(email.message_from_bytes(raw)))
