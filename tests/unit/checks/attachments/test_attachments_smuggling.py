"""Ways past an attachment policy that senders of malware use: each is seen through, or said of the file."""

import base64
import binascii
import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from hashlib import sha256
from random import Random

import pytest

from mpp.checks.attachments import mails
from mpp.checks.attachments.apple import apple_single_members
from mpp.checks.attachments.budget import Budget
from mpp.checks.attachments.cms import cms_members
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import BombError, File, Flag, Limits
from mpp.checks.attachments.kinds import kind_of
from mpp.checks.attachments.mails import attached_files, has_files
from mpp.mail.message import Message
from servers.attachments import PROGRAM, zipped

ZIP = zipped({"run.exe": PROGRAM})
B64 = base64.b64encode(ZIP).decode()
PAGE = "<html><body><script>%s</script></body></html>"
TYPES = b"<Types/>"
RELATION = 'Type="http://x.example/attachedTemplate" Target="http://x.example/a.dotm" TargetMode="External"'


def pieces(size: int, between: str, text: str = B64) -> str:
    return between.join(text[at : at + size] for at in range(0, len(text), size))


def seen(name: str, data: bytes | str) -> tuple[set[str], set[Flag]]:
    """Return the last steps of what was found, and all that is said of any of it."""
    octets = data.encode() if isinstance(data, str) else data
    items = inspect([File("2", name, "", octets)], Limits())
    return {item.path.rpartition("/")[2] for item in items}, {flag for item in items for flag in item.flags}


@pytest.mark.parametrize(
    "page",
    [
        PAGE % f'atob("{B64}")',
        PAGE % f'atob("{pieces(40, chr(34) + " +" + chr(10) + chr(34))}")',
        PAGE % f"atob(['{pieces(20, chr(39) + ', ' + chr(39))}'].join(''))",
        PAGE % f'atob("{pieces(76, chr(92) + chr(10))}")',
        PAGE % f"atob(`{pieces(76, chr(10))}`)",
        PAGE % f'atob("{base64.urlsafe_b64encode(ZIP).decode()}")',
        PAGE % f"new Uint8Array([{', '.join(map(str, ZIP))}])",
        PAGE % f'"{ZIP.hex()}"',
        PAGE % f"`{pieces(76, chr(10), ZIP.hex())}`",
        PAGE % f'f("{B64}", "invoice.zip")',
        PAGE % f'f("invoicenumber1", "{B64}")',
        PAGE % f'"{"".join(f"{chr(92)}x{octet:02x}" for octet in ZIP)}"',
        f'<p hidden id="a">\n{pieces(76, chr(10))}\n</p>{PAGE % "atob(a.innerText)"}',
        f'<a href="data:application/zip,{"".join(f"%{octet:02X}" for octet in ZIP)}">x</a>',
        f"<!-- {'x' * 5000} -->{PAGE % f'atob({B64!r})'}",
    ],
    ids=[
        "whole",
        "sum",
        "list",
        "lines",
        "template",
        "url",
        "numbers",
        "hex",
        "hex lines",
        "named",
        "named before",
        "escapes",
        "text",
        "percent",
        "comment",
    ],
)
@pytest.mark.parametrize("charset", ["ascii", "utf-16"])
def test_a_page_that_carries_a_file_is_seen_through(page: str, charset: str) -> None:
    assert "run.exe" in seen("a.html", page.encode(charset))[0]


@pytest.mark.parametrize("data", [ZIP, ZIP + b" ", ZIP + b"  "], ids=["0", "1", "2"])
def test_what_else_a_call_is_given_is_not_of_the_file(data: bytes) -> None:
    page = PAGE % f'f("{base64.b64encode(data).decode().rstrip("=")}", "application/octet-stream")'
    items = inspect([File("2", "a.html", "", page.encode())], Limits())
    assert sha256(data).hexdigest() in [item.sha256 for item in items]


def test_each_file_in_a_list_is_seen() -> None:
    other = base64.b64encode(zipped({"other.exe": PROGRAM})).decode()
    assert {"run.exe", "other.exe"} <= seen("a.html", PAGE % f'f(["{B64}","{other}"])')[0]


def test_a_literal_is_looked_into_once() -> None:
    assert len(inspect([File("2", "a.html", "", (PAGE % f'atob("{B64}")').encode())], Limits())) == 3


