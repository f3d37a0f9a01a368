"""Programs that are not ours, run with limits: time, memory, what they may write and say, another user.

For the adapter of commands (mpp.checks.scanners.command). The limits are set by util-linux's setpriv and prlimit, which
become the program: no code of ours runs between fork and exec. Each run is a process group of its own that is killed as a
whole at the end, however it ends; only what makes itself a session of its own gets away. Raises ProgramError.
"""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

AFTER_S = 0.5  # for output that is still on its way when the program has ended


class ProgramError(OSError):
    """It could not be run, or did not do what it is for; the text says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    memory: int  # octets of its address space
    output: int  # octets that it may say
    file: int  # octets of each file that it writes
    processes: int  # 0: any
    user: str = ""  # "": ours


def limited(command: Sequence[str], limits: Limits) -> list[str]:
    """Return the command that sets the limits and becomes the program. Raises ProgramError: it cannot be limited here."""
    return [*_prefix(limits), *command]


@lru_cache(64)
def _prefix(limits: Limits) -> tuple[str, ...]:
    """Kept, since it is needed for each message and looks into files, with the loop waiting; failures are not kept."""
    setpriv, prlimit = shutil.which("setpriv"), shutil.which("prlimit")
    if not setpriv or not prlimit:
        raise ProgramError("setpriv and prlimit are missing; install util-linux")
    who: list[str] = []
    if limits.user:
        try:
            account = pwd.getpwnam(limits.user)
        except KeyError:
            raise ProgramError(f"there is no user {limits.user}") from None
        who = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    bounds = [f"--as={limits.memory}", f"--fsize={limits.file}", "--core=0", "--nofile=256"]
    if limits.processes:
        bounds.append(f"--nproc={limits.processes}")
    return (setpriv, "--no-new-privs", "--pdeathsig=KILL", *who, "--", prlimit, *bounds, "--")


class Running(asyncio.SubprocessProtocol):
    """A program that runs: what it has said, and when it ended. Made by `start`, to be closed whatever becomes of it."""

    def __init__(self, most: int) -> None:
        loop = asyncio.get_running_loop()
        self.said = bytearray()
        self.ended: asyncio.Future[None] = loop.create_future()  # ProgramError: it said too much
        self.silent: asyncio.Future[None] = loop.create_future()  # nobody holds its output open any more
        self.heard: asyncio.Future[None] | None = None  # for those who wait for more of `said`
        self._most = most
        self._transport: asyncio.SubprocessTransport | None = None

    def feed(self, octets: bytes) -> None:
        """Give it input, as much as it wants: one that does not read is free not to."""
        pipe = self._transport.get_pipe_transport(0) if self._transport is not None else None
        if pipe is not None and not pipe.is_closing():
            cast(asyncio.WriteTransport, pipe).write(octets)

    def feed_end(self) -> None:
        """Its input is complete."""
        if self._transport is not None and (pipe := self._transport.get_pipe_transport(0)) is not None:
            pipe.close()

    @property
    def code(self) -> int:
        """Its exit code; -N where signal N ended it."""
        code = self._transport.get_returncode() if self._transport is not None else None
        return 0 if code is None else code

    def kill(self) -> None:
        """End it and what it forked, whether it has ended itself or not."""
        if self._transport is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._transport.get_pid(), signal.SIGKILL)

    def close(self) -> None:
        """End it all and give its pipes back."""
        self.kill()
        if self._transport is not None:
            self._transport.close()
        for future in (self.ended, self.silent):
            if not future.cancel() and not future.cancelled():
                future.exception()  # seen, where nobody waited for it

    # asyncio.SubprocessProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.said += data
        if len(self.said) > self._most:
            _set(self.ended, ProgramError(f"said more than {self._most} octets"))
            self.kill()
        _set(self.heard)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            _set(self.silent)

    def process_exited(self) -> None:
        _set(self.ended)
        _set(self.heard)


def _set(future: asyncio.Future[None] | None, error: Exception | None = None) -> None:
    if future is not None and not future.done():
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(None)


async def start(command: Sequence[str], limits: Limits, folder: Path, *, with_errors: bool = True) -> Running:
    """Start a program with `folder` as its working and temporary folder. Raises ProgramError."""
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(folder), "TMPDIR": str(folder)}
    try:
        _, running = await asyncio.get_running_loop().subprocess_exec(
            lambda: Running(limits.output),
            *limited(command, limits),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if with_errors else subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(f"cannot be started: {error.strerror or error}") from error
    return running


async def run(
    command: Sequence[str], data: bytes, limits: Limits, folder: Path, *, with_errors: bool = True
) -> tuple[int, bytes]:
    """Give `data` to a program's standard input; return its exit code and what it said. The caller sets the time."""
    running = await start(command, limits, folder, with_errors=with_errors)
    try:
        running.feed(data)
        running.feed_end()
        await running.ended
        running.kill()  # children that hold its output open
        try:
            await asyncio.wait_for(running.silent, AFTER_S)
        except TimeoutError:
            raise ProgramError("left a process behind that holds its output open") from None
    finally:
        running.close()
    if running.said.startswith((b"setpriv: ", b"prlimit: ")):
        raise ProgramError(f"cannot be started: {running.said[:200].decode('utf-8', 'backslashreplace').strip()}")
    return running.code, bytes(running.said)
