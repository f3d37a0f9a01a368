"""What a file is, by its content: libmagic, and before it what libmagic does not know or is led astray by.

Sources: libmagic's database; the file formats' own signatures (named where they are used). No name is believed here.
"""

import re
import threading

import magic

from mpp.checks.attachments.names import endings

_HEAD = 1 << 20  # octets shown to libmagic: its tests look at the beginning
_local = threading.local()

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/x-rar"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"\x78\x9f\x3e\x22", "application/vnd.ms-tnef"),
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "application/onenote"),
    (0, b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F", "application/x-ms-shortcut"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (0, b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (0, b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
    (0, b"\0\5\x16\0", "application/applefile"),
    (0, b"\x1f\x9d", "application/x-compress"),
    (0, b"ITSF", "application/vnd.ms-htmlhelp"),
    (0, b"conectix", "application/x-vhd"),
    (0, b"vhdxfile", "application/x-vhdx"),
    (0, b"MSWIM\0\0\0", "application/x-ms-wim"),
    (0, b"\x60\xea", "application/x-arj"),
    (0x8001, b"CD001", "application/x-iso9660-image"),
    (257, b"ustar", "application/x-tar"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"PK00PK\x03\x04", "application/zip"),
    (0, b"!<arch>\n", "application/x-archive"),
    (0, b"{\\rt", "text/rtf"),
)
_MZ = "application/vnd.microsoft.portable-executable"
_OOXML = {
    b"word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_PDF = re.compile(rb"%PDF-\d")
_SHORT_TEXT = re.compile(rb"[\t\r\n -~]{1,8}")  # too little for libmagic to call it anything
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)
_HTML = re.compile(
    rb"\A[\s\xef\xbb\xbf\xfe\xff]*(?:<!--.{0,4000}?-->\s*)*<(?:!doctype\s+html|html|head|body|script|iframe|meta)\b",
    re.IGNORECASE | re.DOTALL,
)
# Signed, compressed (first group) or encrypted (second) data of S/MIME: a sequence that begins with the identifier of the one or of the
# other (RFC 5652, RFC 3274, RFC 5083).
CMS = re.compile(
    rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...|\x84.{4})\x06"
    rb"(?:\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02|(\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09)"
    rb"|(\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07[\x03\x04\x06]|\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17))",
    re.DOTALL,
)
# A mail, also as it lies in an mbox file: fields from the first line on, one of them of MIME.
_MAIL = re.compile(
    rb"(?:From [^\r\n]{1,200}\r?\n)?(?:[!-9;-~]{1,60}:[^\n]*\n(?:[ \t][^\n]*\n)*){0,50}?(?:MIME-Version|Content-Type|Message-ID):",
    re.IGNORECASE,
)


def kind_of(data: bytes) -> str:
    """Return the MIME type of the octets. Never raises on any octets."""
    if not data:
        return "application/x-empty"
    if data[:2] == b"MZ" and len(data) >= 28:
        return _MZ
    for offset, signature, kind in _SIGNATURES:
        if data.startswith(signature, offset):
            return _zip_kind(data) if kind == "application/zip" else kind
    if _PDF.search(data, 0, 1024):
        return "application/pdf"
    if data[0] == 0x30 and CMS.match(data):
        return "application/pkcs7-mime"
    kind = _libmagic(data)
    if kind.startswith("text/") or kind in ("application/octet-stream", "image/svg+xml", "application/javascript"):
        return _textual(data, kind)
    return kind


def _textual(data: bytes, kind: str) -> str:
    head = data[: 1 << 16]
    wide = head.replace(b"\0", b"") if head[:2] in (b"\xff\xfe", b"\xfe\xff") else head
    if _SVG.search(wide, 0, 4096):
        return "image/svg+xml"
    if _HTML.match(wide):
        return "text/html"
    return "message/rfc822" if _MAIL.match(head) else kind


def _zip_kind(data: bytes) -> str:
    """Tell office documents from other zip files by the parts that they must have (ECMA-376, part 2)."""
    if b"[Content_Types].xml" in data[:4096] or data.rfind(b"[Content_Types].xml") >= 0:
        for folder, kind in _OOXML.items():
            if data.find(b"PK\x01\x02") >= 0 and data.rfind(folder) >= 0:
                return kind
    if data[30:38] == b"mimetype":
        declared = data[38:120].split(b"PK", 1)[0]
        if declared.startswith(b"application/vnd.oasis"):
            return re.split(rb"[^a-z.\-/+]", declared)[0].decode("ascii", "replace")
    if data.rfind(b"META-INF/MANIFEST.MF") >= 0:
        return "application/java-archive"
    return "application/zip"