def test_a_file_in_a_long_list_of_pieces_is_one_file() -> None:
    text = base64.b64encode(zipped({"run.exe": PROGRAM + Random(1).randbytes(20_000)})).decode()
    items = inspect(
        [File("2", "a.html", "", (PAGE % f'["{pieces(76, chr(34) + "," + chr(34), text)}"]').encode())], Limits()
    )
    assert [item.path.rpartition("/")[2] for item in items][:3] == ["2", "data-1", "run.exe"]
    assert len(items) <= 4  # the last piece is shorter


@pytest.mark.parametrize(
    "before", ["#!/bin/sh\n", "From: a@example.com\n\n", "GIF89a\1\0\1\0\0\0\0;", "begin 644 x\n"], ids=["script", "mail", "gif", "uu"]
)  # fmt: skip
def test_what_is_named_as_a_page_is_searched_as_one(before: str) -> None:
    assert "run.exe" in seen("a.html", before + PAGE % f'atob("{B64}")')[0]


def test_each_page_of_a_stored_one_is_looked_into() -> None:
    mail = f"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n{PAGE % f'atob({B64!r})'}\n--b--\n"
    assert "run.exe" in seen("a.mht", mail)[0]


@pytest.mark.parametrize(
    "before",
    [b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(500), b"GIF89a\1\0\1\0\0\0\0;", b"<html>hi</html>\n", b"{\\rtf1 hello}", PROGRAM],
    ids=["jpeg", "gif", "html", "rtf", "program"],
)  # fmt: skip
def test_an_archive_stands_behind_anything(before: bytes) -> None:
    assert "run.exe" in seen("a.zip", before + ZIP)[0]


@pytest.mark.parametrize("before", [bytes(range(200, 264 - 8)) + b"\x80" * 8, PROGRAM], ids=["octets", "program"])
def test_an_archive_may_stand_far_from_the_end(before: bytes) -> None:
    assert "run.exe" in seen("a.dat", before + ZIP + bytes(70_000))[0]


def test_a_locked_archive_behind_a_program_is_locked() -> None:
    block = b"\x04\x00\x00\x01\x0f" + bytes(28)
    header = bytes([len(block)]) + block
    locked = b"Rar!\x1a\x07\x01\0" + struct.pack("<I", zlib.crc32(header)) + header + bytes(300)
    assert Flag.ENCRYPTED in seen("setup.exe", PROGRAM + locked)[1]


def test_both_names_of_a_member_count() -> None:
    made = bytearray(zipped({"aaaaaaa": PROGRAM}))
    at = made.rfind(b"aaaaaaa")
    made[at : at + 7] = b"run.exe"
    found, flags = seen("a.zip", bytes(made))
    assert {"aaaaaaa", "run.exe"} <= found
    assert Flag.UNSAFE_NAME in flags


def test_a_member_that_the_directory_does_not_name_is_seen() -> None:
    hidden, other = ZIP[: ZIP.find(b"PK\1\2")], zipped({"note.txt": b"hi"})
    place, end = other.find(b"PK\1\2"), other.find(b"PK\5\6")
    directory, last = bytearray(other[place:end]), bytearray(other[end:])
    directory[42:46] = struct.pack("<I", len(hidden))
    last[16:20] = struct.pack("<I", len(hidden) + place)
    found, _ = seen("a.zip", hidden + other[:place] + bytes(directory) + bytes(last))
    assert {"note.txt", "run.exe"} <= found


@pytest.mark.parametrize("name", ["a.7z.002", "a.zip.003", "a.part2.rar", "a.r00", "a.z01"])
def test_a_later_volume_is_not_checkable(name: str) -> None:
    assert seen(name, bytes(range(256)) * 8)[1] >= {Flag.DAMAGED, Flag.UNCHECKED}


@pytest.mark.parametrize(
    "parts",
    [
        {"word/x.dat": b"x", "[Content_Types].xml": b"<Types><Override PartName='/word/x.dat' ContentType='application/vnd.ms-office.vbaProject'/></Types>"},
        {"xl/s.bin": b"x", "xl/_rels/workbook.bin.rels": b'<Relationship Type="http://x.example/xlMacrosheet" Target="s.bin"/>', "[Content_Types].xml": TYPES},
    ],
    ids=["type", "relation"],
)  # fmt: skip
def test_macros_are_macros_whatever_their_part_is_called(parts: dict[str, bytes]) -> None:
    assert Flag.MACRO in seen("a.docx", zipped({"word/document.xml": b"x", **parts}))[1]


