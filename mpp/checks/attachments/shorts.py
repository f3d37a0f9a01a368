"""What a ban list in the manner of amavisd is asked about a file: its names, its types, and amavisd's short types (".exe-ms").

The short types are those of amavisd's `map_full_type_to_short_type_re`, as far as inspection tells the types apart.
"""

import re
from collections.abc import Iterator

from mpp.checks.attachments.item import Flag, Item
from mpp.checks.attachments.names import as_windows, cleaned

_LONGEST = 1000  # characters of a name that are looked at
UNDECIPHERABLE = "UNDECIPHERABLE"  # it, or something in it, cannot be looked into
_CLOSED = frozenset({Flag.ENCRYPTED, Flag.DAMAGED, Flag.BOMB, Flag.UNCHECKED})
_SHORT: tuple[tuple[str, str], ...] = (
    ("application/vnd.microsoft.portable-executable", "exe exe-ms"),
    ("application/x-dosexec", "exe exe-ms"),
    ("application/x-executable", "exe exe-unix"),
    ("application/x-pie-executable", "exe exe-unix"),
    ("application/x-sharedlib", "exe exe-unix"),
    ("application/x-mach-binary", "exe exe-unix"),
    ("application/zip", "zip"),
    ("application/java-archive", "zip jar"),
    ("application/x-rar", "rar"),
    ("application/x-7z-compressed", "7z"),
    ("application/x-arj", "arj"),
    ("application/x-lzh", "lha"),
    ("application/x-lha", "lha"),
    ("application/vnd.ms-cab-compressed", "cab"),
    ("application/x-tar", "tar"),
    ("application/x-cpio", "cpio"),
    ("application/x-rpm", "rpm"),
    ("application/vnd.debian.binary-package", "deb"),
    ("application/x-archive", "a"),
    ("application/gzip", "gz"),
    ("application/x-bzip2", "bz2"),
    ("application/x-xz", "xz"),
    ("application/x-lzma", "lzma"),
    ("application/x-compress", "Z"),
    ("application/zstd", "zst"),
    ("application/x-iso9660-image", "iso"),
    ("application/vnd.ms-tnef", "tnef"),
    ("application/pdf", "pdf"),
    ("application/postscript", "ps"),
    ("application/msword", "doc"),
    ("application/x-ole-storage", "doc"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument", "zip"),
    ("application/vnd.oasis.opendocument", "zip"),
    ("application/x-shockwave-flash", "swf"),
    ("application/x-ms-shortcut", "lnk"),
    ("message/rfc822", "mail"),
    ("text/rtf", "rtf txt"),
    ("text/html", "html txt"),
    ("text/", "txt asc"),
    ("image/gif", "gif image"),
    ("image/jpeg", "jpg image"),
    ("image/png", "png image"),
    ("image/tiff", "tif image"),
    ("image/bmp", "bmp image"),
    ("image/", "image"),
    ("audio/", "audio"),
    ("video/", "movie"),
)


def keys_of(item: Item) -> Iterator[str]:
    """Yield what the patterns of a list are searched in."""
    yield from names_of(item)
    yield from filter(None, (item.declared, item.type))
    short = next((words for kind, words in _SHORT if item.type.startswith(kind)), "")
    yield from (f".{word}" for word in short.split())
    if not _CLOSED.isdisjoint(item.flags):
        yield UNDECIPHERABLE


def names_of(item: Item) -> Iterator[str]:
    """Yield the last step of each of its names as it came, as Windows takes it, and without what programs leave out."""
    for name in filter(None, (item.name, item.other_name)):
        base = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
        yield from dict.fromkeys(
            each[-_LONGEST:] for each in (base, *as_windows(name), *as_windows(cleaned(name))) if each
        )
