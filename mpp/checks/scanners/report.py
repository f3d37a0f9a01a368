"""Reads the report of SpamAssassin: the table of points, rule names and descriptions (Mail::SpamAssassin::Conf, report).

For the spamd adapter. The table is made by SpamAssassin, but descriptions and the preview above it hold octets of the
message. So the last table counts, its lines are read strictly, and what is not a line of it is left out. Never raises.
"""

import re
from typing import NamedTuple

from mpp.mail.escape import printable

MAX_ROWS = 500
MAX_DESCRIPTION = 500  # characters

# The words above this line are translated in some installations; the line is not.
_RULER = re.compile(r"^ ?-{3,6} -{10,60} -{20,80}[ \t]*\r?$", re.MULTILINE)
_ROW = re.compile(r" {0,3}(-?[0-9]{1,7}(?:\.[0-9]{1,4})?) +([A-Za-z_][A-Za-z0-9_]{0,127})(?:[ \t]+(.*))?")
_WRAPPED = re.compile(r"[ \t]{10,}(\S.*)", re.ASCII)
_BLANK = " \t\r\v\f"


class Row(NamedTuple):
    symbol: str
    score: float  # as printed
    fuzz: float  # how far the true score may be away: 0.05 where a decimal is printed
    description: str  # cleaned, its wrapped lines joined


def read_report(report: bytes) -> list[Row]:
    """Return the rows of the last table in a report, none where there is no table."""
    ruler, text = None, report.decode(errors="surrogateescape")
    for ruler in _RULER.finditer(text):  # noqa: B007  the last one is wanted
        pass
    if ruler is None:
        return []
    rows: list[tuple[str, str, list[str]]] = []
    for line in text[ruler.end() : ruler.end() + (256 << 10)].lstrip("\r\n").split("\n"):
        line = line.rstrip(_BLANK)
        if match := _ROW.fullmatch(line):
            if len(rows) == MAX_ROWS:
                break
            rows.append((match[1], match[2], [match[3] or ""]))
        elif (wrapped := _WRAPPED.fullmatch(line)) and rows:
            rows[-1][2].append(wrapped[1])
        else:
            break
    return [
        Row(symbol, float(points), 0.051 if "." in points else 0.51, printable(" ".join(description), MAX_DESCRIPTION))
        for points, symbol, description in rows
    ]
