"""Files made for the tests of attachments: small, harmless, and each with one thing to be found."""

import io
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
PROGRAM = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + bytes(100)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return target.getvalue()


def tarred(files: dict[str, bytes], links: dict[str, str] | None = None, mode: str = "w") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, to in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, to
            archive.addfile(entry)
    return target.getvalue()


def packed(folder: Path, command: list[str], name: str, data: bytes = b"hidden words\n") -> bytes:
    """Run an archiver of the system in a folder with one file, secret.txt."""
    (folder / "secret.txt").write_bytes(data)
    subprocess.run([*command, name, "secret.txt"], cwd=folder, check=True, capture_output=True)
    return (folder / name).read_bytes()


def word(parts: dict[str, bytes]) -> bytes:
    return zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w:document/>", **parts})


def macro_word(
    parts: dict[str, bytes] | None = None, main: str = "application/vnd.ms-word.document.macroEnabled.main+xml"
) -> bytes:
    """A Word document with a VBA project, and all that points to it."""
    types = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{main}"/>'
        '<Override PartName="/word/vbaData.xml" ContentType="application/vnd.ms-word.vbaData+xml"/></Types>'
    )
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    microsoft = "http://schemas.microsoft.com/office/2006/relationships"
    relations = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s</Relationships>'
    one = '<Relationship Id="rId%d" Type="%s/%s" Target="%s"/>'
    package = relations % (one % (1, office, "officeDocument", "word/document.xml"))
    document = relations % (
        one % (1, office, "styles", "styles.xml") + one % (2, microsoft, "vbaProject", "vbaProject.bin")
    )
    data = relations % (one % (1, microsoft, "wordVbaData", "vbaData.xml"))
    text = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body/></w:document>'
    return zipped(
        {
            "[Content_Types].xml": types.encode(),
            "_rels/.rels": package.encode(),
            "word/document.xml": text.encode(),
            "word/_rels/document.xml.rels": document.encode(),
            "word/_rels/vbaProject.bin.rels": data.encode(),
            "word/vbaProject.bin": b"\xd0\xcf\x11\xe0 no real project",
            "word/vbaData.xml": b"<wne:vbaSuppData/>",
            "word/styles.xml": b"<w:styles/>",
            **(parts or {}),
        }
    )


def tnef(name: str, data: bytes) -> bytes:
    """A winmail.dat (MS-OXTNEF) with one attachment."""

    def attribute(number: int, value: bytes) -> bytes:
        return struct.pack("<BHHI", 2, number, 6, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF)

    return (
        b"\x78\x9f\x3e\x22\x01\x00"
        + attribute(0x9002, bytes(14))
        + attribute(0x8010, name.encode() + b"\0")
        + attribute(0x800F, data)
    )


def mail(name: str, data: bytes, type_: str = "application/octet-stream") -> bytes:
    import base64

    return (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n'
        + f'Content-Type: {type_}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'.encode()
        + base64.encodebytes(data).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )


def szdd(data: bytes) -> bytes:
    """As compress.exe writes it: flags of eight literals before each eight octets."""
    pieces = (b"\xff" + data[at : at + 8] for at in range(0, len(data), 8))
    return b"SZDD\x88\xf0\x27\x33A\0" + struct.pack("<I", len(data)) + b"".join(pieces)


def ole(streams: dict[str, bytes]) -> bytes:
    """A compound file (MS-CFB, version 3) with streams at its root, each padded to what needs no small sectors."""
    end, free, fat_mark = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
    table: list[int] = [fat_mark]
    content, places = b"", []
    folders = (len(streams) + 1 + 3) // 4
    table += [*range(2, folders + 1), end]
    for data in streams.values():
        padded = data.ljust(-(-max(len(data), 4096) // 512) * 512, b"\0")
        places.append((len(table), len(padded)))
        table += [*range(len(table) + 1, len(table) + len(padded) // 512), end]
        content += padded

    def entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
        text = (name + "\0").encode("utf-16-le")
        head = text.ljust(64, b"\0") + struct.pack("<HBBIII", len(text), kind, 1, free, right, child)
        return head + bytes(36) + struct.pack("<IQ", start, size)

    entries = entry("Root Entry", 5, free, 1 if streams else free, end, 0)
    for number, (name, (start, size)) in enumerate(zip(streams, places, strict=True), 1):
        entries += entry(name, 2, number + 1 if number < len(streams) else free, free, start, size)
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, end, 0, end, 0) + struct.pack("<109I", 0, *[free] * 108)
    assert len(table) <= 128
    fat = struct.pack("<128I", *table, *[free] * (128 - len(table)))
    return header + fat + entries.ljust(folders * 512, b"\0") + content