@pytest.mark.parametrize(
    "relation",
    [
        f"<Relationship {RELATION}/>".encode(),
        f"<Relationship {RELATION}/>".replace('"', "'").encode(),
        f"<r:Relationship {RELATION}/>".encode(),
        f"<Relationship {RELATION}/>".replace("External", "&#69;xternal").encode(),
        f"<Relationship {RELATION}/>".encode("utf-16"),
        f"<Relationship {RELATION}/>".replace("a.dotm", "a.dotm?Type='/hyperlink'").encode(),
        f"<Relationship {RELATION}/>".replace("a.dotm", "a.dotm?Type=&quot;/hyperlink&quot;").encode(),
        f"<Relationship {RELATION}/>".replace("a.dotm", "a.dotm?>").encode(),
        f"<!-- <Relationship a=' -->  <Relationship {RELATION}/> <!-- '/> -->".encode(),
        f"<Relationship Id='\u2200' {RELATION}/>".encode("utf-16"),
    ],
    ids=[
        "plain",
        "quotes",
        "prefix",
        "entity",
        "utf-16",
        "type in it",
        "type escaped",
        "end in it",
        "comments",
        "wide",
    ],
)
def test_a_template_from_elsewhere_is_active(relation: bytes) -> None:
    parts = {"[Content_Types].xml": TYPES, "word/document.xml": b"x", "word/_rels/settings.xml.rels": relation}
    assert Flag.ACTIVE in seen("a.docx", zipped(parts))[1]


def test_a_link_to_elsewhere_is_harmless() -> None:
    link = f"<Relationship {RELATION.replace('attachedTemplate', 'hyperlink')}/>".encode()
    parts = {"[Content_Types].xml": TYPES, "word/document.xml": b"x", "word/_rels/document.xml.rels": link}
    assert Flag.ACTIVE not in seen("a.docx", zipped(parts))[1]


@pytest.mark.parametrize(
    "text",
    [
        b"{\\rtf1{\\object\\objocx{\\*\\objdata 4{\\x}1 4\\'4111}}}",
        b"{\\rtf1{\\object{\\*\\objdata \\bin4 abcd}}}",
        b"{\\rtf1{\\*\\template http://x.example/a.dotm}}",
        b"{\\rt{\\object\\objupdate}}",
    ],
    ids=["broken up", "binary", "template", "update"],
)
def test_an_object_in_rtf_is_active_however_it_is_written(text: bytes) -> None:
    assert Flag.ACTIVE in seen("a.rtf", text)[1]


@pytest.mark.parametrize(
    ("filters", "coded"),
    [
        (b"[/ASCIIHexDecode/FlateDecode]", lambda data: zlib.compress(data).hex().encode() + b">"),
        (b"[/A85/Fl]", lambda data: base64.a85encode(zlib.compress(data)) + b"~>"),
    ],
    ids=["hex", "85"],
)
def test_streams_of_pdf_are_read_through_their_filters(filters, coded) -> None:  # type: ignore[no-untyped-def]
    def pdf(kind: bytes, data: bytes) -> bytes:
        return b"%%PDF-1.5\n5 0 obj\n<</Type/%b/Filter%b>>\nstream\n%b\nendstream\nendobj\n" % (
            kind,
            filters,
            coded(data),
        )

    assert Flag.ACTIVE in seen("a.pdf", pdf(b"ObjStm", b"1 0 <</OpenAction 3 0 R>>"))[1]
    assert Flag.EXECUTABLE in seen("a.pdf", pdf(b"EmbeddedFile", PROGRAM))[1]


@pytest.mark.parametrize(
    "name", ["a.search-ms", "a.library-ms", "a.msc", "a.rdp", "a.website", "a.mjs", "a.appinstaller"]
)
def test_what_starts_something_by_a_click_is_a_script(name: str) -> None:
    assert Flag.SCRIPT in seen(name, b"words")[1]


def der(tag: int, content: bytes, *, open_end: bool = False) -> bytes:
    if open_end:
        return bytes([tag, 0x80]) + content + b"\0\0"
    size = len(content).to_bytes(4, "big")
    return bytes([tag, 0x84]) + size + content


ENTITY = b"Content-Type: text/plain; name=run.js\r\n\r\nvar a\r\n"
SIGNED, COMPRESSED = bytes.fromhex("06092a864886f70d010702"), bytes.fromhex("060b2a864886f70d0109100109")
PLAIN = bytes.fromhex("06092a864886f70d010701")


