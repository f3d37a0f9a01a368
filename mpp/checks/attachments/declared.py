"""What the type that a mail declares makes of a file: where its name has no end, programs complete it by the type."""

from mpp.checks.attachments.item import Flag

_EXECUTABLE = frozenset(
    f"application/{each}"
    for each in (
        *(
            "x-msdownload",
            "x-msdos-program",
            "x-ms-dos-executable",
            "x-dosexec",
            "exe",
            "x-exe",
            "x-msi",
            "x-ms-installer",
        ),
        *("vnd.microsoft.portable-executable", "x-executable", "java-archive", "x-java-archive", "x-ms-application"),
        *("vnd.android.package-archive", "vnd.debian.binary-package", "x-debian-package", "x-rpm", "x-apple-diskimage"),
        *("x-iso9660-image", "vnd.ms-htmlhelp", "x-chm"),
    )
)
_SCRIPT = frozenset(
    f"{major}/{each}"
    for major in ("application", "text")
    for each in (
        *("javascript", "x-javascript", "ecmascript", "jscript", "hta", "vbscript", "x-vbscript", "x-bat", "bat"),
        *("x-msdos-batch", "x-sh", "x-shellscript", "x-csh", "x-powershell", "x-python", "x-perl", "x-php", "x-ruby"),
        *("scriptlet", "x-wsh", "internet-shortcut", "x-mswinurl", "x-ms-shortcut", "x-java-jnlp-file"),
    )
)


def by_declared(kind: str) -> set[Flag]:
    """Return the flags of a file of that declared type, in lower case."""
    return {Flag.SCRIPT} if kind in _SCRIPT else {Flag.EXECUTABLE} if kind in _EXECUTABLE else set()
