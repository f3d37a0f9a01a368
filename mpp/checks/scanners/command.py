"""A command: gives each message to a program, as a file or on its standard input, and reads what it says.

The door to scanners that come as a command line. Once a message, or kept warm where the program reads file names by lines
and answers each with a line. What its exit code and its words mean are settings; whatever they do not name is a failure.
Only programs that node.programs allows are run.
"""

import asyncio
import os
import re
import shutil
import signal

from mpp.checks.scanners.answer import read_answer
from mpp.checks.scanners.kinds import Command
from mpp.checks.scanners.scanner import ANSWER_S, ScannerCheck, Tools
from mpp.checks.scanners.signatures import SignatureNames
from mpp.checks.scanners.warm import Warm, make_folder, write_file
from mpp.mail.escape import printable
from mpp.mail.message import Message
from mpp.net.program import Limits, ProgramError, limited, run
from mpp.protocols.errors import RemoteProtocolError
from mpp.settings.problem import Path as KeyPath
from mpp.settings.problem import Problem
from mpp.verdict.finding import VIRUS_SCANNED, Finding
from mpp.verdict.transaction import Transaction

FILE = "{file}"
FOUND = "found"  # the name where the program gives none
_LINE_END = b"\n"


class CommandCheck(ScannerCheck[Command]):
    """The Check that runs a program."""

    def __init__(self, settings: Command, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._names = SignatureNames(settings)
        self._places = asyncio.Semaphore(settings.processes)
        self._warm: list[Warm] = []
        self._pattern = re.compile(settings.found_pattern.encode()) if settings.found_pattern else None
        self._limits = Limits(settings.memory, settings.output, settings.file, settings.children, settings.user)

    async def examine(self, message: Message, transaction: Transaction) -> list[Finding]:
        """Return a note that the message was scanned and what was found, or why it was not scanned."""
        raw = message.raw
        if len(raw) > self.settings.max_size:
            return [self.too_large(len(raw))]
        program = str(self.settings.program)
        try:
            async with asyncio.timeout(self.settings.timeout), self._places:
                if self.settings.mode == "lines":
                    return await self._ask_warm(raw)
                return await self._run(raw, transaction)
        except TimeoutError:
            return [self.failed(program, f"no end within {self.settings.timeout:g} s")]
        except (OSError, RemoteProtocolError) as error:
            return [self.failed(program, str(error))]

    async def _run(self, raw: bytes, transaction: Transaction) -> list[Finding]:
        """Run it for one message."""
        arguments, plain = self.settings.arguments, self.settings.answers == "text"
        folder = await asyncio.to_thread(make_folder, self.settings.user)
        try:
            command, data = [str(self.settings.program), *arguments], raw
            if any(FILE in word for word in arguments):
                file = await asyncio.to_thread(write_file, folder, "message.eml", raw, self.settings.user)
                command, data = [word.replace(FILE, file) for word in command], b""
            code, said = await run(command, data, self._limits, folder, with_errors=plain)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)  # it may have made anything of it
        found = self._found(said) if plain else None
        if code in self.settings.found_codes and not found:
            found = [self._names.classed(self.name, FOUND, _shown(said))]
        elif code not in (*self.settings.clean_codes, *self.settings.found_codes) and not found:
            ended = f"a signal: {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise RemoteProtocolError(f"ended by {ended}: {_shown(said) or 'it said nothing'}")
        if plain:
            return [Finding(self.name, VIRUS_SCANNED), *(found or ())]
        return read_answer(said, self.name, transaction.id)

    async def _ask_warm(self, raw: bytes) -> list[Finding]:
        """Have a program that is kept warm look at one message. It is given up after any failure."""
        warm = self._warm.pop() if self._warm else await Warm.start(self.settings, self._limits)
        fit = False
        try:
            name, line = await warm.ask(raw)
            found = self._read_line(name, line)
            fit = True
        finally:
            if fit:
                warm.keep(self._warm)
            else:
                warm.close()
        return found

    def _read_line(self, name: str, line: bytes) -> list[Finding]:
        """Raises RemoteProtocolError for a line that is no answer to that file."""
        if self.settings.answers == "json":
            return read_answer(line, self.name, name, must_name=True)
        start, said = line[: len(name)], line[len(name) :].strip()
        if start != name.encode():
            raise RemoteProtocolError(f"a line that does not begin with the file's name: {_shown(line)}")
        found = self._found(said)
        if not found and not said.endswith(self.settings.clean_line.encode()):
            raise RemoteProtocolError(f"says neither clean nor found: {_shown(line)}")
        return [Finding(self.name, VIRUS_SCANNED), *found]

    def _found(self, said: bytes) -> list[Finding]:
        match = self._pattern.search(said) if self._pattern else None
        if not match:
            return []
        name = printable(match[1] or b"", 200) if match.re.groups else ""
        return [self._names.classed(self.name, name or FOUND, _shown(said))]

    async def told(self, path: KeyPath) -> list[Problem]:
        program = self.settings.program
        if not os.access(program, os.X_OK):
            what = f'"{printable(str(program))}" is no program that can be run'
            return [Problem((*path, "program"), what, "install it, or correct the path")]
        try:
            limited([], self._limits)
        except ProgramError as error:
            return [Problem((*path, "program"), f"cannot be limited: {error}", "install the package util-linux")]
        if not self.settings.version:
            return []
        folder = await asyncio.to_thread(make_folder, self.settings.user)
        try:
            async with asyncio.timeout(ANSWER_S):
                _, said = await run([str(program), *self.settings.version], b"", self._limits, folder)
        except (OSError, TimeoutError) as error:
            return [Problem((*path, "version"), f"gets no answer: {printable(str(error), 200)}", "correct it")]
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return [Problem((*path, "program"), f"is {_shown(said.partition(_LINE_END)[0])}", "", "note")]


def _shown(said: bytes) -> str:
    return printable(said.strip()[:300], 300)
