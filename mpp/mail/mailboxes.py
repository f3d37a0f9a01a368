"""Addresses out of From and the like (RFC 5322, 3.4), for comparing with lists: generous, since a mail program is too.

Quoted names and comments are left out; whatever else looks like local@domain counts, so that an address hidden in a name
without quotes is found as well. Never raises.
"""

import re

from mpp.mail.words import header_text

MOST = 20  # addresses of one field
_LONGEST = 4096  # characters looked at

_ASIDE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"(?!@)|\([^()]*+\)')
_ADDRESS = re.compile(r"[^\s<>()\[\]\\,;:\"@]++@[^\s<>()\[\]\\,;:\"@]++")


def addresses(value: bytes) -> list[str]:
    """Return the addresses of a raw field body in order, in lower case, at most MOST."""
    text = _ASIDE.sub(" ", header_text(value)[:_LONGEST])
    return list(dict.fromkeys(found.rstrip(".").lower() for found in _ADDRESS.findall(text)))[:MOST]
