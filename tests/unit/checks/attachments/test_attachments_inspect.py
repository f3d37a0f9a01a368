"""What is said of files: each row is one trick, with the item that has to show it."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from base64 import encodebytes
from binascii import b2a_uu
from hashlib import sha256

import pytest
import zstandard

from mpp.checks.attachments import mails
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import File, Limits, Means
from mpp.checks.attachments.mails import attached_files, files_of
from mpp.mail.message import Message
from servers.attachments import EICAR, PROGRAM, mail, ole, packed, tarred, tnef, word, zipped

TEXT = b"Only words, nothing to be feared.\n"


def look(name, data, limits=None, passwords=()):
    return inspect([File("2", name, "", data)], limits or Limits(), Means(passwords))


def flags(name, data, **more):
    """All flags of a file and what is inside."""
    return {str(flag) for item in look(name, data, **more) for flag in item.flags}


PACKERS = {
    "zip": lambda files: zipped(files),
    "tar": lambda files: tarred(files),
    "tar.gz": lambda files: tarred(files, mode="w:gz"),
    "tar.bz2": lambda files: tarred(files, mode="w:bz2"),
    "tar.xz": lambda files: tarred(files, mode="w:xz"),
    "tar.zst": lambda files: zstandard.compress(tarred(files)),
}


@pytest.mark.parametrize("end", PACKERS)
def test_an_archive_shows_what_it_holds(end):
    items = look(f"a.{end}", PACKERS[end]({"docs/eicar.com": EICAR, "note.txt": TEXT}))
    found = {item.path.rsplit("/", 1)[-1]: item for item in items}
    assert found["eicar.com"].sha256 == sha256(EICAR).hexdigest()
    assert found["eicar.com"].flags == {"executable"}
    assert (found["note.txt"].type, found["note.txt"].size, found["note.txt"].flags) == ("text/plain", len(TEXT), set())
    assert items[0].path == "2"
    assert all(item.path.startswith("2/") for item in items[1:])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_a_compressed_file_shows_its_content(pack):
    _, inner = look("setup.exe.gz", pack(PROGRAM))
    assert (inner.path, inner.type, inner.flags) == (
        "2/setup.exe",
        "application/vnd.microsoft.portable-executable",
        {"executable"},
    )


def test_a_7z_shows_what_it_holds(tmp_path):
    _, inner = look("a.7z", packed(tmp_path, ["7z", "a", "-bd"], "a.7z"))
    assert (inner.name, inner.size) == ("secret.txt", 13)


@pytest.mark.parametrize("depth", [1, 4, 7])
def test_eicar_is_found_in_archives_within_archives(depth):
    data = EICAR
    for level in range(depth):
        data = zipped({f"{level}.{'zip' if level else 'com'}": data})
    items = look("a.zip", data)
    assert items[-1].sha256 == sha256(EICAR).hexdigest()
    assert not any("bomb" in item.flags for item in items)


def test_more_levels_than_the_limit_are_said_to_be_a_bomb():
    data = EICAR
    for level in range(12):
        data = zipped({f"{level}.zip": data})
    assert "bomb" in flags("a.zip", data)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["zip", "-q", "-P", "letmein"], "a.zip"),
        (["7z", "a", "-bd", "-pletmein"], "a.7z"),
        (["7z", "a", "-bd", "-pletmein", "-mhe=on"], "a.7z"),
        (["7z", "a", "-bd", "-tzip", "-mem=AES256", "-pletmein"], "a.zip"),
    ],
    ids=["zip", "7z", "7z-names-too", "zip-aes"],
)
def test_an_encrypted_archive_is_known_as_such(tmp_path, command, name):
    assert "encrypted" in look(name, packed(tmp_path, command, name))[0].flags


def test_an_encrypted_zip_opens_with_a_password_of_the_message(tmp_path):
    data = packed(tmp_path, ["zip", "-q", "-P", "letmein"], "a.zip")
    outer, inner = look("a.zip", data, passwords=["wrong", "letmein"])
    assert (inner.sha256, "encrypted" in outer.flags) == (sha256(b"hidden words\n").hexdigest(), True)
    _, closed = look("a.zip", data, passwords=["wrong"])
    assert (closed.size, "encrypted" in closed.flags) == (0, True)


def test_what_is_said_of_a_member_is_not_said_of_one_of_its_name_inside_it(tmp_path):
    data = packed(tmp_path, ["zip", "-q", "-P", "letmein"], "a.zip", zipped({"secret.txt": TEXT}))
    found = {item.path: item for item in look("a.zip", data, passwords=["letmein"])}
    assert "encrypted" in found["2/secret.txt"].flags
    assert found["2/secret.txt/secret.txt"].flags == set()
    assert found["2/secret.txt/secret.txt"].sha256 == sha256(TEXT).hexdigest()


def bomb_zip():
    return zipped({f"{n}.zip": zipped({"zeros": bytes(20 << 20)}) for n in range(10)})


def test_a_hundred_thousand_members_are_a_bomb_that_takes_no_time():
    data = zipped({"a": b""})
    listed, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    (outer,) = look("a.zip", data[:listed] + data[listed:end] * 100_000 + data[end:])
    assert outer.flags == {"bomb"}


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(bytes(12 << 20)),
        bz2.compress(bytes(12 << 20)),
        zstandard.compress(bytes(12 << 20)),
        tarred({"zeros": bytes(12 << 20)}, mode="w:xz"),
        bomb_zip(),
        tarred({str(n): b"" for n in range(11_000)}, mode="w:gz"),
    ],
    ids=["gz", "bz2", "zst", "tar.xz", "zips-in-zip", "11000-members"],
)
def test_a_bomb_is_named_and_left(data):
    items = look("a", data)
    assert "bomb" in items[0].flags
    assert sum(item.size for item in items) <= Limits().octets  # the zips unpacked whole would be 200 MiB


EVIL = zipped({"run.exe": PROGRAM})
PICTURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20)


def flags_behind(first, limits):
    """What is said of files that follow one that has gone beyond a limit."""
    files = [("1", "a", first), ("2", "b.zip", EVIL), ("3", "c.png", PICTURE), ("4", "d.txt", TEXT)]
    items = inspect([File(path, name, "", data) for path, name, data in files], limits)
    return {item.path: item.flags for item in items if item.path[0] != "1"}


@pytest.mark.parametrize("first", [gzip.compress(bytes(12 << 20)), bomb_zip()], ids=["gz", "zips-in-zip"])
def test_behind_a_bomb_the_next_file_is_opened(first):
    found = flags_behind(first, Limits())
    assert found == {"2": set(), "2/run.exe": {"executable"}, "3": set(), "4": set()}


@pytest.mark.parametrize("limits", [Limits(entries=2), Limits(seconds=-1.0)], ids=["members", "time"])
def test_what_is_not_opened_since_all_has_run_out_is_unchecked(limits):
    first = tarred({"a": TEXT, "b": TEXT, "c": TEXT})
    assert flags_behind(first, limits) == {"2": {"damaged", "unchecked"}, "3": set(), "4": set()}


def test_what_lies_many_times_over_the_same_octets_is_a_bomb():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(100_000))
        archive.filelist *= 400
    assert "bomb" in flags("a.zip", target.getvalue())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("../../etc/passwd", TEXT),
        ("invoice\u202efdp.exe", PROGRAM),
        ("invoice.pdf.exe", PROGRAM),
        ("C:\\boot.ini", TEXT),
        ("note.txt ", TEXT),
        ("note.exe.", PROGRAM),
        ("a\0.exe", PROGRAM),
        ("x" * 300, TEXT),
        ("photo.jpg                      .exe", PROGRAM),
    ],
)
def test_a_name_that_deceives_or_escapes_is_unsafe(name, data):
    assert "unsafe-name" in look(name, data)[0].flags


@pytest.mark.parametrize("name", ["report 2026.v2.pdf", "Übersicht.tar.gz", "発注書.docx", ".profile", "a-b_c(1).txt"])
def test_a_usual_name_is_not_unsafe(name):
    assert "unsafe-name" not in look(name, TEXT)[0].flags


def test_traversal_and_links_inside_archives_are_unsafe():
    assert "unsafe-name" in look("a.zip", zipped({"../../x": TEXT}))[0].flags
    assert "unsafe-name" in look("a.tar", tarred({}, {"here": "/etc/shadow"}))[0].flags


HEX_JS = b"%PDF-1.4\n1 0 obj <</Type/Catalog/OpenAction 2 0 R>>\n2 0 obj <</S/#4aavaScript/J#53(app.alert)>>\n%%EOF"
SMUGGLED = b'<html><body><script>var b=atob("%s");</script></body></html>'
RTF = b"{\\rtf1{\\object\\objemb{\\*\\objdata " + b"d0cf11e0a1b11ae1" + b"00" * 40 + b"}}}"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.pdf", HEX_JS, "active"),
        ("a.rtf", RTF, "active"),
        ("a.svg", SVG, "active"),
        ("a.html", b"<html><script>x()</script></html>", "active"),
        ("a.docm", word({"word/vbaProject.bin": b"x"}), "macro"),
        ("a.xlsm", zipped({"[Content_Types].xml": b"", "xl/macrosheets/sheet1.xml": b"<x/>"}), "macro"),
        (
            "a.docx",
            word({"word/_rels/document.xml.rels": b'<Relationship TargetMode="External" Target="x"/>'}),
            "active",
        ),
        ("a.docx", word({"word/embeddings/o.bin": b"x"}), "active"),
        ("a.slk", b"ID;P\nO;E\nNN;NAuto_open;ER101C1\n", "macro"),
        ("a.pdf", PROGRAM, "mismatch"),
        ("a.jpg", zipped({"x": TEXT}), "mismatch"),
        ("readme", PROGRAM, "executable"),
        ("a", b"\x7fELF" + bytes(60), "executable"),
        ("a", b"\xcf\xfa\xed\xfe" + bytes(60), "executable"),
        ("a.lnk", b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F" + bytes(60), "executable"),
        ("a.js", TEXT, "script"),
        ("a.txt", b"#!/bin/sh\nrm -rf x\n", "script"),
        ("a.txt", b"@echo off\r\ndel x\r\n", "script"),
        ("a.zip", zipped({"a": TEXT})[:40], "damaged"),
        ("a.rar", b"Rar!\x1a\x07\x00" + b"\xff" * 200, "damaged"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 600, "damaged"),
        ("a.arj", b"\x60\xea" + bytes(100), "damaged"),
        ("a.gz", gzip.compress(TEXT * 100)[:-30], "damaged"),
    ],
)
def test_content_is_known_for_what_it_is(name, data, expected):
    assert expected in flags(name, data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", TEXT),
        ("a.html", b"<html><body><p>Hello</p></body></html>"),
        ("a.pdf", b"%PDF-1.4\n1 0 obj <</Type/Catalog>>\n%%EOF"),
        ("a.docx", word({"word/_rels/document.xml.rels": b"<Relationships/>"})),
        ("a.zip", zipped({"folder/": b"", "folder/a.txt": TEXT})),
        ("a.tar.gz", tarred({"a.txt": TEXT}, mode="w:gz")),
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>'),
        ("a.html", b"<html><body><p>The one = the other</p></body></html>"),
        ("a.xml", b'<?xml version="1.0"?><a><office:scripts/></a>'),
        ("a.docx", word({"word/embeddings/chart.xlsx": zipped({"xl/workbook.xml": b"<x/>"})})),
        ("a.xlsx", zipped({"[Content_Types].xml": b"<x/>", "xl/printerSettings/printerSettings1.bin": b"\0\1" * 40})),
        ("short.txt", b"x"),
        ("a.a", b"!<arch>\n//              " + b" " * 32 + b"4         `\nabc\n"),
        ("a.rtf", b"{\\rtf1 Hello}"),
        ("empty.txt", b""),
    ],
)
def test_a_harmless_file_is_not_flagged(name, data):
    assert flags(name, data) == set()


def test_a_folder_of_a_document_that_holds_itself_is_damage():
    """Found by fuzzing: olefile followed it until the process ended."""
    data = bytearray(ole({"Root": b"x"}))
    root = 512 + 512  # behind header and table
    data[root + 66], data[root + 76 : root + 80] = 1, struct.pack("<I", 0)  # a folder whose first child is itself
    assert "damaged" in flags("a.doc", bytes(data))


def test_the_name_of_what_cannot_be_read_is_no_lie(tmp_path):
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4")
    data = packed(tmp_path, ["zip", "-q", "-P", "letmein", "a.zip", "report.pdf"], "a.zip")
    assert "mismatch" not in flags("a.zip", data)


GZIP = gzip.compress(TEXT)


def test_a_wrong_sum_at_the_end_hides_nothing():
    outer, inner = look("a.txt.gz", GZIP[:-8] + b"\0\0\0\0" + GZIP[-4:])
    assert (outer.flags, inner.sha256) == ({"damaged"}, sha256(TEXT).hexdigest())


def renamed(data, old, new):
    """A zip whose names are in another charset, without telling which."""
    return data.replace(old.encode(), new)


@pytest.mark.parametrize("charset", ["cp932", "koi8-r", "cp866", "latin-1"])
def test_names_in_other_charsets_are_no_damage(charset):
    name = {"cp932": "\u767a\u6ce8", "latin-1": "\xe4\xf6"}.get(charset, "\u043f\u0440").encode(charset)
    assert flags("a.zip", renamed(zipped({"x" * len(name): TEXT}), "x" * len(name), name)) == set()


def test_what_only_the_directory_of_a_zip_has_is_said():
    data = zipped({"one.txt": TEXT, "two.exe": PROGRAM})
    hidden = data.replace(b"PK\x03\x04", b"PK\x03\x05").replace(b"PK\x03\x05", b"PK\x03\x04", 1)
    assert {"damaged", "executable"} <= flags("a.zip", hidden)


@pytest.mark.parametrize(("to", "unsafe"), [("a.txt", False), ("/etc/passwd", True), ("../../x", True)])
def test_a_hard_link_is_unsafe_where_it_leads_out(to, unsafe):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
        link = tarfile.TarInfo("b.txt")
        link.type, link.linkname = tarfile.LNKTYPE, to
        archive.addfile(link)
    assert ("unsafe-name" in flags("a.tar", target.getvalue())) is unsafe


def test_an_empty_tar_is_no_damage():
    assert "damaged" not in flags("a.tar.gz", tarred({}, mode="w:gz"))


def test_holes_are_no_bomb():
    """A sparse file as GNU tar writes it (1.0 format): one octet behind 64 MiB of nothing."""
    entry = tarfile.TarInfo("GNUSparseFile.0/disk")
    entry.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "disk",
        "GNU.sparse.realsize": str((64 << 20) + 1),
    }
    body = b"1\n67108864\n1\n".ljust(512, b"\0") + b"x"
    entry.size = len(body)
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(body))
    outer, inner = look("a.tar", target.getvalue())
    assert (outer.flags, inner.name, inner.size) == (set(), "disk", 1)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode >>", {"active"}),
        (b"<< /N 1 /Fir#73t 4 /Filter /FlateDecode >>", {"active"}),
        (b"<< /Length 9 /Filter /FlateDecode >>", set()),  # of a page: text that only shows such words
    ],
)
def test_of_a_pdf_the_objects_are_read_wherever_they_stand(stream, expected):
    packed_objects = zlib.compress(b"1 0 << /S /JavaScript /JS (app.alert) >>")
    data = b"%PDF-1.5\n1 0 obj\n" + stream + b"\nstream\n" + packed_objects + b"\nendstream\nendobj\n%%EOF"
    assert flags("a.pdf", data) == expected


def test_the_octets_of_a_picture_mean_nothing_in_a_pdf():
    data = b"%PDF-1.5\n1 0 obj\n<< /Subtype /Image >>\nstream\n\xff\xd8 /JS /Launch \xff\nendstream\nendobj\n%%EOF"
    assert flags("a.pdf", data) == set()
    hidden = b"%PDF-1.5\n%stream\n2 0 obj\n<< /S /Launch >>\nendobj\n%endstream\n%%EOF"
    assert flags("a.pdf", hidden) == {"active"}


def test_what_a_page_smuggles_is_looked_at():
    import base64

    items = look("a.html", SMUGGLED % base64.b64encode(zipped({"setup.exe": PROGRAM})))
    assert items[0].flags == {"active"}
    assert items[-1].sha256 == sha256(PROGRAM).hexdigest()


def test_winmail_dat_shows_its_files():
    _, inner = look("winmail.dat", tnef("setup.exe", PROGRAM))
    assert (inner.path, inner.size, inner.flags) == ("2/setup.exe", len(PROGRAM), {"executable"})


def test_a_program_that_is_an_archive_too_shows_what_it_holds():
    assert sha256(EICAR).hexdigest() in {item.sha256 for item in look("a.exe", PROGRAM + zipped({"a.com": EICAR}))}


def test_two_archives_one_behind_the_other_are_both_looked_at():
    both = zipped({"one.txt": TEXT}) + zipped({"two.com": EICAR})
    assert {"one.txt", "two.com"} <= {item.name for item in look("a.zip", both)}


@pytest.mark.parametrize("before", [b"", b"From a@example.com Mon Jan  1 00:00:00 2024\n"], ids=["mail", "mbox"])
def test_the_files_of_a_mail_are_its_parts_without_nameless_texts(before):
    (file,), _ = files_of(before + mail("a.zip", zipped({"x.exe": PROGRAM}), "image/png"), "a.eml")
    assert (file.path, file.name, file.declared) == ("2", "a.zip", "image/png")
    assert [item.path for item in inspect([file], Limits())] == ["2", "2/x.exe"]


@pytest.mark.parametrize("name", ["evil.js/", "evil.js::$DATA", "a.txt:evil.js", "evil.js:a.txt", "C:evil.js"])
def test_a_name_runs_by_each_end_that_windows_may_give_it(name):
    assert "script" in look(name, TEXT)[0].flags


def test_a_file_of_two_names_runs_by_each():
    flags = [item.flags for item in inspect([File("2", "a.txt", "", TEXT, "evil.js")], Limits())]
    assert flags == [{"script"}]


def test_a_mail_inside_an_archive_is_opened():
    items = look("a.zip", zipped({"a.eml": mail("x.exe", PROGRAM)}))
    assert items[-1].path == "2/a.eml/x.exe"


ATTACHED = (
    b'Content-Type: multipart/mixed; boundary="o"\r\n\r\n--o\r\n\r\nHello\r\n--o\r\n'
    b'Content-Type: message/rfc822; name="%b"\r\n\r\n%b\r\n--o--\r\n'
)


def looked_into(raw):
    return [(item.path, item.name, item.depth) for item in inspect(files_of(raw, "a.eml")[0], Limits())]


def test_an_attached_mail_is_a_file_and_its_files_lie_in_it():
    raw = ATTACHED % (b"fwd.eml", mail("x.exe", PROGRAM))
    assert looked_into(raw) == [("2", "fwd.eml", 0), ("2.2", "x.exe", 1)]
    around = (ATTACHED % (b"a.eml", b"")).replace(b"--o", b"--p").replace(b'"o"', b'"p"')
    assert looked_into(around.replace(b"\r\n\r\n\r\n--p--", b"\r\n\r\n" + raw + b"\r\n--p--"))[1:] == [
        ("2.2", "fwd.eml", 1),
        ("2.2.2", "x.exe", 2),
    ]
    item = inspect(files_of(raw, "a.eml")[0], Limits())[0]
    assert (item.type, item.flags) == ("message/rfc822", frozenset())
    nameless = b"Content-Type: message/rfc822\r\n\r\nContent-Type: text/plain\r\n\r\nwords\r\n"
    assert looked_into(nameless) == [("1", "mail.eml", 0)]


@pytest.mark.parametrize("data", [PROGRAM, b"X: y\r\n" * 60 + mail("x.exe", PROGRAM)], ids=["program", "many fields"])
def test_what_is_called_a_mail_is_looked_at_as_any_file(data):
    files, _ = files_of(ATTACHED % (b"evil.exe", data), "a.eml")
    assert "executable" in inspect(files, Limits())[0].flags
    assert "executable" in inspect(files, Limits())[-1].flags


def test_an_attached_mail_inside_an_archive_is_a_file_too():
    raw = ATTACHED % (b"fwd.eml", mail("x.exe", PROGRAM))
    items = look("a.zip", zipped({"a.eml": b"MIME-Version: 1.0\r\n" + raw}))
    assert [(item.name, item.depth) for item in items[2:]] == [("fwd.eml", 2), ("x.exe", 3)]


def test_attached_mails_within_one_another_are_bombs_where_there_is_too_much_of_them(monkeypatch):
    monkeypatch.setattr(mails, "_MOST", 1000)
    inner = (ATTACHED % (b"b.eml", mail("x.exe", PROGRAM + bytes(300)))).replace(b"--o", b"--p").replace(b'"o"', b'"p"')
    files, _ = files_of(ATTACHED % (b"a.eml", inner), "a.eml")
    assert [(file.name, "bomb" in file.flags) for file in files] == [
        ("a.eml", False),
        ("b.eml", True),
        ("x.exe", False),
    ]


@pytest.mark.parametrize("header", [b"", b"Content-Type: text/plain\r\n", b"Content-Type: text/plain; charset=x\r\n"])
def test_what_stands_uuencoded_in_a_text_is_a_file(header):
    piece = b"begin 644 %b\r\n" + b2a_uu(PROGRAM[:40]).replace(b"\n", b"\r\n") + b"`\r\nend\r\n"
    raw = b"Subject: s\r\n" + header + b"\r\n" + b"words\r\n" * 2000 + piece % b"a.exe" + b"more\r\n" + piece % b"b.txt"
    files = attached_files(Message(raw))
    assert [(file.path, file.name, file.data) for file in files] == [
        ("1", "a.exe", PROGRAM[:40]),
        ("1", "b.txt", PROGRAM[:40]),
    ]
    assert attached_files(Message(b"\r\nbegin 644 a.exe\r\n\r\nend\r\nbegin with this\r\n")) == []


def test_the_other_form_of_uuencode_is_looked_for_too():
    raw = b"Subject: s\r\n\r\nwords\r\nbegin-base64 644 a.exe\r\n" + encodebytes(PROGRAM) + b"====\r\nmore words\r\n"
    assert [(file.name, file.data) for file in attached_files(Message(raw))] == [("a.exe", PROGRAM)]


def test_more_files_in_a_text_than_are_looked_into_are_a_bomb(monkeypatch):
    monkeypatch.setattr(mails, "_WRITTEN", 2)
    files = attached_files(Message(b"\r\n" + b"begin 644 a\r\n#86%A\r\nend\r\n" * 5))
    assert [file.flags for file in files] == [frozenset(), frozenset(), {"bomb"}]


def test_a_text_that_is_attached_is_a_file():
    raw = b"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nMZ"
    assert [file.data for file in attached_files(Message(raw))] == [b"MZ"]


def test_a_bare_file_is_one_file():
    (file,), _ = files_of(TEXT, "a.txt")
    assert (file.path, file.name, file.declared) == ("a.txt", "a.txt", "")
