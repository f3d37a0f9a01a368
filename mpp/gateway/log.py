"""One line an event, logfmt or JSON, on stderr: what operators, journald and log shippers read.

Every process of the gateway calls `event`. Nothing from outside can forge a field or a line: values are made printable
(mpp.mail.escape) and quoted wherever they could be read as more than one value. A line is at most 4096 octets, which
pipes take whole (POSIX PIPE_BUF), so that lines of several processes never mix; what is too long ends in "...", fields
beyond the limit are left out and counted in `cut`. `event` never raises and waits for a slow reader at most PATIENCE_S;
a line that nobody takes is dropped, and the number of dropped lines is told as soon as lines pass again.
"""

import math
import os
import re
import select
import socket
import stat
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring
from types import NoneType
from typing import Any, Literal

from mpp.mail.escape import printable

Level = Literal["debug", "info", "warning", "error"]
Form = Literal["logfmt", "json"]
Value = str | bytes | int | float | bool | list[str] | tuple[str, ...] | None

LEVELS: dict[str, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3}
MAX_LINE = 4096  # octets with the line end
MAX_VALUE = 900  # characters; four octets each leave room for the fields before it
MAX_LIST = 2000  # characters of all items together
PATIENCE_S = 0.005
_FRAMES: dict[Form, tuple[str, str]] = {
    "logfmt": ("time=%s level=%s event=%s", "\n"),
    "json": ('{"time":"%s","level":"%s","event":"%s"', "}\n"),
}
_WORD = r"[!#-<>-\[\]-~]"  # visible ASCII without quote, equals sign and backslash
_bare = re.compile(_WORD + "{1,900}").fullmatch
_SENTENCES = ("reply",)  # a field that has a space, and so quotes


class Sink:
    """Where lines go: never blocks longer than PATIENCE_S, never raises."""

    def __init__(self, descriptor: int = 2) -> None:
        self.dropped = 0
        self._rest = b""  # of a line that was taken in part
        self._standing = False  # the reader took nothing last time: it is not waited for again
        self._descriptor = descriptor
        self._socket: socket.socket | None = None
        self._own = -1
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISSOCK(mode):
                self._socket = socket.socket(fileno=os.dup(descriptor))
            elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
                # O_NONBLOCK on the descriptor itself would hold for every process that shares it, the shell too.
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_APPEND | os.O_CLOEXEC
                self._own = self._descriptor = os.open(f"/proc/self/fd/{descriptor}", flags)
        except OSError:
            pass  # closed, or no /proc: lines are dropped, or written as they can be

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        if self._own >= 0:
            os.close(self._own)

    def write(self, line: bytes, told: Callable[[int], bytes]) -> bool:
        """Write a line, after `told(n)` where n lines were dropped before. False: this one was dropped too."""
        try:
            if self._rest:
                self._put(b"")
            if self.dropped:
                notice = told(self.dropped)
                if len(notice) + len(line) <= MAX_LINE:  # in one piece, or a full pipe would take notices alone
                    notice, line = b"", notice + line
                if notice:
                    self._put(notice)
                    self.dropped = 0
            self._put(line)
            self.dropped = 0
        except OSError:
            self.dropped += 1
            return False
        return True

    def _put(self, line: bytes) -> None:
        """Write the rest of the last line and this one. Raises OSError where nothing of this one was written."""
        data, old = self._rest + line, len(self._rest)
        written = 0
        try:
            written = self._send(data)
        except BlockingIOError:
            if self._standing or not self._ready():
                self._standing = True
                raise
            written = self._send(data)
        self._standing = False
        if written < old or (written == old and line):
            self._rest = self._rest[written:]
            raise BlockingIOError
        self._rest = data[written:]

    def _send(self, data: bytes) -> int:
        if self._socket:
            return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return os.write(self._descriptor, data)

    def _ready(self) -> bool:
        poll = select.poll()
        poll.register(self._socket or self._descriptor, select.POLLOUT)
        return bool(poll.poll(PATIENCE_S * 1000))


class Log:
    """Form and sink of a process's lines."""

    def __init__(
        self,
        form: Form = "logfmt",
        level: Level = "info",
        sink: Sink | None = None,
        fixed: Mapping[str, Value] | None = None,
        on_drop: Callable[[], None] | None = None,
    ) -> None:
        self.least = LEVELS[level]
        self.sink = sink or Sink()
        self._write = _as_json if form == "json" else _as_logfmt
        self._head, self._end = _FRAMES[form]
        self._head += self._write(fixed or {}).replace("%", "%%")
        self._on_drop = on_drop
        self._second, self._stamp = -1, ""

    def event(self, level: Level, name: str, fields: Mapping[str, Value]) -> None:
        if not self.sink.write(self.line(level, name, fields), self._told) and self._on_drop:
            self._on_drop()

    def line(self, level: Level, name: str, fields: Mapping[str, Value]) -> bytes:
        """Return the line of an event."""
        head = self._head % (self._time(), level, name)
        line = f"{head}{self._write(fields)}{self._end}".encode()
        return line if len(line) <= MAX_LINE else self._cut(head, fields)

    def _cut(self, head: str, fields: Mapping[str, Value]) -> bytes:
        """Return the line with as many whole fields as there is room for, and the number of the others."""
        mark = self._write({"cut": len(fields)})
        room = MAX_LINE - len(f"{head}{mark}{self._end}".encode())
        kept = ""
        for number, (key, value) in enumerate(fields.items()):
            piece = self._write({key: value})
            room -= len(piece.encode())
            if room < 0:
                kept += self._write({"cut": len(fields) - number})
                break
            kept += piece
        return f"{head}{kept}{self._end}".encode()

    def _told(self, dropped: int) -> bytes:
        return self.line("warning", "log.dropped", {"lines": dropped})

    def _time(self) -> str:
        """Return the time as 2026-01-31T12:00:00.123Z."""
        seconds, milliseconds = divmod(int(time.time() * 1000), 1000)
        if seconds != self._second:
            self._second, self._stamp = seconds, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds))
        return f"{self._stamp}{milliseconds:03d}Z"


