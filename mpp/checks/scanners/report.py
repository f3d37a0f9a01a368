"""Reads the report of SpamAssassin: the table of points, rule names and descriptions (Mail::SpamAssassin::Conf, report).

For the spamd adapter. The table is made by SpamAssassin, but descriptions and the preview above it hold octets of the
message. So the last table counts, its lines are read strictly, and what is not a line of it is left out. Never raises.
"""

import re
from dataclasses import dataclass

from mpp.mail.escape import printable

MAX_ROWS = 500
MAX_DESCRIPTION = 500  # characters

# The words above this line are translated in some installations; the line is not.
_RULER = re.compile(rb"^ ?-{3,6} -{10,60} -{20,80}[ \t]*\r?$", re.MULTILINE)
_ROW = re.compile(rb" {0,3}(-?[0-9]{1,7}(?:\.[0-9]{1,4})?) +([A-Za-z_][A-Za-z0-9_]{0,127})(?:[ \t]+(.*))?")
_WRAPPED = re.compile(rb"[ \t]{10,}(\S.*)")


@dataclass(frozen=True, slots=True)
class Row:
    symbol: str
    score: float  # as printed
    fuzz: float  # how far the true score may be away: 0.05 where a decimal is printed
    description: str  # cleaned, its wrapped lines joined


def read_report(report: bytes) -> list[Row]:
    """Return the rows of the last table in a report, none where there is no table."""
    ruler = None
    for ruler in _RULER.finditer(report):  # noqa: B007  the last one is wanted
        pass
    if ruler is None:
        return []
    rows: list[tuple[bytes, bytes, list[bytes]]] = []
    for line in report[ruler.end() : ruler.end() + (256 << 10)].lstrip(b"\r\n").split(b"\n"):
        line = line.rstrip()
        if match := _ROW.fullmatch(line):
            if len(rows) == MAX_ROWS:
                break
            rows.append((match[1], match[2], [match[3] or b""]))
        elif (wrapped := _WRAPPED.fullmatch(line)) and rows:
            rows[-1][2].append(wrapped[1])
        else:
            break
    return [_row(*row) for row in rows]


def _row(points: bytes, symbol: bytes, description: list[bytes]) -> Row:
    text = printable(b" ".join(description), MAX_DESCRIPTION)
    return Row(symbol.decode(), float(points), 0.051 if b"." in points else 0.51, text)