def cms(content: bytes, kind: bytes = SIGNED, *, open_end: bool = False) -> bytes:
    string = der(0x04, content)
    if open_end:  # as OpenSSL streams it
        string = der(0x24, der(0x04, content[:20]) + der(0x04, content[20:]), open_end=True)
    inner = der(0x30, PLAIN + der(0xA0, string, open_end=open_end), open_end=open_end)
    signed = der(0x30, b"\2\1\1" + der(0x31, b"", open_end=open_end) + inner, open_end=open_end)
    return der(0x30, kind + der(0xA0, signed, open_end=open_end), open_end=open_end)


@pytest.mark.parametrize(
    "data",
    [
        cms(ENTITY),
        cms(ENTITY, open_end=True),
        cms(zlib.compress(ENTITY), COMPRESSED),
        cms(b"X: y\r\n" * 80 + ENTITY),
        cms(b"Content-Type: application/pkcs7-mime; name=x.p7m\r\n\r\n" + cms(ENTITY)),
    ],
    ids=["whole", "in pieces", "compressed", "many fields", "twice"],
)
def test_mail_that_is_signed_in_one_piece_is_opened(data: bytes) -> None:
    found, flags = seen("smime.p7m", data)
    assert "run.js" in found
    assert Flag.SCRIPT in flags


@pytest.mark.parametrize(
    "kind",
    ["06092a864886f70d010703", "06092a864886f70d010704", "06092a864886f70d010706", "060b2a864886f70d0109100117"],
    ids=["enveloped", "signed and enveloped", "encrypted", "authenticated and enveloped"],
)
@pytest.mark.parametrize("open_end", [False, True])
def test_mail_that_is_encrypted_by_smime_is_encrypted(kind: str, open_end: bool) -> None:
    data = cms(ENTITY, bytes.fromhex(kind), open_end=open_end)
    assert seen("smime.p7m", data) == ({"2"}, {Flag.ENCRYPTED})
    assert seen("smime.p7m", cms(b"Content-Type: application/pkcs7-mime\r\n\r\n" + data))[1] == {Flag.ENCRYPTED}
    assert kind_of(data) == "application/pkcs7-mime"


def test_a_file_that_is_signed_is_opened() -> None:
    assert "a.exe" in seen("a.exe.p7m", cms(PROGRAM))[0]
    assert seen("smime.p7m", cms(PROGRAM)[:60])[1] == {Flag.DAMAGED}


def test_pieces_of_a_signed_file_that_hold_nothing_have_an_end() -> None:
    string = der(0x24, b"\x24\0" * 200_000 + der(0x04, PROGRAM), open_end=True)
    inner = der(0x30, PLAIN + der(0xA0, string))
    data = der(0x30, SIGNED + der(0xA0, der(0x30, b"\2\1\1" + der(0x31, b"") + inner)))
    assert seen("smime.p7m", data) == ({"2"}, {Flag.DAMAGED})


def test_what_stands_before_a_signed_file_is_passed_within_the_time() -> None:
    inner = der(0x30, PLAIN + der(0xA0, der(0x04, ENTITY)))
    digests = b"\x31\x80" + b"\5\0" * 10 + b"\0\0"
    data = der(0x30, SIGNED + der(0xA0, der(0x30, b"\2\1\1" + digests + inner)))
    looks = Looks(Limits())
    assert len(list(cms_members(data, "a.p7m", looks.meter(len(data))))) == 2
    assert looks.count > 10


class Looks(Budget):
    """Counts the looks at the clock."""

    count = 0

    def in_time(self) -> None:
        self.count += 1


@pytest.mark.parametrize("open_end", [False, True])
def test_a_signature_beside_its_mail_holds_nothing(open_end: bool) -> None:
    signed = der(0x30, b"\2\1\1" + der(0x31, b"") + der(0x30, PLAIN, open_end=open_end) + der(0xA0, b"certificates"))
    assert seen("smime.p7s", der(0x30, SIGNED + der(0xA0, signed))) == ({"2"}, set())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.zip", zipped({"a.txt": b"hi", "run.exe": PROGRAM + bytes(30 << 20)})),
        ("run.exe.gz", gzip.compress(PROGRAM + bytes(30 << 20))),
        ("a.iso.gz", gzip.compress(zipped({"run.exe": PROGRAM}) + bytes(30 << 20))),
    ],
    ids=["zip", "gzip", "zip in gzip"],
)
def test_what_is_blown_up_is_looked_into_up_to_the_limit(name: str, data: bytes) -> None:
    found, flags = seen(name, data)
    assert "run.exe" in found
    assert flags >= {Flag.BOMB, Flag.EXECUTABLE}