def _as_logfmt(fields: Mapping[str, Value]) -> str:
    return _plain_logfmt(fields) or "".join(
        [f" {key}={_logfmt(value)}" for key, value in fields.items() if value is not None]
    )


def _plain_logfmt(fields: Mapping[str, Value]) -> str:
    """Return what _logfmt makes of the fields where no value needs an escape, "" where one does: the usual line.

    A template is filled in and looked at once, in place of a look at each value.
    """
    kinds = tuple(map(type, fields.values()))
    template, plain, lists = _template(tuple(fields), kinds)
    values: list[Any] = list(fields.values())
    for place in lists:
        values[place] = _joined(values[place])
    line = template % tuple(values)
    return line if plain(line) else ""


@lru_cache(256)
def _template(keys: tuple[str, ...], kinds: tuple[type, ...]) -> tuple[str, Callable[[str], object], list[int]]:
    """Return how fields of these types are written, what tells that nothing in them needs another way, and where lists are."""
    written, looked = "", ""
    lists = [place for place, kind in enumerate(kinds) if kind is list]
    for key, kind in zip(keys, kinds, strict=True):
        if kind is NoneType:
            written += "%.0s"
        elif kind is int:
            written, looked = f"{written} {key}=%d", f"{looked} {key}=[0-9-]++"
        elif kind is float:
            written, looked = f"{written} {key}=%.6g", f"{looked} {key}=-?[0-9]{{1,5}}+(?:\\.[0-9]++)?"
        elif kind is list or (issubclass(kind, str) and key not in _SENTENCES):
            written, looked = f"{written} {key}=%s", f"{looked} {key}={_WORD}{{1,900}}+"
        elif issubclass(kind, str):
            written, looked = f'{written} {key}="%s"', f'{looked} {key}="(?:{_WORD}| ){{1,900}}+"'
        else:
            return "%.0s" * len(keys), _never, lists
    return written, re.compile(looked).fullmatch, lists


def _never(_line: str) -> None:
    return None


def _joined(items: list[str]) -> str:
    """Return the items of a list in one, "=" where that has more than one reading."""
    text = ",".join(items)
    return text if text.count(",") == len(items) - 1 else "="


def _as_json(fields: Mapping[str, Value]) -> str:
    return "".join([f',"{key}":{_json(value)}' for key, value in fields.items() if value is not None])


def _logfmt(value: Value) -> str:
    if type(value) is str and _bare(value):
        return value
    if isinstance(value, (str, bytes)):
        text = printable(value, MAX_VALUE)
    elif isinstance(value, (list, tuple)):
        text = ",".join(item.replace(",", "\\x2c") for item in _items(value))
    else:
        return _number(value)
    if text and " " not in text and '"' not in text and "=" not in text:
        return text
    return '"' + text.replace('"', '\\"') + '"'  # printable has doubled the backslashes: this one has one reading


def _json(value: Value) -> str:
    if isinstance(value, (str, bytes)):
        return encode_basestring(printable(value, MAX_VALUE))
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(encode_basestring, _items(value))) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'"{value}"'
    return _number(value)


def _items(values: list[str] | tuple[str, ...]) -> list[str]:
    """Return the items made printable, as many as MAX_LIST has room for, and how many there are beyond them."""
    items: list[str] = []
    length = 0
    for number, value in enumerate(values):
        item = printable(value, MAX_VALUE)
        length += len(item.encode()) + 1
        if length > MAX_LIST and number:
            return [*items, f"...{len(values) - number} more"]
        items.append(item)
    return items


def _number(value: float | None) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if -1e5 < value < 1e5 else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class _Process:
    log: Log | None = None


def configure(
    form: Form = "logfmt", level: Level = "info", on_drop: Callable[[], None] | None = None, **fixed: Value
) -> None:
    """Set form and least level of this process's lines and the fields that each has (worker=3).

    `on_drop` is called for each line that could not be written. Call it before privileges are dropped: stderr is then
    opened once, and kept over a later call and over a fork.
    """
    sink = _Process.log.sink if _Process.log else None
    _Process.log = Log(form, level, sink, fixed, on_drop)


def plain(text: str) -> None:
    """Write a line that scripts wait for, such as "ready", as it is."""
    _current().sink.write(f"{text}\n".encode(), lambda dropped: b"")


def reopen() -> None:
    """Take what stderr is now; for a process that has put another file in its place."""
    if _Process.log:
        _Process.log.sink.close()
        _Process.log.sink = Sink()


def event(level: Level, name: str, /, **fields: Value) -> None:
    """Write one line. `name` and the keys are ours; values may be outside text. None leaves a field out."""
    log = _Process.log or _current()
    if LEVELS[level] >= log.least:
        log.event(level, name, fields)


def _current() -> Log:
    if _Process.log is None:
        _Process.log = Log()
    return _Process.log
