"""The confined process: reads files from its pipe, says what they are, and can do nothing else. Forked by .warm.

    header (8 octets of length, then JSON), the files' octets one behind the other  ->  8 octets of length, then JSON

Before it answers it may ask back: to have an archive unpacked by a program that it may not run itself.

It ends when its pipe does. Nothing is caught: whatever goes wrong ends the process, and the helper says "not checkable".
"""

import json
import resource
import struct
import sys
from dataclasses import fields
from functools import partial
from typing import Any

from mpp.checks.attachments.budget import Budget
from mpp.checks.attachments.cleaning import without_macros
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import BombError, File, Flag, Item, Limits, Means, Unpacked, UnreadableError
from mpp.checks.attachments.mails import files_of

_TOLD = [each.name for each in fields(Item) if each.name != "flags"]
_NOT_CLEAN = {Flag.MACRO, Flag.ENCRYPTED, Flag.DAMAGED, Flag.BOMB, Flag.UNCHECKED}


def serve(lacking: list[str]) -> None:
    """Say which walls are lacking, then answer until there is nothing more to read."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    _answer(target, {"lacking": lacking})
    while length := source.read(8):
        header = json.loads(source.read(struct.unpack(">Q", length)[0]))
        files = [
            File(path, name, declared, source.read(size), other, depth, apart, frozenset(map(Flag, flags)))
            for path, name, declared, size, other, depth, apart, flags in header["files"]
        ]
        if header["clean"]:
            _clean(target, files[0], header["limits"])
            continue
        passwords = header["passwords"]
        if header["whole"]:
            files, words = files_of(files[0].data, files[0].name)
            passwords += words if header["search"] else []
        means = Means(passwords, partial(_unpack, source, target))
        items = _inspected(files, header["limits"], means)
        _answer(target, {"items": [_row(item) for item in items]})


def _inspected(files: list[File], limits: dict[str, Any], means: Means) -> list[Item]:
    _in_time(limits)
    return inspect(files, Limits(**limits), means)


def _in_time(limits: dict[str, Any]) -> None:
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    seconds = int(used + limits["seconds"]) + 4  # where nobody is left to end us
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def _clean(target: Any, file: File, limits: dict[str, Any]) -> None:
    """Answer with the document without its macros, with nothing where it would not be one that can be trusted."""
    _in_time(limits)
    try:
        cleaned = without_macros(file.data, Budget(Limits(**limits)).meter(len(file.data)))
    except (UnreadableError, BombError):
        _answer(target, {"size": 0, "type": "", "suffix": ""})
        return
    left = inspect([File("", "", "", cleaned.data)], Limits(**limits))
    trusted = _NOT_CLEAN.isdisjoint(flag for item in left for flag in item.flags)
    data = cleaned.data if trusted else b""
    _answer(target, {"size": len(data), "type": cleaned.type, "suffix": cleaned.suffix}, data)


def _unpack(source: Any, target: Any, data: bytes, password: str, most: int) -> Unpacked | None:
    """Have a program that runs elsewhere unpack the file."""
    _answer(target, {"unpack": len(data), "password": password, "most": most}, data)
    done = json.loads(source.read(struct.unpack(">Q", source.read(8))[0]))
    if "listing" not in done:
        return None
    return Unpacked(source.read(done["listing"]), source.read(done["content"]), done["whole"], done["over"])


def _row(item: Item) -> dict[str, Any]:
    told = {name: getattr(item, name) for name in _TOLD}
    return told | {"flags": sorted(item.flags)}  # not asdict: it needs 20 us each, and there may be 10,000


def _answer(target: Any, answer: dict[str, Any], octets: bytes = b"") -> None:
    text = json.dumps(answer).encode()
    target.write(struct.pack(">Q", len(text)) + text + octets)
    target.flush()
