"""`mpp demo`: the gateway with real scanners, sample mail and an inbox, by one command.

What it needs and does not find running it starts, and stops again whatever happens: spamd, clamd, the gateway (`mpp serve`
as an operator would start it, with a settings file that can be read), and an inbox in place of a mail server. Nothing is
installed, nothing beyond loopback is spoken to, and all files lie in one folder that is removed at the end.
"""

import contextlib
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpp.cli import shown
from mpp.cli.errors import fail

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mpp.cli.inbox import Arrived, Inbox
    from mpp.cli.programs import Program
    from mpp.cli.samples import Fate, Sent
    from mpp.store.quarantine_query import Row

HOST, PORT = "127.0.0.1", 2525
_START_S = 30.0
_LIMITS = re.compile(r"tagged_above=\S+ required=\S+ ")  # the same in every mail
_COLOURS = {
    "delivered": "green",
    "tagged": "yellow",
    "quarantined": "magenta",
    "refused": "red",
    "discarded": "magenta",
    "deferred": "cyan",
    "lost": "bold white on red",
}


@dataclass(frozen=True, slots=True)
class _Scanner:
    kind: str
    server: str  # as the settings have it
    note: str  # where it came from, for the reader


def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself after the sample mails.")] = False,
) -> None:
    """Show the gateway at work: scanners, sample mail and an inbox, until Ctrl-C."""
    from mpp.cli.programs import ProgramError

    interrupt = _Interrupt()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt.signalled)
    try:
        lost = _demo(once, interrupt)
    except KeyboardInterrupt:
        typer.echo("\nStopped, and with it all that was started.")
        return
    except ProgramError as error:
        fail(_escaped(str(error)))
    if lost:
        raise typer.Exit(1)


class _Interrupt:
    """Ctrl-C and SIGTERM. While programs are being started, or stopped, it only takes note: none may be forgotten."""

    def __init__(self) -> None:
        self.at_once = False  # raise where we are
        self._wanted = False

    def signalled(self, *_: object) -> None:
        self._wanted = True
        if self.at_once:
            self.at_once = False
            raise KeyboardInterrupt

    def look(self) -> None:
        """Raise KeyboardInterrupt where one came."""
        if self._wanted:
            raise KeyboardInterrupt


def _demo(once: bool, interrupt: _Interrupt) -> int:
    """Run it; returns how many mails were lost."""
    from mpp.cli.inbox import Inbox
    from mpp.cli.samples import Fate, closing_line, fate_of, load_samples, match, send

    width = None if sys.stdout.isatty() else 140  # of what goes into a file
    console = shown.console(width)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mpp-demo-")))
        folder.chmod(0o711)  # spamd and clamd, under users of their own, pass through it
        inbox = stack.enter_context(Inbox())
        scanners = list(_scanners(folder, stack, console, interrupt))
        port = _port(console)
        gateway = _gateway(folder, port, inbox, scanners, interrupt)
        stack.enter_context(gateway)
        stack.callback(setattr, interrupt, "at_once", False)
        interrupt.at_once = True
        interrupt.look()
        console.print(f"gateway: {HOST}:{port}, settings in {folder / 'mpp.toml'}")
        console.print(f"inbox:   {HOST}:{inbox.port}, for everybody at example.org\n")
        sent = [send(sample, HOST, port) for sample in load_samples()]
        arrived = match(_taken(inbox), sent)
        rows = _held(folder / "mpp.toml")
        held = {(row.message_id, row.key.recipient) for row, _ in rows}
        fates = [fate_of(each, arrived.get(place), held) for place, each in enumerate(sent)]
        console.print(_table(sent, fates, arrived))
        _quarantine(console, rows, folder / "mpp.toml")
        if once:
            console.print(closing_line(fates), soft_wrap=True)
            return fates.count(Fate.LOST)
        console.print(closing_line(fates) + "\n", soft_wrap=True)
        _explain(console, port)
        _watch(console, inbox, gateway)
    return 0


def _scanners(
    folder: Path, stack: contextlib.ExitStack, console: "Console", interrupt: _Interrupt
) -> Iterator[_Scanner]:
    """Yield the scanners that answer: the machine's own, else one started here. What cannot be had is told."""
    from mpp.cli.programs import ProgramError

    for find in (_spamd, _clamd):
        try:
            scanner = find(folder, stack, interrupt)
        except ProgramError as error:
            console.print(f"{_escaped(str(error))}\nGoing on without it.", soft_wrap=True)
            continue
        console.print(scanner.note, soft_wrap=True)
        if scanner.server:
            yield scanner