def in_mail(header: str, body: bytes) -> set[tuple[str, Flag]]:
    """Return names and flags of what is attached to a mail of one part."""
    files = attached_files(Message(f"MIME-Version: 1.0\r\n{header}\r\n".encode() + body))
    return {(item.name, flag) for item in inspect(files, Limits()) for flag in item.flags}


@pytest.mark.parametrize("kind", ["text/x-vbscript", "text/javascript", "application/hta", "application/x-bat"])
def test_a_part_without_a_name_is_what_it_is_declared_as(kind: str) -> None:
    assert ("", Flag.SCRIPT) in in_mail(f"Content-Type: {kind}\r\n", b"a=1")
    assert ("a.txt", Flag.SCRIPT) not in in_mail(f"Content-Type: {kind}; name=a.txt\r\n", b"a=1")


def test_a_text_of_a_rare_type_is_a_file() -> None:
    assert ("", Flag.ACTIVE) in in_mail("Content-Type: text/rtf\r\n", b"{\\rtf1{\\object\\objupdate}}")


def uuencoded(data: bytes) -> bytes:
    lines = b"".join(binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45))
    return b"begin 644 run.exe\n" + lines + b"`\nend\n"


def yencoded(data: bytes) -> bytes:
    coded = b"".join(
        b"=" + bytes([(octet + 106) % 256]) if (octet + 42) % 256 in b"\0\n\r=" else bytes([(octet + 42) % 256])
        for octet in data
    )
    return b"=ybegin line=128 size=%d name=run.exe\r\n%b\r\n=yend size=%d\r\n" % (len(data), coded, len(data))


def binhexed(data: bytes) -> bytes:
    head = b"\x07run.exe\0TEXTabcd\0\0" + struct.pack(">II", len(data), 0) + b"\0\0"
    plain = (head + data + b"\0\0\0\0").replace(b"\x90", b"\x90\0")
    letters = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
    usual = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    coded = base64.b64encode(plain).rstrip(b"=").translate(bytes.maketrans(usual, letters))
    return b"(This file must be converted with BinHex 4.0)\r\n:" + coded + b":\r\n"


@pytest.mark.parametrize("kind", ["", "Content-Type: text/plain\r\n", "Content-Type: text/html\r\n"])
@pytest.mark.parametrize("coded", [uuencoded, yencoded, binhexed])
def test_what_is_written_in_a_text_is_a_file(kind: str, coded: Callable[[bytes], bytes]) -> None:
    found = in_mail(f"{kind}Content-Transfer-Encoding: 8bit\r\n", b"hello\r\n" + coded(PROGRAM))
    assert ("run.exe", Flag.EXECUTABLE) in found


@pytest.mark.parametrize("coded", [uuencoded, yencoded, binhexed])
def test_each_file_that_is_written_in_a_text_is_seen(coded: Callable[[bytes], bytes]) -> None:
    text = coded(b"words") + b"hello\r\n" + coded(PROGRAM) + b"\r\n"
    files = attached_files(Message(b"Content-Transfer-Encoding: 8bit\r\n\r\n" + text))
    assert [file.data for file in files] == [b"words", PROGRAM]


def test_what_texts_grow_to_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mails, "_MOST", 2 * len(PROGRAM))
    files = attached_files(Message(b"\r\n" + (binhexed(PROGRAM) + b"\r\n") * 5))
    assert [(file.data, file.flags) for file in files] == [(PROGRAM, set()), (PROGRAM, set()), (b"", {Flag.BOMB})]


