"""What the names that virus scanners give mean: a virus, a spam score, or that they could not look inside."""

import re
from collections.abc import Sequence
from fnmatch import translate

from mpp.checks.scanners.settings import Signatures
from mpp.verdict.finding import Finding, Verdict


class SignatureNames:
    """The settings' patterns, made ready."""

    def __init__(self, settings: Signatures) -> None:
        self._unchecked = _one_of(settings.unchecked_signatures)
        self._spam = _one_of(settings.spam_signatures)
        self._score = settings.spam_signature_score

    def classed(self, check: str, name: str, evidence: str = "") -> Finding:
        """Return the finding of `check` that a signature name stands for."""
        if self._unchecked.fullmatch(name):
            text = "It could not be looked into (encrypted, or over a limit of the scanner)"
            return Finding(check, name, text=text, evidence=evidence, verdict=Verdict.UNCHECKED)
        if self._spam.fullmatch(name):
            return Finding(check, name, self._score, "A signature of spam or phishing", evidence)
        return Finding(check, name, text="A signature of a virus", evidence=evidence, verdict=Verdict.VIRUS)


def _one_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """Return one expression for shell patterns; letter case has no say, and no pattern matches nothing."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)", re.IGNORECASE)