def _spamd(folder: Path, stack: contextlib.ExitStack, interrupt: _Interrupt) -> _Scanner:
    from mpp.cli.programs import find_program, free_port, spamd_answers, start_spamd

    if spamd_answers((HOST, 783)):
        return _Scanner("spamd", f"{HOST}:783", f"spamd:   {HOST}:783, runs here already")
    if not find_program("spamd"):
        return _Scanner(
            "spamd", "", "spamd:   not installed, so nothing looks for spam. On Debian: apt-get install spamd"
        )
    port = free_port()
    stack.enter_context(start_spamd(folder / "spamd", port, interrupt=interrupt.look))
    return _Scanner("spamd", f"{HOST}:{port}", f"spamd:   {HOST}:{port}, started with its rules as installed")


def _clamd(folder: Path, stack: contextlib.ExitStack, interrupt: _Interrupt) -> _Scanner:
    from mpp.cli.programs import clamd_answers, find_program, free_port, signatures, start_clamd

    path = "/var/run/clamav/clamd.ctl"
    if clamd_answers(path):
        return _Scanner("clamd", f"unix:{path}", f"clamd:   {path}, runs here already")
    if clamd_answers((HOST, 3310)):
        return _Scanner("clamd", f"{HOST}:3310", f"clamd:   {HOST}:3310, runs here already")
    if not find_program("clamd"):
        missing = "clamd:   not installed, so nothing looks for viruses. On Debian: apt-get install clamav-daemon"
        return _Scanner("clamd", "", missing)
    port, database = free_port(), signatures()
    stack.enter_context(start_clamd(folder / "clamd", port, database=database, interrupt=interrupt.look))
    known = f"started with the signatures in {database}"
    if database is None:
        known = (
            "started. There is no signature database on this machine, so it knows ONE virus, the EICAR test file; "
            "freshclam fetches the real ones"
        )
    return _Scanner("clamd", f"{HOST}:{port}", f"clamd:   {HOST}:{port}, {known}")


def _port(console: "Console") -> int:
    from mpp.cli.programs import free_port, is_free

    if is_free(HOST, PORT):
        return PORT
    port = free_port()
    console.print(
        f"{HOST}:{PORT} is taken (`ss -ltnp 'sport = :{PORT}'` shows by whom); the gateway takes {port} instead"
    )
    return port


def _gateway(folder: Path, port: int, inbox: "Inbox", scanners: Iterable[_Scanner], interrupt: _Interrupt) -> "Program":
    """Start `mpp serve` and wait until it accepts."""
    from mpp.cli.programs import launch, wait_until
    from mpp.gateway.settings import Settings
    from mpp.settings.write import write

    file = folder / "mpp.toml"
    file.write_text(write(Settings.model_validate(_settings(folder, port, inbox.port, scanners))), "utf-8")
    command = [sys.executable, "-P", "-m", "mpp", "serve", "--settings", str(file)]
    program = launch("mpp serve", command, folder / "gateway.log")
    wait_until(lambda: b"ready\n" in program.log.read_bytes(), program, _START_S, interrupt.look)
    return program


def _settings(folder: Path, port: int, inbox: int, scanners: Iterable[_Scanner]) -> dict[str, Any]:
    return {
        "node": {"hostname": "mpp.example.org", "data": str(folder / "data"), "workers": min(2, os.cpu_count() or 1)},
        "listeners": [{"name": "demo", "address": f"{HOST}:{port}"}],
        "routes": [{"domains": ["example.org"], "hosts": [f"{HOST}:{inbox}"]}],
        "scanners": [{"name": each.kind, "kind": each.kind, "servers": [each.server]} for each in scanners],
        "policies": {
            "default": {"quarantine_above": 12.0, "reject_above": "off", "virus": "quarantine"},
            "trap": {"discard_above": 6.2, "reject_above": "off"},
        },
        "policy_rules": [{"policy": "trap", "recipients": ["trap@example.org"]}],
        "marks": {"always": True},
    }


