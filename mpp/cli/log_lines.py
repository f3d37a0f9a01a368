"""Reads back what is said of messages: log lines of the gateway (JSON or logfmt, whatever stands before), traces (`mpp why --json`).

For commands that look into the log. Lines of other events, of other programs and half lines are left out.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from mpp.cli.errors import fail

_FIELD = re.compile(r'(?:^| )([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ ]*)')
_MARKS = ('"event":"message"', "event=message ")

Fields = Mapping[str, object]


def messages(files: Iterable[Path]) -> Iterator[Fields]:
    """Yield the fields of each message that the files tell of; "-" is standard input. Ends the command at what it cannot read."""
    for file in files:
        try:
            with open(0 if str(file) == "-" else file, encoding="utf-8", errors="backslashreplace") as lines:
                yield from filter(None, map(message, lines))
        except OSError as error:
            fail(
                f"{file}: cannot be read: {error.strerror or error}; name a file of the gateway's log lines, or - for stdin"
            )


def message(line: str) -> Fields | None:
    """Return the fields of a line about a message, None for any other. A trace gives the fields that the log would have."""
    if line.startswith('{"v":'):
        return _of_trace(line)
    if not any(mark in line for mark in _MARKS):
        return None
    if (start := line.find('{"time"')) >= 0:
        try:
            found = json.loads(line[start:])
        except ValueError:
            return None
        return found if isinstance(found, dict) else None
    return {key: _text(value) for key, value in _FIELD.findall(line.rstrip("\n"))}


def _of_trace(line: str) -> Fields | None:
    from mpp.checks.layers.engines import opinions
    from mpp.checks.layers.judge import Judged, Run
    from mpp.store.trace_line import TraceError, read

    try:
        trace = read(line)
    except TraceError:
        return None
    runs = tuple(Run(check, took_ms / 1000) for check, took_ms in trace.timings.items())
    return {
        "time": datetime.fromtimestamp(trace.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "id": trace.id,
        "sender": trace.reverse_path,
        "recipients": [copy.recipient for copy in trace.copies],
        "score": trace.score,
        "rules": sorted({copy.rule for copy in trace.copies}),
        "findings": [finding.symbol for finding in trace.findings],
        "engines": [opinion.word for opinion in opinions(Judged(list(trace.findings), runs))],
        "outcome": [copy.state for copy in trace.copies],
        "reply": trace.reply,
    }


def items(fields: Fields, key: str) -> list[str]:
    """Return the values of a field that may have one or several: a list in JSON, parted by commas in logfmt."""
    value = fields.get(key)
    if isinstance(value, list):
        return [str(each) for each in value]
    return str(value).split(",") if value else []


def _text(value: str) -> str:
    return value[1:-1].replace('\\"', '"') if value.startswith('"') and len(value) > 1 else value
