"""Ambiguity is a finding: programs see different files, or different text, in a message whose MIME is broken.

Called by mpp.gateway.pipeline before the content filter, and by `mpp scan`. What differs in white space, and containers that hold
nothing, are no difference. Never raises for what a message holds.
"""

import asyncio

from mpp.checks.structure.settings import Structure
from mpp.mail.message import Message
from mpp.mail.readings import Reading
from mpp.verdict.finding import SCANNER_FAILED, Finding, OnFailure, Verdict

CHECK = "structure"
FILES, TEXT, UNREAD = "AMBIGUOUS_FILES", "AMBIGUOUS_TEXT", "NOT_READ_TO_ITS_END"
_TOLD = 5

_View = tuple[frozenset[bytes], frozenset[str], tuple[bytes, ...]]  # files, ends of their names, texts


async def judge(message: Message, settings: Structure, timeout_s: float) -> list[Finding]:
    """Read the message in every way, beside the loop where it is odd, and say what depends on the reader.

    Where that takes longer it is a failure, and nobody may read the message: a thread still does.
    """
    if not message.oddities:
        return _unread(message)
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.to_thread(examine, message, settings)
    except TimeoutError:
        cause = "not read in every way when the time for all checks was over"
        return [Finding(CHECK, SCANNER_FAILED, evidence=cause, failure=OnFailure.DEFER)]


def examine(message: Message, settings: Structure) -> list[Finding]:
    """As `judge`, at once."""
    message.every_leaf()  # kept by the message for whoever looks into its parts
    found = _unread(message)
    if settings.ambiguous and message.readings:
        found += _differences(message, settings)
    return found


def _unread(message: Message) -> list[Finding]:
    """What is beyond a limit was not read: of the whole message nobody can say what it holds."""
    if not message.exceeded:
        return []
    limits = [f"limits.{name.replace('-', '_')}" for name in message.exceeded]
    told = f"It was not read to its end: {', '.join(limits)} is reached"
    return [Finding(CHECK, UNREAD, text=told, verdict=Verdict.UNCHECKED)]


def _differences(message: Message, settings: Structure) -> list[Finding]:
    files, ends, text = _view(message.own_reading)
    others = [(reading.dialect, _view(reading)) for reading in message.readings]
    readers = [name for name, view in others if view[:2] != (files, ends)]
    if readers:
        return [_finding(FILES, settings.files_score, "Which files it holds", readers, message)]
    readers = [name for name, view in others if view[2] != text]
    if readers:
        return [_finding(TEXT, settings.text_score, "What its text is", readers, message)]
    return []


def _finding(symbol: str, score: float, what: str, readers: list[str], message: Message) -> Finding:
    told = f"{what} depends on the program that reads it, since its MIME is broken"
    evidence = f"{', '.join(message.oddities[:_TOLD])}; read otherwise by {'; '.join(readers[:_TOLD])}"
    return Finding(CHECK, symbol, score, told, evidence)


def _view(reading: Reading) -> _View:
    """Return what a person would see of a reading."""
    files, ends, text = set(), set(), list[bytes]()
    for leaf, measure in zip(reading.leaves, reading.measures, strict=True):
        if leaf.name:
            ends.add(leaf.name.rpartition(".")[2].strip().lower())
        if not measure.solid:
            continue
        if leaf.name is None and leaf.type.startswith("text/"):
            text.append(measure.solid_digest)
        elif leaf.name or not leaf.type.startswith(("multipart/", "message/")):
            files.add(measure.solid_digest)
    return frozenset(files), frozenset(ends), tuple(text)