def _held(file: Path) -> "list[tuple[Row, str]]":
    """Return what the gateway holds, and why, as `mpp quarantine list` and `show` would."""
    from mpp.cli.options import read_file
    from mpp.cli.placed import store_of
    from mpp.store.quarantine_query import Filter, page

    held = []
    with store_of(read_file(file)) as (catalog, reader), catalog.read() as connection:
        for row in page(connection, "default", Filter()).rows:
            stored = reader.message(connection, "default", row.key.message)
            why = stored.described["about"].get("why", ()) if stored else ()
            held.append((row, "; ".join(why)))
    return held


def _quarantine(console: "Console", held: "list[tuple[Row, str]]", file: Path) -> None:
    """Show what is held, and what can be done with it."""
    if not held:
        return
    console.print("Held in quarantine:")
    for row, why in held:
        words = f"  {row.key.message}  {row.verdict}, score {row.score:g}, for {row.key.recipient}: {row.subject}\n      {why}"
        console.print(_escaped(words), soft_wrap=True)
    one = held[-1][0].key.message
    for command in (f"quarantine show {one}", f"why {one}", f"quarantine release {one}", "quarantine list"):
        console.print(f"    mpp {command} --settings {file}", soft_wrap=True)
    console.print()


def _taken(inbox: "Inbox") -> "Iterator[Arrived]":
    while not inbox.arrivals.empty():
        yield inbox.arrivals.get()


def _table(sent: "list[Sent]", fates: "list[Fate]", arrived: "dict[int, Arrived]") -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("mail", overflow="fold")
    table.add_column("to", overflow="fold")
    table.add_column("became", no_wrap=True)
    table.add_column("why", overflow="fold")
    for place, (each, fate) in enumerate(zip(sent, fates, strict=True)):
        why = _marks(arrived[place]) if place in arrived else _answer(each)
        table.add_row(each.sample.about, _escaped(each.sample.recipient), Text(fate, _COLOURS[fate]), _escaped(why))
    return table


def _answer(sent: "Sent") -> str:
    return f"{sent.code} {' '.join(sent.text.split())}" if sent.code else sent.text


def _marks(arrived: "Arrived") -> str:
    """What the mail itself says of how it was judged."""
    from mpp.mail.message import Message

    message = Message(arrived.raw)
    status = " ".join(message.text(b"x-spam-status").split())
    said = [f"X-Spam-Status: {_LIMITS.sub('', status)}"] if status else []
    if message.field(b"x-virus-scanned"):
        said.append("X-Virus-Scanned")
    return "; ".join(said) or "no scanner looked at it"


def _explain(console: "Console", port: int) -> None:
    mail = "'you@example.net', 'bob@example.org', 'Subject: Hello\\n\\nHello'"
    lines = [
        "Send a mail of your own to anybody at example.org:",
        f"  swaks --server {HOST}:{port} --from you@example.net --to bob@example.org",
        f"  curl smtp://{HOST}:{port} --mail-from you@example.net --mail-rcpt bob@example.org --crlf --upload-file mail.eml",
        f"  python3 -c \"import smtplib; smtplib.SMTP('{HOST}', {port}).sendmail({mail})\"",
        "What arrives in the inbox and what the gateway does is shown here. Ctrl-C ends everything.\n",
    ]
    for line in lines:
        console.print(line, soft_wrap=True)


def _watch(console: "Console", inbox: "Inbox", gateway: "Program") -> None:
    """Show arrivals and the gateway's own lines until it is interrupted. Raises ProgramError where the gateway ends."""
    from mpp.cli.programs import ProgramError
    from mpp.mail.message import Message

    with gateway.log.open("rb") as log:
        log.seek(0, os.SEEK_END)
        begun = b""  # a line that is still being written
        while gateway.process.poll() is None:
            *lines, begun = (begun + log.read()).split(b"\n")
            for line in lines:
                console.print(f"gateway  {_escaped(line)}", soft_wrap=True)
            for arrived in _taken(inbox):
                subject = Message(arrived.raw).text(b"subject")
                to = ", ".join(arrived.recipients)
                words = f"inbox    <{arrived.reverse_path}> to <{to}>: {subject} ({_marks(arrived)})"
                console.print(_escaped(words), soft_wrap=True)
            time.sleep(0.1)
    raise ProgramError(f"the gateway ended with {gateway.process.returncode}:\n{gateway.last_words()}")


def _escaped(text: str | bytes) -> str:
    from mpp.mail.escape import printable

    if isinstance(text, str):
        return "\n".join(printable(line) for line in text.split("\n"))
    return printable(text)