def test_what_takes_too_long_to_undo_is_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """In yEnc each escape costs a call, and a mail may be nothing else; those of all files of a text count together."""
    file = yencoded(b"\xd6" * 40)  # an escape for each octet
    monkeypatch.setattr(mails, "_ESCAPES", file.count(b"=") * 5 // 2)
    files = attached_files(Message(b"Content-Transfer-Encoding: 8bit\r\n\r\n" + file * 3))
    assert [(file.data, file.flags) for file in files] == [(b"\xd6" * 40, set())] * 2 + [(b"", {Flag.BOMB})]


def test_a_name_of_yenc_takes_no_time_without_end() -> None:
    text = b"=ybegin " + b"name=" * 40_000 + b"\rx"
    assert len(attached_files(Message(b"Content-Transfer-Encoding: binary\r\n\r\n" + text))) == 1


@pytest.mark.parametrize("coded", [uuencoded, yencoded, binhexed])
def test_whether_a_text_holds_files_is_known_without_undoing_them(
    coded: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [before + coded(PROGRAM) for before in (b"", b"hello\n", b"x" * 200_000 + b"\n", b"x" * 99 + b"\n" * 65437)]
    for name in ("yenc", "binhex", "uudecode_lines"):
        monkeypatch.setattr(mails, name, None)
    assert all(has_files(Message(b"Content-Transfer-Encoding: 8bit\r\n\r\n" + text)) for text in texts)
    assert not has_files(Message(b"\r\nlet us begin\r\nbegin with this =ybegin \r\n"))


@pytest.mark.parametrize(
    "begin", [b"begin", b"be=\n=67in", b"=62egin", b"be=\ngin", b"be= \ngin", b"be=\r\ngin", b"b=65gin"]
)
def test_what_is_written_in_quoted_printable_is_a_file(begin: bytes) -> None:
    coded = uuencoded(PROGRAM).replace(b"=", b"=3D").replace(b"begin", begin)
    found = in_mail("Content-Transfer-Encoding: quoted-printable\r\n", b"hello\n" + coded)
    assert ("run.exe", Flag.EXECUTABLE) in found


@pytest.mark.parametrize(
    "name", ["run.e\txe", "run.ex\x7fe", "run.exe\u200b", "run.exe?", 'run.exe"', "run.e*xe", "run.\u00adexe"]
)
def test_what_is_left_out_of_a_name_hides_no_end(name: str) -> None:
    assert Flag.EXECUTABLE in seen(name, b"words")[1]


@pytest.mark.parametrize("local", [True, False])
def test_a_name_in_an_extra_field_counts(local: bool) -> None:
    plain = b"a.txt"
    extra = struct.pack("<HHBI", 0x7075, 5 + len(b"run.js"), 1, zlib.crc32(plain)) + b"run.js"
    head = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0, zlib.crc32(b"a"), 1, 1, len(plain), len(extra) * local)
    member = b"PK\3\4" + head + plain + extra * local + b"a"
    listed = struct.pack(
        "<HHHHHHIIIHHHHHII",
        20,
        20,
        0,
        0,
        0,
        0,
        zlib.crc32(b"a"),
        1,
        1,
        len(plain),
        len(extra) * (not local),
        0,
        0,
        0,
        0,
        0,
    )
    directory = b"PK\1\2" + listed + plain + extra * (not local)
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(member), 0)
    found, flags = seen("a.zip", member + directory + b"PK\5\6" + end)
    assert "run.js" in found
    assert flags >= {Flag.SCRIPT, Flag.UNSAFE_NAME}


def test_a_file_in_apples_wrapping_is_seen() -> None:
    head = b"\0\5\x16\0\0\2\0\0" + bytes(16) + struct.pack(">HIIIIII", 2, 3, 50, 7, 1, 57, len(PROGRAM))
    found, flags = seen("a.bin", head + b"run.exe" + PROGRAM)
    assert "run.exe" in found
    assert Flag.EXECUTABLE in flags
    assert seen("a.bin", head[:30])[1] == {Flag.DAMAGED}


def apple_single(*entries: tuple[int, int, int]) -> bytes:
    table = b"".join(struct.pack(">III", *each) for each in entries)
    return b"\0\5\x16\0\0\2\0\0" + bytes(16) + struct.pack(">H", len(entries)) + table


def test_each_file_in_apples_wrapping_is_seen() -> None:
    at = 26 + 4 * 12
    head = apple_single((3, at, 7), (1, at + 11, len(PROGRAM)), (3, at + 7, 4), (1, at, 4))
    found = inspect([File("2", "a.bin", "", head + b"run.exenote" + PROGRAM)], Limits())[1:]
    assert [(item.name, item.size) for item in found] == [("run.exe", len(PROGRAM)), ("run.exe", 4)]
    assert {item.other_name for item in found} == {"note"}


def test_entries_of_apples_wrapping_that_do_not_matter_are_not_kept() -> None:
    size = 1 << 20
    head = apple_single(*((100 + number, 0, size) for number in range(90)), *((1, 0, size) for _ in range(9)))
    data = head.ljust(size, b"x")
    tracemalloc.start()
    try:
        with pytest.raises(BombError):
            for _ in apple_single_members(data, "a", Budget(Limits(ratio=5, ratio_from=size)).meter(len(data))):
                pass
        assert tracemalloc.get_traced_memory()[1] < 3 * size
    finally:
        tracemalloc.stop()
