"""What some mails have in common that others have not: candidate patterns, with their hits on both. Pure.

For `mpp filters suggest`, in a flood of forged bounces or of one campaign. Looked at are the names and values of header
fields, and runs of one to four words of subject and body; each mail counts once. The best few are taken one by one, each
time what holds for most of the mails that are not held yet (greedy cover).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mpp.checks.content.scopes import Scopes
from mpp.mail.message import Message

_WORD = re.compile(r"[^\W_][\w'.@-]*")
_LONGEST_RUN = 4
_MOST_WORDS = 400  # of a text
_MOST_VALUE = 200  # characters of a field
_LEFT_OUT = frozenset(
    {"received", "date", "message-id", "to", "delivered-to", "return-path", "x-original-to", "dkim-signature"}
)

Feature = tuple[str, str]
"""Scope and text: ("subject", "delivery failed"), ("header", "X-Mailer: Foo 1.0")."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    where: str
    pattern: str  # PCRE
    hits: int  # of the chosen mails
    false: int  # of the others
    new: int  # of the chosen, not hit by those before it


def features(message: Message, scopes: Scopes) -> set[Feature]:
    """Return what can be said of a mail."""
    found: set[Feature] = set()
    for field in message.fields:
        name = field.name.decode("latin-1")
        if name.lower() not in _LEFT_OUT:
            found.add(("header", f"{name}:"))
    for line in scopes.text("header", raw=True).decode().split("\n"):
        name, _, value = line.partition(":")
        if name.lower() not in _LEFT_OUT and 0 < len(value.strip()) <= _MOST_VALUE:
            found.add(("header", f"{name}: {value.strip()}"))
    for where in ("subject", "body"):
        found.update((where, run) for run in _runs(scopes.text(where, raw=False).decode()))
    return found


def _runs(text: str) -> Iterator[str]:
    words = _WORD.findall(text.lower())[:_MOST_WORDS]
    for length in range(1, _LONGEST_RUN + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


def suggest(
    chosen: Sequence[set[Feature]], others: Iterable[set[Feature]], most: int = 10, most_false: float = 0.0
) -> list[Suggestion]:
    """Return at most `most` patterns; each hits at most the share `most_false` of the others."""
    counts = Counter(feature for each in chosen for feature in each)
    least = max(2, len(chosen) // 10)
    candidates = {feature for feature, count in counts.items() if count >= least}
    false: Counter[Feature] = Counter()
    total = 0
    for each in others:
        total += 1
        false.update(each & candidates)
    candidates = {feature for feature in candidates if false[feature] <= most_false * total}
    left = set(range(len(chosen)))
    taken: list[Suggestion] = []
    while left and candidates and len(taken) < most:
        gains = Counter(feature for number in left for feature in chosen[number] & candidates)
        if not gains:
            break
        best = max(gains, key=lambda feature: (gains[feature], -false[feature], len(feature[1])))
        if gains[best] < 2:
            break
        taken.append(Suggestion(best[0], _pattern(best), counts[best], false[best], gains[best]))
        left -= {number for number in left if best in chosen[number]}
        candidates.discard(best)
    return taken


def _pattern(feature: Feature) -> str:
    where, text = feature
    if where == "header":
        return "^" + re.escape(text).replace("\\ ", " ") + ("" if text.endswith(":") else "$")
    return r"\b" + r"\W+".join(re.escape(word) for word in text.split(" ")) + r"\b"
