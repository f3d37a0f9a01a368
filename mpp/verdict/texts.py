"""Reject and defer texts: what a setting may hold, and how it is filled in.

`{id}` stays in the text for the gateway, which alone knows what it tells the client; `{reason}` and `{contact}` are
filled here. The result is one line of printable ASCII whatever the reason holds.
"""

import re

from mpp.mail.escape import ascii_only

PLACEHOLDERS = ("id", "reason", "contact")
LONGEST = 400  # characters of a whole text; a reply line has room for 512 with its codes and the id

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_BRACES = str.maketrans("{}", "()")


def check_text(text: str, known: tuple[str, ...] = PLACEHOLDERS) -> str:
    """Return `text` as it is. Raises ValueError, with what to write instead, where it cannot go into a reply."""
    offered = " or ".join("{%s}" % name for name in known)  # noqa: UP031 braces in an f-string are harder to read
    if not text.isascii() or not text.isprintable():
        raise ValueError("holds characters that a reply cannot carry; write one line of plain ASCII")
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            raise ValueError(f"holds the unknown placeholder {{{name}}}; write {offered}")
    if "{" in (rest := _PLACEHOLDER.sub("", text)) or "}" in rest:
        raise ValueError(f"holds a single brace; write braces only around a placeholder, {offered}")
    if len(text) > LONGEST // 2:
        raise ValueError(f"is longer than {LONGEST // 2} characters; write a shorter one")
    return text


def fill(template: str, *, reason: str = "", contact: str = "") -> str:
    """Return the text with reason and contact escaped and put in; a brace in them becomes a parenthesis."""
    if "{" not in template:
        return template
    values = {"reason": outside(reason, 120), "contact": outside(contact, 80)}
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)


def outside(text: str, limit: int) -> str:
    """Return outside text for a reply: printable ASCII, no brace that the gateway would take for a placeholder."""
    return ascii_only(text, limit).translate(_BRACES)
