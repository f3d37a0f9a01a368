"""What of a message SpamAssassin gets: header fields and text parts as they are, of large attachments the beginning.

For the spamd adapter. An attachment keeps its own header and its first whole lines, enough to tell its type by; so the
structure stays valid, base64 stays base64, and nothing is cut in the middle of a part that SpamAssassin reads. Pure.
"""

from mpp.mail.edits import Edit, apply_edits
from mpp.mail.message import Message
from mpp.mail.part import Part

LARGE = 16 << 10  # octets of an encoded attachment that are left in
KEPT = 4 << 10  # of a larger one


def shortened(message: Message) -> list[bytes | memoryview]:
    """Return the message as buffers, without what is large and no text. Never raises."""
    return apply_edits(message.raw, [edit for part in message.leaves() if (edit := _cut(part))])


def _cut(part: Part) -> Edit | None:
    """Return the edit that takes the rest of a large attachment out; texts stay, by whatever name."""
    if part.nested or part.type.startswith(("text/", "message/")) or part.end - part.body <= LARGE:
        return None
    end = part.source.rfind(b"\n", part.body, part.body + KEPT)
    end = part.body if end < 0 else end + 1  # one line of any length: no octet of it
    return Edit(end, part.end - end, b"")
