"""What the right-hand side of a table means here: header_checks(5), body_checks(5), access(5) to actions of ours. Pure.

What has no place here is told, and the mail goes on as if the rule had said DUNNO: FILTER (routes are settings), restrictions
by name, and what Postfix too warns of and leaves out.
"""

import re
from dataclasses import dataclass
from typing import Literal

from mpp.mail.escape import printable
from mpp.verdict.finding import Act

Kind = Literal["header", "body", "access"]
_WORD = re.compile(r"\s*([^\s]+)\s*(.*)", re.DOTALL)
_ADDRESS = re.compile(r"<?([^\s<>@]+@[^\s<>@]+)>?")


@dataclass(frozen=True, slots=True)
class Meaning:
    """`act` is None where nothing is done; `missing` says what cannot be."""

    act: Act | None
    value: str = ""
    missing: str = ""
    change: Literal["", "remove", "replace", "put"] = ""  # of the line, or what is put before it


_NOTHING = ("DUNNO", "OK", "PASS", "PERMIT")
_PLAIN = {"DISCARD": Act.DISCARD, "HOLD": Act.QUARANTINE, "WARN": Act.NOTE, "INFO": Act.NOTE}
_TO = {"REDIRECT": Act.REDIRECT, "BCC": Act.COPY}


def meaning(answer: str, kind: Kind) -> Meaning:
    """Return what an answer means. Never raises."""
    match = _WORD.match(answer)
    word, rest = (match[1].upper(), match[2].strip()) if match else ("", "")
    if word in _NOTHING or not word:
        return Meaning(None)
    if word in ("REJECT", "DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT"):
        code = "554" if word == "REJECT" else "450"
        return Meaning(Act.REJECT, f"{code} {rest}".strip())
    if word in _PLAIN:
        return Meaning(_PLAIN[word], rest)
    if word in _TO:
        address = _ADDRESS.fullmatch(rest)
        return Meaning(_TO[word], address[1]) if address else Meaning(None, missing=f"{word} names no address")
    if kind == "access" and re.fullmatch(r"[45]\d\d", word):
        return Meaning(Act.REJECT, f"{word} {rest}".strip())
    if kind == "access" and word.isdigit():
        return Meaning(None)
    return _change(word, rest, kind)


def _change(word: str, rest: str, kind: Kind) -> Meaning:
    if word in ("IGNORE", "STRIP") and kind != "access":
        return Meaning(Act.EDIT, change="remove")
    if word in ("PREPEND", "REPLACE"):
        if not rest or (kind != "body" and ":" not in rest):
            return Meaning(None, missing=f"{word} without a text" if kind == "body" else f"{word} of what is no field")
        if word == "REPLACE" and kind != "access":
            return Meaning(Act.EDIT, rest, change="replace")
        if word == "PREPEND":
            return Meaning(Act.EDIT, rest, change="put") if kind == "body" else Meaning(Act.PREPEND, rest)
    if word == "FILTER":
        return Meaning(None, missing="FILTER chooses a next hop; write a route or a scanner for it")
    return Meaning(None, missing=f"{printable(word, 40)} is no action that is known here")
