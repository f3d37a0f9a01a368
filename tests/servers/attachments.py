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
