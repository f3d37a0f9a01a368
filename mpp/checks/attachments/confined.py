"""The confined process: reads files from its pipe, says what they are, and can do nothing else. Run by .helper, with -m.

    header (8 octets of length, then JSON), the files' octets one behind the other  ->  8 octets of length, then JSON

It ends when its pipe does. Nothing is caught: whatever goes wrong ends the process, and the helper says "not checkable".
"""

import encodings
import importlib
import json
import os
import pkgutil
import resource
import struct
import sys
from dataclasses import asdict
from typing import Any

from mpp.checks.attachments.confine import confine
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import File, Limits


def main() -> None:
    """Get ready, give everything up, say so, and serve."""
    for module in pkgutil.iter_modules(encodings.__path__):  # charsets are imported when they are first met
        if module.name not in ("mbcs", "oem"):  # of Windows
            importlib.import_module(f"encodings.{module.name}")
    inspect([File("", "", "", b"warm")], Limits())  # libmagic reads its database
    lacking = confine()
    source, target = sys.stdin.buffer, sys.stdout.buffer
    _answer(target, {"lacking": lacking})
    while length := source.read(8):
        header = json.loads(source.read(struct.unpack(">Q", length)[0]))
        files = [File(path, name, declared, source.read(size)) for path, name, declared, size in header["files"]]
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        seconds = int(used + header["limits"]["seconds"]) + 2  # where nobody is left to end us
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        items = inspect(files, Limits(**header["limits"]), header["passwords"])
        _answer(target, {"items": [asdict(item) | {"flags": sorted(item.flags)} for item in items]})
    os._exit(0)


def _answer(target: Any, answer: dict[str, Any]) -> None:
    octets = json.dumps(answer).encode()
    target.write(struct.pack(">Q", len(octets)) + octets)
    target.flush()


if __name__ == "__main__":
    main()
