"""Logical lines of a Postfix table, as its readllines(3) makes them. Pure; for mpp.checks.content.postfix.read.

A logical line begins with text that is no white space; lines that begin with white space go on with it, comments and
blank lines between them are left out.
"""

from collections.abc import Iterator

_SPACE = b" \t\n\v\f\r"


def logical_lines(table: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number of the first physical line and the text, blanks at its end taken off. Such a line may begin with
    white space: Postfix warns and skips it."""
    first, pieces = 0, list[bytes]()
    for number, line in enumerate(table.split(b"\n"), 1):
        if not line.strip(_SPACE) or line.lstrip(_SPACE).startswith(b"#"):
            continue
        if pieces and line[:1] not in _SPACE_OCTETS:
            yield first, b"".join(pieces).rstrip(_SPACE)
            pieces = []
        if not pieces:
            first = number
        pieces.append(line)
    if pieces:
        yield first, b"".join(pieces).rstrip(_SPACE)


_SPACE_OCTETS = frozenset(bytes([octet]) for octet in _SPACE)
