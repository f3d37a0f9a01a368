"""The sample mails of `mpp demo`, as they lie in mpp/samples, and how they are sent and what became of each.

What counts is what the client was told and what the inbox has, not what the gateway says of itself.
"""

import re
import smtplib
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from email.utils import formatdate
from enum import StrEnum
from functools import partial
from importlib import resources

from mpp.cli.inbox import Arrived
from mpp.mail.message import Message

_DATE = re.compile(rb"^Date:[^\r\n]*\r\n", re.MULTILINE)
_WAIT_S = 120.0  # for one reply: a scanner may be slow at its first message


@dataclass(frozen=True, slots=True)
class Sample:
    about: str
    reverse_path: str  # "" for the null one
    recipient: str
    raw: bytes  # ends with CRLF


class Fate(StrEnum):
    DELIVERED = "delivered"
    TAGGED = "tagged"  # delivered, marked as spam
    QUARANTINED = "quarantined"
    REFUSED = "refused"
    DISCARDED = "discarded"
    DEFERRED = "deferred"
    LOST = "lost"  # accepted and neither in the inbox nor said to be withheld: must not happen


@dataclass(frozen=True, slots=True)
class Sent:
    """What the client was told at last: the first refusal, or the reply to the message."""

    sample: Sample
    code: int  # 0 where the connection ended without an answer
    text: str  # as it came, with the enhanced code


def load_samples() -> Iterator[Sample]:
    """Yield the samples in their order, dated now."""
    folder = resources.files("mpp") / "samples"
    today = b"Date: " + formatdate(localtime=True).encode() + b"\r\n"
    for entry in tomllib.loads((folder / "samples.toml").read_text("utf-8"))["samples"]:
        raw = _DATE.sub(today, (folder / entry["file"]).read_bytes(), count=1)
        missing = entry.get("size", 0) - len(raw)
        if missing > 0:
            raw += _filling(missing)
        yield Sample(entry["about"], entry["from"], entry["to"], raw)


def _filling(size: int) -> bytes:
    lines = (
        f"{number:07d} the disk of hall {number % 3 + 1} was read and found good\r\n" for number in range(size // 50)
    )
    return "".join(lines).encode()[: size - 2] + b"\r\n"


def send(sample: Sample, host: str, port: int) -> Sent:
    """Send one mail over a connection of its own, octet for octet as it is. Raises OSError where nobody listens."""
    with smtplib.SMTP(host, port, local_hostname="client.example.net", timeout=_WAIT_S) as client:
        try:
            code, text = _dialogue(client, sample)
        except smtplib.SMTPServerDisconnected:
            code, text = 0, b"the connection ended without an answer"
    return Sent(sample, code, text.decode("utf-8", "backslashreplace"))


def _dialogue(client: smtplib.SMTP, sample: Sample) -> tuple[int, bytes]:
    client.ehlo()
    utf8 = not (sample.reverse_path + sample.recipient).isascii()
    options = ["BODY=8BITMIME", "smtputf8"] if utf8 else ["BODY=8BITMIME"]
    for step in (
        partial(client.mail, sample.reverse_path, options),
        partial(client.rcpt, sample.recipient),
        partial(client.docmd, "DATA"),
    ):
        code, text = step()
        if code >= 400:
            return code, text
    stuffed = (b"\r\n" + sample.raw).replace(b"\r\n.", b"\r\n..")[2:]
    client.send(stuffed + b".\r\n")  # smtplib's own data() takes a bare LF for a line end
    return client.getreply()


def fate_of(sent: Sent, arrived: Arrived | None, held: Set[tuple[str, str]] = frozenset()) -> Fate:
    """Say what became of a mail by what its sender was told, what the inbox has, and what is held (Message-ID, recipient)."""
    if sent.code >= 500:
        return Fate.REFUSED
    if sent.code >= 400 or sent.code == 0:
        return Fate.DEFERRED
    if arrived is not None:
        return Fate.TAGGED if is_marked(Message(arrived.raw), Message(sent.sample.raw)) else Fate.DELIVERED
    text = sent.text.lower()
    if "discard" in text:
        return Fate.DISCARDED
    key = (Message(sent.sample.raw).text(b"message-id"), sent.sample.recipient)
    return Fate.QUARANTINED if key in held else Fate.LOST


def is_marked(arrived: Message, sent: Message) -> bool:
    """True where it came marked as spam: by X-Spam-Flag or before its subject."""
    if arrived.text(b"x-spam-flag").strip().upper() == "YES":
        return True
    before, after = sent.text(b"subject"), arrived.text(b"subject")
    return before != after and after.endswith(before)


def match(arrivals: Iterable[Arrived], sent: Iterable[Sent]) -> dict[int, Arrived]:
    """Return what arrived by the place of the mail that was sent: known by Message-ID and recipient."""
    there = {
        (Message(arrived.raw).text(b"message-id"), recipient): arrived
        for arrived in arrivals
        for recipient in arrived.recipients
    }
    keys = ((Message(each.sample.raw).text(b"message-id"), each.sample.recipient) for each in sent)
    return {place: there[key] for place, key in enumerate(keys) if key in there}


def closing_line(fates: Iterable[Fate]) -> str:
    """The last line of the demo; the numbers add up to the first."""
    counts: Mapping[Fate, int] = Counter(fates)
    total = sum(counts.values())
    return f"demo: {total} sent, " + ", ".join(f"{counts.get(fate, 0)} {fate}" for fate in Fate)
