"""The header fields that tell of a score, in the words that users of SpamAssassin and amavisd filter by.

X-Spam-Flag, X-Spam-Score, X-Spam-Level and X-Spam-Status as amavisd writes them (`tests=[A=1.2, B=0.1]`, with the score of
each), X-Spam-Report as SpamAssassin does. Called by mpp.verdict.marks. What comes out is ASCII: names are reduced to what
cannot end a list, texts that are not ASCII are encoded (RFC 2047). No line is longer than 998 octets.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import fsum

from mpp.mail.escape import printable
from mpp.mail.words import encode_header_text
from mpp.verdict.finding import Counts, Finding
from mpp.verdict.policy import Policy
from mpp.verdict.reasons import number
from mpp.verdict.weigh import Weight, within

FLAG, SCORE, LEVEL, STATUS, REPORT = (
    b"X-Spam-Flag",
    b"X-Spam-Score",
    b"X-Spam-Level",
    b"X-Spam-Status",
    b"X-Spam-Report",
)

MOST_STARS = 50
MOST_TESTS = 250  # in one field; those that weigh most
_WIDTH = 76
_UNFIT = re.compile(r"[^A-Za-z0-9_.:/+-]")


def score_fields(weight: Weight, policy: Policy, *, spam: bool, tagged: bool) -> list[tuple[bytes, bytes]]:
    """Return names and whole values (folded, without the final line end) in the order in which they are put."""
    fields = [(FLAG, b"YES")] if spam else []
    fields.append((SCORE, number(weight.score).encode()))
    if tagged:
        fields.append((LEVEL, b"*" * min(MOST_STARS, max(0, int(weight.score)))))
    fields.append((STATUS, _status(weight, policy, spam)))
    if spam and policy.report:
        fields.append((REPORT, _report(weight)))
    return fields


def _status(weight: Weight, policy: Policy, spam: bool) -> bytes:
    words = ["Yes," if spam else "No,", f"score={number(weight.score)}"]
    if policy.tag_above is not None:
        words.append(f"tagged_above={number(policy.tag_above)}")
    if policy.mark_above is not None:
        words.append(f"required={number(policy.mark_above)}")
    tests = [f"{_symbol(finding.symbol)}={number(within(finding.score))}" for finding in _weightiest(weight.tests)]
    words += f"tests=[{', '.join(tests) or 'none'}]".split(" ")
    return _folded(words, len(STATUS) + 2).encode("ascii")


def _report(weight: Weight) -> bytes:
    """Each engine with what its symbols add up to, then the symbols, in lines as SpamAssassin writes them."""
    by_engine: dict[str, list[Finding]] = {}
    for finding in sorted(_weightiest(weight.tests), key=lambda finding: (-within(finding.score), finding.symbol)):
        by_engine.setdefault(finding.check, []).append(finding)
    lines = [b""]
    for engine, findings in by_engine.items():
        points = round(fsum(within(finding.score) for finding in findings), 3)
        lines.append(f"* {_symbol(engine)}: {number(points)}".encode("ascii"))
        for finding in findings:
            lines += _report_lines(finding)
    return b"\r\n\t".join(lines)


def _report_lines(finding: Finding) -> list[bytes]:
    line = f"* {within(finding.score):4.1f} {_symbol(finding.symbol)}".encode("ascii")
    limit = f"(only marks: {finding.limit}) " if finding.counts is Counts.MARKS else ""
    if not (limit or finding.text):
        return [line]
    text = encode_header_text(printable(f"{limit}{finding.text}".rstrip(), 200))
    if len(line) + len(text) < _WIDTH and b"\n" not in text:
        return [line + b" " + text]
    return [line, *_wrapped(text)]


def _wrapped(text: bytes) -> list[bytes]:
    """Return a long text in lines of its own, each marked as SpamAssassin marks them."""
    words = text.split()
    lines = [b"*     "]
    for word in words:
        if len(lines[-1]) + len(word) > _WIDTH and len(lines[-1]) > 6:
            lines.append(b"*     ")
        lines[-1] += b" " + word
    return lines


def _weightiest(tests: Sequence[Finding]) -> Iterable[Finding]:
    """Return the tests by name; where there are too many for a field, those that weigh most."""
    if len(tests) <= MOST_TESTS:
        return tests
    kept = sorted(tests, key=lambda finding: -abs(within(finding.score)))[:MOST_TESTS]
    return sorted(kept, key=lambda finding: finding.symbol)


@lru_cache(8192)
def _symbol(symbol: str) -> str:
    return _UNFIT.sub("_", symbol[:100]) or "_"


def _folded(words: Iterable[str], start: int) -> str:
    """Join words by blanks, on a new line where one would pass the width; a word alone may be longer."""
    lines: list[list[str]] = [[]]
    length = start
    for word in words:
        if lines[-1] and length + len(word) > _WIDTH:
            lines.append([])
            length = 8  # a tab
        lines[-1].append(word)
        length += len(word) + 1
    return "\r\n\t".join(" ".join(line) for line in lines)
