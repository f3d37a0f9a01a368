"""Text that a system would run: by its first line, and by words that hardly stand together in other text."""

import re

_LOOKED_AT = 1 << 16
_SHEBANG = re.compile(rb"\A(?:\xef\xbb\xbf)?#!\s*/\S*/(?:\S*(?:sh|python|perl|ruby|php|node|env)\S*)")
_SIGNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rb"\A(?:\xef\xbb\xbf)?\s*<\?php\b",
        rb"\A(?:\xef\xbb\xbf)?\s*@?echo\s+off\b",
        rb"\bWScript\.(?:Shell|CreateObject)\b|\bnew\s+ActiveXObject\s*\(",
        rb"\bCreateObject\s*\(\s*[\"'](?:WScript\.Shell|Scripting\.FileSystemObject|MSXML2|ADODB)",
        rb"\bpowershell(?:\.exe)?\b[^\r\n]{0,200}\s-(?:e|enc|encodedcommand|w|windowstyle|nop|ep|executionpolicy)\b",
        rb"\b(?:Invoke-Expression|IEX)\b[^\r\n]{0,200}\b(?:New-Object|DownloadString|FromBase64String)\b",
        rb"\A\s*<(?:job|package|scriptlet|component)\b[^>]*>.{0,2000}<script\b",
        rb"<hta:application\b",
        rb"\A\s*Windows Registry Editor Version|\A\s*REGEDIT4\b",
        rb"\A\s*\[InternetShortcut\]",
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
    return bool(_SHEBANG.match(head)) or any(sign.search(head) for sign in _SIGNS)
