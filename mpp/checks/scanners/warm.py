"""A program that is kept warm: it reads the names of files by lines and answers each with a line.

For the adapter of commands. A line that does not come in time, or is another file's, ends the program, and the next message
starts a fresh one; so does a number of messages, and a while without any.
"""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

from mpp.checks.scanners.kinds import Command
from mpp.net.program import Limits, ProgramError, Running, start

KEEP_S = 60.0  # without a message
MESSAGES = 1000


class Warm:
    """One such program, with a folder of its own. It looks at one file at a time."""

    def __init__(self, running: Running, folder: Path, user: str) -> None:
        self._running = running
        self._folder = folder
        self._user = user
        self._asked = 0
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def start(cls, settings: Command, limits: Limits) -> Self:
        """Start the program. Raises ProgramError."""
        folder = await asyncio.to_thread(make_folder, settings.user)
        try:
            running = await start([str(settings.program), *settings.arguments], limits, folder, with_errors=False)
        except ProgramError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return cls(running, folder, settings.user)

    async def ask(self, raw: bytes) -> tuple[str, bytes]:
        """Return the name of the file that it was given, and the line that it said. Raises OSError."""
        if self._timer is not None:
            self._timer.cancel()
        self._asked += 1
        file = await asyncio.to_thread(write_file, self._folder, f"{self._asked}.eml", raw, self._user)
        try:
            self._running.feed(f"{file}\n".encode())
            return file, await self._line()
        finally:
            Path(file).unlink(missing_ok=True)

    async def _line(self) -> bytes:
        """Take the next line of what it said."""
        running = self._running
        while (end := running.said.find(b"\n")) < 0:
            if running.ended.done():
                running.ended.result()
                raise ProgramError("ended without an answer")
            running.heard = asyncio.get_running_loop().create_future()
            await running.heard
        line = bytes(running.said[: end + 1])
        del running.said[: end + 1]
        return line

    def keep(self, idle: list["Warm"]) -> None:
        """Stand in `idle` for the next message; end after a while, or where it has looked at enough."""
        if self._asked >= MESSAGES:
            self.close()
            return
        idle.append(self)
        self._timer = asyncio.get_running_loop().call_later(KEEP_S, self._expire, idle)

    def _expire(self, idle: list["Warm"]) -> None:
        idle.remove(self)
        self.close()

    def close(self) -> None:
        """End the program and all that it forked, and remove its folder."""
        self._running.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def make_folder(user: str) -> Path:
    """Return a new folder that `user` alone may use ("": us)."""
    folder = Path(tempfile.mkdtemp(prefix="mpp-"))
    if user:
        shutil.chown(folder, user)
    return folder


def write_file(folder: Path, name: str, octets: bytes, user: str) -> str:
    """Write a file that `user` can read, and return its path."""
    path = folder / name
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(octets)
    if user:
        shutil.chown(path, user)
    return str(path)
