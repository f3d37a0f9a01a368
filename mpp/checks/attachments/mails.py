"""The files of a mail: its parts, as far as they are attachments."""

import re
from collections.abc import Iterator

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import File, Member
from mpp.checks.attachments.kinds import kind_of
from mpp.checks.attachments.passwords import passwords_of
from mpp.mail.message import Message
from mpp.mail.part import Part

_FIELD = re.compile(rb"(?:From [^\r\n]*\r?\n)?[!-9;-~]{1,76}:")


def files_of(data: bytes, name: str) -> tuple[list[File], list[str]]:
    """Return the files of a mail and its passwords, or the one bare file `data` where it is no mail."""
    if not (_FIELD.match(data) and kind_of(data) == "message/rfc822"):
        return [File(name, name, "", data)], []
    message = _message(data)
    return attached_files(message), passwords_of(message)


def attached_files(message: Message) -> list[File]:
    """Return the files of a mail: the parts of all its readings, but for the text bodies that have no name. Most mails have none."""
    return [File(part.path, part.name or "", part.type, part.decode(), part.other_name) for part in _attached(message)]


def has_files(message: Message) -> bool:
    """True where `attached_files` would return any; nothing is decoded for that."""
    return next(_attached(message), None) is not None


def mail_members(data: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the files of a mail that lies inside something else."""
    for part in _attached(_message(data)):
        meter.budget.entry()
        decoded = part.decode()
        meter.take(len(decoded))
        yield Member(part.name or f"part-{part.path}", decoded)


def _message(data: bytes) -> Message:
    """Read a mail, without the line that a mbox file has before it."""
    return Message(data[data.find(b"\n") + 1 :] if data.startswith(b"From ") else data)


def _attached(message: Message) -> Iterator[Part]:
    for part in message.every_leaf():
        if part.name is not None or not part.type.startswith("text/"):
            yield part