def _libmagic(data: bytes) -> str:
    """Ask libmagic; a handle serves one thread."""
    handle = getattr(_local, "handle", None)
    if handle is None:
        handle = _local.handle = magic.Magic(mime=True)
    try:
        kind = str(handle.from_buffer(data[:_HEAD]))
        return "text/plain" if kind == "application/octet-stream" and _SHORT_TEXT.fullmatch(data) else kind
    except magic.MagicException:
        return "application/octet-stream"


_MAJORS = frozenset(
    [
        "application",
        "audio",
        "biosig",
        "chemical",
        "font",
        "image",
        "inode",
        "message",
        "model",
        "multipart",
        "rinex",
        "text",
        "video",
        "x-epoc",
    ]
)
# What types are called elsewhere that `kind_of` never says, by what it says.
_CALLED = {
    other: kind
    for kind, others in {
        _MZ: "x-msdownload x-msdos-program exe x-exe x-winexe x-win-exe",
        "application/x-executable": "x-elf x-pie-executable",
        "application/x-mach-binary": "x-mach-o",
        "application/x-ms-shortcut": "x-lnk x-win-lnk",
        "application/zip": "x-zip x-zip-compressed",
        "application/x-7z-compressed": "x-7z",
        "application/x-rar": "vnd.rar x-rar-compressed rar",
        "application/gzip": "x-gzip x-gtar-compressed",
        "application/x-iso9660-image": "x-iso9660 x-cd-image",
        "application/vnd.ms-cab-compressed": "x-cab x-cab-compressed",
        "application/vnd.ms-tnef": "ms-tnef x-tnef",
        "application/vnd.ms-htmlhelp": "x-chm",
        "application/java-archive": "x-java-archive x-jar",
        "application/pdf": "x-pdf acrobat",
        "application/pkcs7-mime": "x-pkcs7-mime pkcs7-signature x-pkcs7-signature",
        "application/onenote": "msonenote x-onenote",
        "text/rtf": "rtf x-rtf",
        "application/x-ole-storage": "vnd.ms-excel vnd.ms-powerpoint vnd.ms-outlook x-msi x-ole",
    }.items()
    for other in (f"application/{each}" for each in others.split())
} | {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png", "text/richtext": "text/rtf"}


def called(kind: str) -> str:
    """Return what a type is called here, in lower case; one that is not known otherwise as it came."""
    return _CALLED.get(kind, kind)


def is_major(text: str, *, begins: bool = False) -> bool:
    """True where the text is what stands before the "/" of a type, or `begins` so."""
    if not begins:
        return text in _MAJORS
    return any(f"{major}/".startswith(text) or text.startswith(f"{major}/") for major in _MAJORS)


# Ends of names that promise a type, and what content may be behind them. Only where a lie is of use to somebody.
_PROMISES: dict[str, tuple[str, ...]] = {
    "pdf": ("application/pdf",),
    "png": ("image/png",),
    "jpg": ("image/",),
    "jpeg": ("image/",),
    "gif": ("image/",),
    "bmp": ("image/",),
    "txt": ("text/", "application/json", "message/", "application/x-empty"),
    "csv": ("text/", "application/csv", "application/x-empty"),
    "zip": ("application/zip", "application/vnd.o", "application/epub"),  # not a jar: that is started, not opened
    "7z": ("application/x-7z",),
    "rar": ("application/x-rar",),
    "gz": ("application/gzip",),
    "tar": ("application/x-tar", "application/x-ustar"),
    "docx": ("application/vnd.openxml", "application/x-ole-storage", "application/encrypted", "application/zip"),
    "xlsx": ("application/vnd.openxml", "application/x-ole-storage", "application/encrypted", "application/zip"),
    "pptx": ("application/vnd.openxml", "application/x-ole-storage", "application/encrypted", "application/zip"),
    "doc": ("application/x-ole", "application/msword", "text/", "application/vnd.openxml", "application/zip"),
    "xls": ("application/x-ole", "application/vnd.ms-excel", "text/", "application/vnd.openxml", "application/zip"),
    "html": ("text/", "application/x-empty"),
    "htm": ("text/", "application/x-empty"),
}
_PROGRAMS = (_MZ, "application/x-executable", "application/x-mach-binary", "application/x-ms-shortcut")


def lies(name: str, kind: str) -> bool:
    """True where the name's end promises another type than the content has."""
    promises = [_PROMISES[end] for end in endings(name) if end in _PROMISES]
    return any(not kind.startswith(promised) for promised in promises)


def is_program(kind: str) -> bool:
    return kind in _PROGRAMS or kind in (
        "application/x-sharedlib",
        "application/x-pie-executable",
        "application/x-dosexec",
    )
