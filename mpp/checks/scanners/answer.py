"""Findings as other programs write them: the JSON that HTTP services and commands answer with (docs/scanners.md, answers).

For the adapters. Everything in it is outside text: limited, cleaned, and refused as a whole where it is not as described.
"""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from mpp.mail.escape import printable
from mpp.protocols.errors import RemoteProtocolError
from mpp.verdict.finding import NOTES, SPAM_SCANNED, VIRUS_SCANNED, Finding, Verdict

MAX_ANSWER = 1 << 20  # octets
MAX_FINDINGS = 500
_CLASSES = {
    "virus": Verdict.VIRUS,
    "banned": Verdict.BANNED,
    "unchecked": Verdict.UNCHECKED,
    "spam": Verdict.SPAM,
}
_KEYS = {"symbol", "score", "class", "text", "evidence"}


def read_answer(octets: bytes, check: str, identifier: str, *, must_name: bool = False) -> list[Finding]:
    """Return notes of what was looked for, then the findings. Raises RemoteProtocolError, for what it says failed too.

    `identifier` is what an answer may name, and must where `must_name`, so that it is no other message's.
    """
    try:
        answer = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"no JSON: {printable(str(error), 200)}") from None
    if not isinstance(answer, dict):
        raise RemoteProtocolError("no JSON object")
    if answer.get("id", "" if must_name else identifier) != identifier:
        raise RemoteProtocolError("an answer to another message")
    if "error" in answer:
        raise RemoteProtocolError(f"it says: {printable(str(answer['error']), 300)}")
    findings = answer.get("findings")
    if not isinstance(findings, list) or len(findings) > MAX_FINDINGS:
        raise RemoteProtocolError(f"no list of at most {MAX_FINDINGS} findings")
    scanned = answer.get("scanned", ["spam"])
    if not isinstance(scanned, list) or not all(each in ("spam", "virus") for each in scanned):
        raise RemoteProtocolError('scanned is no list of "spam" and "virus"')
    notes = {"spam": SPAM_SCANNED, "virus": VIRUS_SCANNED}
    return [*(Finding(check, notes[each]) for each in scanned), *(_finding(each, check) for each in findings)]


def _finding(value: Any, check: str) -> Finding:
    if not isinstance(value, dict) or not value.keys() <= _KEYS:
        raise RemoteProtocolError(f"a finding has {', '.join(sorted(_KEYS))} and nothing else")
    score, kind = value.get("score", 0), value.get("class")
    symbol = _text(value, "symbol", 128)
    if not symbol or symbol in NOTES:
        raise RemoteProtocolError("a finding without a symbol of its own")
    try:
        points = read_score(score)
    except ValueError as error:
        raise RemoteProtocolError(str(error)) from None
    if kind is not None and kind not in _CLASSES:
        raise RemoteProtocolError(f"a class that is none of {', '.join(_CLASSES)}")
    verdict = None if kind is None else _CLASSES[kind]
    return Finding(check, symbol, points, _text(value, "text", 500), _text(value, "evidence", 500), verdict)


def read_score(value: object) -> float:
    """Return a score out of another program's JSON. Raises ValueError for what is no finite number."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value):
            return float(value)
    except OverflowError:  # JSON has whole numbers of any length
        pass
    raise ValueError("a score that is no number")


def _text(value: Mapping[str, Any], key: str, most: int) -> str:
    text = value.get(key, "")
    if not isinstance(text, str):
        raise RemoteProtocolError(f"{key} is no text")
    return printable(text, most)
