"""Why something was decided, in sentences for people: which check saw what, with what score, against which threshold.

Used by mpp.verdict.choose. All outside text is escaped; settings keys stand as the settings file writes them.
"""

from collections.abc import Sequence
from functools import lru_cache

from mpp.mail.escape import printable
from mpp.verdict.finding import NO_SCANNER, NOT_ASKED, NOT_COUNTED, NOTES, TOO_LARGE, Counts, Finding
from mpp.verdict.texts import outside
from mpp.verdict.weigh import Weight, within

_TOLD = 12  # tests named in a sentence; the header field has them all


@lru_cache(4096)
def number(value: float) -> str:
    """Return a score as amavisd writes it: at most three decimals, no trailing zeros: 5.1, -1.9, 0.001, 15."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def name_of(finding: Finding) -> str:
    """Return the name of a check, for a settings key."""
    return _name(finding.check)


def section_of(finding: Finding) -> str:
    """Return the table of the settings that says what the failure of a check means."""
    return "inspection" if finding.check == "attachments" else f"scanners.{name_of(finding)}"


@lru_cache(1024)
def _name(text: str) -> str:
    return printable(text, 100)


def names(found: Sequence[Finding]) -> str:
    """Return what was found, for the sender: the names alone, at most three, fit for a reply."""
    distinct = list(dict.fromkeys(finding.symbol for finding in found))
    return ", ".join(outside(symbol, 60) for symbol in distinct[:3])


def saw(finding: Finding) -> str:
    """Return what a check saw: its own words, and what it went by."""
    text = f"{name_of(finding)} found {printable(finding.symbol, 100)}"
    if finding.failure is not None:
        text = f"{name_of(finding)} gave no answer"
    elif finding.symbol == TOO_LARGE:
        text = f"{name_of(finding)} did not look, the message is too large for it"
    elif finding.symbol == NO_SCANNER:
        text = "No scanner is set up that could look"
    if finding.counts is Counts.MARKS:
        text += f", which only marks ({printable(finding.limit, 100)})"
    more = [printable(each, 200) for each in (finding.text, finding.evidence) if each]
    return f"{text}: {'; '.join(more)}" if more else text


def gone_on(finding: Finding) -> str:
    """Return what is said of a scanner whose silence changes nothing."""
    if finding.symbol == NO_SCANNER:
        return saw(finding)
    if finding.symbol == NOT_ASKED:
        return f"{name_of(finding)} was not asked: {printable(finding.evidence, 200)}"
    if finding.symbol == NOT_COUNTED:
        return printable(finding.text, 500)
    key = "on_oversize" if finding.failure is None else "on_failure"
    return f"{saw(finding)}; {section_of(finding)}.{key} = 'continue': the message goes on without it"


def in_shadow(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return a sentence for each check whose findings are recorded and do not count; nothing where it had none."""
    by_check: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        if finding.symbol not in NOTES:
            points = f" {number(within(finding.score))}" if finding.score else ""
            symbols = by_check.setdefault((name_of(finding), printable(finding.limit, 100)), [])
            symbols.append(f"{_name(finding.symbol)}{points}")
    return tuple(
        f"{check} found {', '.join(symbols[:_TOLD])}, which does not count ({limit})"
        for (check, limit), symbols in by_check.items()
    )


def summed(weight: Weight) -> tuple[str, ...]:
    """Return how the score came about; nothing where no test had anything to say."""
    told = [
        f"The score of {_test(finding)} is no number that counts ({finding.score!r})" for finding in weight.odd[:_TOLD]
    ]
    if weight.tests:
        weighty = sorted(weight.tests, key=lambda finding: -abs(finding.score) if finding.score == finding.score else 0)
        tests = ", ".join(
            f"{_test(finding)} {number(finding.score)}" for finding in weighty[:_TOLD] if finding not in weight.odd
        )
        more = f" and {len(weighty) - _TOLD} more" if len(weighty) > _TOLD else ""
        told.append(
            f"The score is {number(weight.score)}: {tests}{more}" if tests else f"The score is {number(weight.score)}"
        )
    return tuple(told)


def _test(finding: Finding) -> str:
    limit = f", only marks: {printable(finding.limit, 100)}" if finding.counts is Counts.MARKS else ""
    return f"{_name(finding.symbol)} ({name_of(finding)}{limit})"
