"""Text that a system would run: by its first line, and by words that hardly stand together in other text."""

import re

_LOOKED_AT = 1 << 16
_SHEBANG = re.compile(rb"\A(?:\xef\xbb\xbf)?#!\s*/\S*/(?:\S*(?:sh|python|perl|ruby|php|node|env)\S*)")
_BEGINNINGS = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?php\b|@?echo\s+off\b|<(?:job|package|scriptlet|component)\b[^>]*>.{0,2000}<script\b"
    rb"|Windows Registry Editor Version|REGEDIT4\b|\[InternetShortcut\])",
    re.IGNORECASE,
)
# What stands anywhere in a script, and before it a word of it in lower case: to look for that first is a hundred times cheaper.
_SIGNS = tuple(
    (word, re.compile(pattern, re.IGNORECASE))
    for word, pattern in (
        (b"wscript.", rb"\bWScript\.(?:Shell|CreateObject)\b"),
        (b"activexobject", rb"\bnew\s+ActiveXObject\s*\("),
        (
            b"createobject",
            rb"\bCreateObject\s*\(\s*[\"'](?:WScript\.Shell|Scripting\.FileSystemObject|MSXML2|ADODB)",
        ),
        (
            b"powershell",
            rb"\bpowershell(?:\.exe)?\b[^\r\n]{0,200}\s-(?:e|enc|encodedcommand|w|windowstyle|nop|ep|executionpolicy)\b",
        ),
        (
            b"invoke-expression",
            rb"\bInvoke-Expression\b[^\r\n]{0,200}\b(?:New-Object|DownloadString|FromBase64String)\b",
        ),
        (b"iex", rb"\bIEX\b[^\r\n]{0,200}\b(?:New-Object|DownloadString|FromBase64String)\b"),
        (b"<hta:", rb"<hta:application\b"),
    )
)


def is_script(data: bytes, kind: str) -> bool:
    """True where the content is a script. Only text is looked at."""
    if not (
        kind.startswith("text/")
        or kind in ("application/javascript", "application/octet-stream", "application/x-empty")
    ):
        return False
    if kind.startswith("text/x-") and kind.removeprefix("text/x-").startswith(
        ("msdos-batch", "shellscript", "php", "perl", "python", "ruby", "script.python")
    ):
        return True
    head = data[:_LOOKED_AT]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head.replace(b"\0", b"")[2:]
    lower = head.lower()
    return bool(_SHEBANG.match(head) or _BEGINNINGS.match(head)) or any(
        word in lower and sign.search(head) for word, sign in _SIGNS
    )
