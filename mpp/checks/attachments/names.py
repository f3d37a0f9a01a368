"""What a file's name says: programs and scripts by their ends, and names that deceive or escape.

The lists are those of what Windows, macOS and Unix desktops start on a double click, as mail services commonly ban.
"""

import re
import unicodedata

from mpp.checks.attachments.item import Flag

LONGEST = 255  # characters of one name, as file systems have it

EXECUTABLE = frozenset(
    [
        "exe",
        "com",
        "scr",
        "pif",
        "cpl",
        "msi",
        "msp",
        "mst",
        "dll",
        "sys",
        "drv",
        "ocx",
        "ax",
        "efi",
        "elf",
        "so",
        "o",
        "app",
        "appx",
        "appxbundle",
        "msix",
        "msixbundle",
        "jar",
        "apk",
        "deb",
        "rpm",
        "dmg",
        "pkg",
        "run",
        "out",
        "iso",
        "img",
        "vhd",
        "vhdx",
        "ime",
        "tsp",
        "gadget",
        "application",
        "appref-ms",
        "xll",
        "wll",
        "ppam",
        "xlam",
        "chm",
        "msu",
        "xbap",
        "ppkg",
        "diagcab",
        "diagcfg",
        "diagpack",
        "themepack",
        "deskthemepack",
        "hlp",
        "shb",
        "shs",
        "vxd",
        "ex_",
        "crx",
        "xpi",
        "air",
        "accde",
        "accda",
        "mam",
        "vmdk",
    ]
)
SCRIPT = frozenset(
    [
        "bat",
        "cmd",
        "js",
        "jse",
        "vb",
        "vbe",
        "vbs",
        "ws",
        "wsf",
        "wsh",
        "wsc",
        "sct",
        "hta",
        "ps1",
        "ps1xml",
        "ps2",
        "ps2xml",
        "psc1",
        "psc2",
        "psd1",
        "psm1",
        "msh",
        "msh1",
        "msh2",
        "mshxml",
        "sh",
        "bash",
        "csh",
        "ksh",
        "zsh",
        "pl",
        "py",
        "pyc",
        "pyw",
        "pyz",
        "rb",
        "php",
        "lua",
        "tcl",
        "applescript",
        "scpt",
        "reg",
        "inf",
        "ins",
        "isp",
        "jnlp",
        "lnk",
        "url",
        "scf",
        "desktop",
        "library-ms",
        "settingcontent-ms",
        "command",
        "action",
        "workflow",
        "ade",
        "adp",
        "mde",
        "mda",
        "mjs",
        "vbscript",
        "bas",
        "asp",
        "aspx",
        "pyo",
        "pyd",
        "pyzw",
        "msc",
        "rdp",
        "theme",
        "appinstaller",
        "website",
        "webpnp",
        "printerexport",
        "search-ms",
        "searchconnector-ms",
        "fxp",
        "prg",
        "prf",
        "xnk",
        "pcd",
        "plg",
        "ops",
        "osd",
        "its",
        "htc",
        "udl",
        "iqy",
        "oqy",
        "rqy",
        "dqy",
        "terminal",
        "inetloc",
        "fileloc",
        "webloc",
        "job",
        "grp",
        "mcf",
        "cdxml",
        "vsw",
        "vsmacros",
        "hpj",
        "maf",
        "mag",
        "maq",
        "mau",
        "mav",
        "maw",
        "mdt",
        "mdw",
        "mdz",
    ]
)
HARMLESS = frozenset(
    [
        "txt",
        "pdf",
        "doc",
        "docx",
        "xls",
        "xlsx",
        "ppt",
        "pptx",
        "jpg",
        "jpeg",
        "png",
        "gif",
        "bmp",
        "htm",
        "html",
        "rtf",
        "csv",
        "mp3",
        "mp4",
        "wav",
        "zip",
        "rar",
        "odt",
        "ods",
        "eml",
    ]
)
_FORBIDDEN = str.maketrans("", "", '<>"|?*')
_DRIVE = re.compile(r"[A-Za-z]:")
_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")


def as_windows(name: str) -> list[str]:
    """Return the last step of a name as Windows takes it: up to a NUL, without what stands behind it that does not count.

    Several where it holds colons: a drive, a file and a stream of it, of which programs write this one or that.
    """
    base = re.split(r"[/\\]", name.split("\0", 1)[0].rstrip(" .\t/\\"))[-1]
    return [piece.rstrip(" .\t") for piece in base.split(":")]


def endings(name: str) -> set[str]:
    """Return the last ends of a name as Windows takes it, in lower case."""
    parted = [piece.rpartition(".") for piece in as_windows(name)]
    return {end.lower() for stem, dot, end in parted if dot and stem}


def by_name(name: str, *, within: bool = False) -> set[Flag]:
    """Return what a name says of its file. `within`: it stands in an archive, where folders are usual."""
    flags: set[Flag] = set()
    ends = endings(name) | endings(cleaned(name))
    if ends & EXECUTABLE:
        flags.add(Flag.EXECUTABLE)
    elif ends & SCRIPT:
        flags.add(Flag.SCRIPT)
    if _deceives(name, ends) or escapes(name) or (not within and len(re.split(r"[/\\]", name)) > 1):
        flags.add(Flag.UNSAFE_NAME)
    return flags


def cleaned(name: str) -> str:
    """Return the name without what programs leave out when they write a file: what is not seen, and what Windows forbids."""
    if name.isascii() and name.isprintable():
        return name.translate(_FORBIDDEN)
    seen = (character for character in name if unicodedata.category(character) not in ("Cc", "Cf"))
    return "".join(seen).translate(_FORBIDDEN)


def _deceives(name: str, ends: set[str]) -> bool:
    """Something about the name hides what it is."""
    if any(character in _BIDI or unicodedata.category(character) in ("Cc", "Co", "Cs") for character in name):
        return True
    base = re.split(r"[/\\]", name)[-1]
    if base != base.rstrip(" .") and base.rstrip(" ."):
        return True
    stems = base.lower().split(".")
    doubled = len(stems) > 2 and bool(ends & (EXECUTABLE | SCRIPT)) and stems[-2].strip() in HARMLESS
    return doubled or "   " in base or len(name.encode("utf-8", "replace")) > LONGEST


def escapes(name: str) -> bool:
    """A careless unpacker would write outside its folder."""
    return ".." in re.split(r"[/\\]", name) or bool(_DRIVE.match(name)) or name.startswith(("/", "\\"))
