"""Has files inspected by a confined process of its own (design of the process: .warm, .confined, .confine).

    with Helper() as helper:
        items = helper.inspect(files, Limits())

The process serves many inspections, and is replaced after `_MOST` of them and after each that went wrong: a warm process, which
never sees a mail, forks the next one in milliseconds. Whatever goes wrong there (it crashes, runs over its time, answers
nonsense) makes all files of that inspection `unchecked`. That none can be started is no fault of the files, but an OSError.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from itertools import pairwise
from types import TracebackType
from typing import Any

from mpp.checks.attachments.exchange import Exchange, HelperError
from mpp.checks.attachments.item import Cleaned, File, Flag, Item, Limits
from mpp.checks.attachments.names import by_name
from mpp.checks.attachments.unpacking import unpacked

_WRONG = (HelperError, ValueError, TypeError, KeyError, OverflowError)  # the last four: what it says is nonsense
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KIND, _SUFFIX = re.compile(r"application/[a-z.-]{1,100}"), re.compile(r"\.[a-z]{4}")
_MOST = 500  # inspections by one process
_END_S = 2.0  # for the warm process to end
_PROGRAMS = 50  # runs of the unpacker in one inspection
_PASSWORDS, _SHARE = 10, 0.4  # of these with passwords, and which part of the time they may take together
_START_S = 30.0  # for an interpreter on a busy machine
_PAUSE_S = 5.0  # before the next try, where none could be started
_PASSWORD = 256  # characters
_SPARE_S = 1.0, 3.0  # at least and at most, over the limit of the inspection: for the way on a busy machine


class Helper:
    """One confined process at a time, for one caller at a time. Raises OSError where none can be started."""

    def __init__(self, unpacker: str = "") -> None:
        self._unpacker = unpacker  # the program that opens what we do not; "": none
        self.lacking: list[str] = []  # walls that this host cannot build, known once a process was started
        self.failure = ""  # of the last inspection
        self.pid = 0  # of the process that inspects
        self._warm: _Warm | None = None
        self._inside: Exchange | None = None
        self._served = 0
        self._not_before = 0.0  # time.monotonic()

    def __enter__(self) -> "Helper":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        self.restart()
        if self._warm is not None:
            self._warm.close()
            self._warm = None

    def inspect(self, files: Sequence[File], limits: Limits, passwords: Sequence[str] = ()) -> list[Item]:
        """Return the items as the confined process gives them, or each file as `unchecked` where it gives none."""
        return self._inspected(files, limits, passwords, whole=False)

    def inspect_each(self, files: Sequence[File], limits: Limits) -> list[Item]:
        """The same for each file alone: where it went wrong with all of them, not all are to blame. They share the time."""
        until = time.monotonic() + limits.seconds
        items: list[Item] = []
        for number, file in enumerate(files):
            left = until - time.monotonic()
            share = replace(limits, seconds=left / (len(files) - number))
            found = self.inspect([replace(file, depth=0)], share) if left > 0 else [_unchecked(replace(file, depth=0))]
            items += [replace(item, depth=item.depth + file.depth) for item in found]
        return items

    def inspect_whole(self, data: bytes, name: str, limits: Limits, *, search: bool = True) -> list[Item]:
        """The same for the files of a mail, or for a bare file: what `data` is, is found out there.

        `search`: what is encrypted is tried with words of the mail.
        """
        return self._inspected([File(name, name, "", data)], limits, (), whole=True, search=search)

    def clean(self, data: bytes, limits: Limits) -> Cleaned | None:
        """Return the document without its macros, None where that cannot be done safely."""
        header = {"files": [_asked(File("", "", "", data))], "clean": True, "limits": asdict(limits)}
        inside = self._ready()
        try:
            with self._in_step():
                answer = self._ask(inside, header, [data], limits)
                kind, suffix, size = str(answer["type"]), str(answer["suffix"]), min(int(answer["size"]), limits.octets)
                cleaned = Cleaned(inside.read(size, time.monotonic() + limits.seconds), kind, suffix)
        except _WRONG:
            return None
        return cleaned if size and _KIND.fullmatch(kind) and _SUFFIX.fullmatch(suffix) else None

    def start(self) -> None:
        """Have a process ready, so that `lacking` is known and the first inspection need not wait. Raises OSError."""
        self._ready()

    def _inspected(
        self, files: Sequence[File], limits: Limits, passwords: Sequence[str], *, whole: bool, search: bool = False
    ) -> list[Item]:
        header = {
            "files": [_asked(file) for file in files],
            "clean": False,
            "whole": whole,
            "search": search,
            "limits": asdict(limits),
            "passwords": list(passwords),
        }
        self.failure = ""
        inside = self._ready()
        try:
            with self._in_step():
                answer = self._ask(inside, header, [file.data for file in files], limits)
                items = _items(answer["items"])
                if not whole:
                    _compare(items, files)
                return items
        except _WRONG as error:
            self.failure = str(error) or type(error).__name__
            return [_unchecked(file) for file in files]

    @contextmanager
    def _in_step(self) -> Iterator[None]:
        """Where anything goes wrong, ask that process no more: what it answers next would be taken for another mail's."""
        try:
            yield
        except BaseException:
            self.restart()
            raise

    def _ask(self, inside: Exchange, header: dict[str, Any], octets: list[bytes], limits: Limits) -> Any:
        self._served += 1
        until = time.monotonic() + limits.seconds + min(max(limits.seconds, _SPARE_S[0]), _SPARE_S[1])
        answer = inside.ask(header, octets, until)
        runs = _Runs(until, limits.seconds)
        while "unpack" in answer:
            answer = inside.ask(*self._unpacked(answer, limits, inside, runs), until)
        return answer

    def _unpacked(
        self, asked: dict[str, Any], limits: Limits, inside: Exchange, runs: "_Runs"
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Return what the program makes of the archive that follows, to be told to who asked; nothing where it may not run."""
        data = inside.read(min(int(asked["unpack"]), limits.octets), runs.until)
        most, password = min(int(asked["most"]), limits.octets), str(asked["password"])
        if not self._unpacker or self._warm is None or "\0" in password or len(password) > _PASSWORD:
            return {}, []
        until = runs.another(password)
        if until <= time.monotonic():
            return {}, []
        done = unpacked(
            self._unpacker, data, password, most, until, self._warm.program, partial(self._warm.end, "unpack")
        )
        told = {"listing": len(done.listing), "content": len(done.content), "whole": done.whole, "over": done.over}
        return told, [done.listing, done.content]

    def _ready(self) -> Exchange:
        """Return the way to the running process; to a new one where there is none, or where it has served its time. Raises OSError."""
        idle = self._inside is not None and self._inside.silent() and self._warm is not None and self._warm.runs()
        if self._served >= _MOST or not idle:
            self.restart()
        return self._inside or self._started()

    def _started(self) -> Exchange:
        """Begin a process; once more with a new warm one, since the warm process may have gone. Raises OSError."""
        if time.monotonic() < self._not_before:
            raise OSError("the confined process did not start a moment ago")
        try:
            try:
                return self._begun()
            except HelperError:
                self.close()
                return self._begun()
        except (HelperError, OSError) as error:
            self.close()
            self._not_before = time.monotonic() + _PAUSE_S
            raise OSError(f"the confined process does not start: {error}") from error

    def _begun(self) -> Exchange:
        """Raises HelperError and OSError."""
        self._served = 0
        if self._warm is None:
            self._warm = _Warm()
        self.pid, self._inside = self._warm.inspector()
        self.lacking = list(self._inside.answer(time.monotonic() + _START_S)["lacking"])
        return self._inside

    def restart(self) -> None:
        """End the process that inspects: the next inspection has a new one."""
        if self._inside is not None and self._warm is not None:
            self._inside.close()
            self._inside = None
            with suppress(HelperError):  # then the warm process has gone, and what it forked sees its pipe closed
                self._warm.end("inspect")


class _Runs:
    """How often and how long programs of others may run in one inspection, so that time is left for all else."""

    def __init__(self, until: float, seconds: float) -> None:
        self.until = until
        self._passwords_until = time.monotonic() + seconds * _SHARE
        self._left, self._passwords = _PROGRAMS, _PASSWORDS

    def another(self, password: str) -> float:
        """Return until when the next run may last: for half of the time that is left. 0.0: there is to be none."""
        self._left -= 1
        self._passwords -= bool(password)
        if self._left < 0 or self._passwords < 0:
            return 0.0
        half = (time.monotonic() + self.until) / 2
        return min(half, self._passwords_until) if password else half


class _Warm:
    """The warm process, seen from here."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_START_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "mpp.checks.attachments.warm"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # what it could say would be the words of others
                env={},
                cwd="/",
            )

    def runs(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End it, and with it what it has forked."""
        self._socket.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def inspector(self) -> tuple[int, Exchange]:
        """Have a fresh process that inspects, in place of the one before: its number, and the way to it."""
        with ExitStack() as theirs, ExitStack() as ours:
            reads, target = os.pipe()
            theirs.callback(os.close, reads)
            ours.callback(os.close, target)
            source, writes = os.pipe()
            theirs.callback(os.close, writes)
            ours.callback(os.close, source)
            pid = self._order({"begin": "inspect"}, [reads, writes])
            inside = Exchange(target, source)
            ours.pop_all()
            return pid, inside

    def program(self, command: list[str], writes: int, file: int) -> None:
        """Have a program of others run. Raises HelperError."""
        with open(os.devnull, "rb") as nothing:
            self._order({"begin": "unpack", "command": command}, [nothing.fileno(), writes, file])

    def end(self, role: str, patience_s: float = 0.0) -> int:
        """End what was begun, by force after the patience; return how it ended. Raises HelperError."""
        return self._order({"end": role, "patience_s": patience_s}, [])

    def _order(self, order: dict[str, Any], files: list[int]) -> int:
        """Return the number that it answers. Raises HelperError."""
        try:
            socket.send_fds(self._socket, [json.dumps(order).encode()], files)
            return int(self._socket.recv(64))
        except (OSError, ValueError) as error:
            raise HelperError(f"the warm process is gone: {error}") from error


def _asked(file: File) -> list[Any]:
    size, flags = len(file.data), sorted(file.flags)
    return [file.path, file.name, file.declared, size, file.other_name, file.depth, file.apart, flags]


def _items(rows: Any) -> list[Item]:
    """Read the items, each at most one step further inside than the one before it."""
    items = [_item(row) for row in rows]
    depths = [item.depth for item in items]
    if any(not 0 <= depth <= before + 1 for before, depth in pairwise([-1, *depths])):
        raise ValueError("an item lies in nothing")
    return items


def _item(row: Any) -> Item:
    """Read an item as one reads what a liar says. Raises ValueError, TypeError and KeyError."""
    texts = [row[name] for name in ("path", "name", "declared", "type", "sha256", "other_name")]
    size, depth = row["size"], row["depth"]
    if not (all(isinstance(text, str) for text in texts) and type(size) is int and type(depth) is int):
        raise TypeError("not an item")
    path, name, declared, kind, digest, other = texts
    if not 0 <= size < 1 << 63 or not _DIGEST.fullmatch(digest):
        raise ValueError("not an item")
    return Item(path, name, declared, kind, size, digest, frozenset(map(Flag, row["flags"])), depth, other)


def _compare(items: Sequence[Item], files: Sequence[File]) -> None:
    """Raise ValueError unless each of the files is there, as it is and in its place, and all else lies in one of them."""
    left = [(*_what(file), len(file.data), sha256(file.data).hexdigest()) for file in reversed(files)]
    outer = None
    for item in items:
        if left and (*_what(item), item.size, item.sha256) == left[-1]:
            left.pop()
            outer = item
        elif outer is None or not item.path.startswith(f"{outer.path}/") or item.depth <= outer.depth:
            raise ValueError("tells of a file that nobody asked for")
    if left:
        raise ValueError("does not tell of each file")


def _what(file: File | Item) -> tuple[str | int, ...]:
    return file.path, file.name, file.other_name, file.declared, file.depth


def _unchecked(file: File) -> Item:
    digest = sha256(file.data).hexdigest()
    flags = {Flag.DAMAGED, Flag.UNCHECKED, *file.flags}.union(by_name(file.name), by_name(file.other_name))
    kind, size = "application/octet-stream", len(file.data)
    return Item(file.path, file.name, file.declared, kind, size, digest, frozenset(flags), file.depth, file.other_name)
